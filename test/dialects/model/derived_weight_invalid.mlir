// Every check of model.derived_weight: element type, transform, source and how it splits.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

model.weight @kv_b : tensor<96x64xf16> {file = 0 : i32, offset = 0 : i64, bytes = 12288 : i64}
// expected-error @+1 {{'model.derived_weight' op element type 'i8' is not a weight format}}
model.derived_weight @k_b from @kv_b "mla_k_b" : tensor<2x64x32xi8>

// -----

model.weight @kv_b : tensor<96x64xf16> {file = 0 : i32, offset = 0 : i64, bytes = 12288 : i64}
// expected-error @+1 {{'model.derived_weight' op row length 24 is not a multiple of the 32 elements of a q8_0 block}}
model.derived_weight @k_b from @kv_b "mla_k_b" : tensor<2x64x24x!kt.q8_0>

// -----

model.weight @kv_b : tensor<96x64xf16> {file = 0 : i32, offset = 0 : i64, bytes = 12288 : i64}
// expected-error @+1 {{'model.derived_weight' op unknown transform "transpose"}}
model.derived_weight @k_b from @kv_b "transpose" : tensor<2x64x32xf16>

// -----

// expected-error @+1 {{'model.derived_weight' op source names no weight: @missing}}
model.derived_weight @k_b from @missing "mla_k_b" : tensor<2x64x32xf16>

// -----

func.func private @f()
// expected-error @+1 {{'model.derived_weight' op source names no weight: @f}}
model.derived_weight @k_b from @f "mla_k_b" : tensor<2x64x32xf16>

// -----

// The result must have three dimensions.
model.weight @kv_b : tensor<96x64xf16> {file = 0 : i32, offset = 0 : i64, bytes = 12288 : i64}
// expected-error @+1 {{'model.derived_weight' op source [96, 64] does not split into [64, 64]}}
model.derived_weight @k_b from @kv_b "mla_k_b" : tensor<64x64xf16>

// -----

// The source must have two.
model.weight @kv_b : tensor<2x48x64xf16> {file = 0 : i32, offset = 0 : i64, bytes = 12288 : i64}
// expected-error @+1 {{'model.derived_weight' op source [2, 48, 64] does not split into [2, 64, 32]}}
model.derived_weight @k_b from @kv_b "mla_k_b" : tensor<2x64x32xf16>

// -----

// The key part has the latent dimension (64) in the middle,
model.weight @kv_b : tensor<96x64xf16> {file = 0 : i32, offset = 0 : i64, bytes = 12288 : i64}
// expected-error @+1 {{'model.derived_weight' op source [96, 64] does not split into [2, 32, 64]}}
model.derived_weight @k_b from @kv_b "mla_k_b" : tensor<2x32x64xf16>

// -----

// the value part at the end.
model.weight @kv_b : tensor<96x64xf16> {file = 0 : i32, offset = 0 : i64, bytes = 12288 : i64}
// expected-error @+1 {{'model.derived_weight' op source [96, 64] does not split into [2, 64, 16]}}
model.derived_weight @v_b from @kv_b "mla_v_b" : tensor<2x64x16xf16>

// -----

// 96 rows are not the same number for each of 5 heads.
model.weight @kv_b : tensor<96x64xf16> {file = 0 : i32, offset = 0 : i64, bytes = 12288 : i64}
// expected-error @+1 {{'model.derived_weight' op source [96, 64] does not split into [5, 64, 16]}}
model.derived_weight @k_b from @kv_b "mla_k_b" : tensor<5x64x16xf16>

// -----

// 48 rows for each head cannot give 64 key rows,
model.weight @kv_b : tensor<96x64xf16> {file = 0 : i32, offset = 0 : i64, bytes = 12288 : i64}
// expected-error @+1 {{'model.derived_weight' op takes 64 rows of each head, but the source has 48}}
model.derived_weight @k_b from @kv_b "mla_k_b" : tensor<2x64x64xf16>

// -----

// and value rows only would leave none for the keys.
model.weight @kv_b : tensor<96x64xf16> {file = 0 : i32, offset = 0 : i64, bytes = 12288 : i64}
// expected-error @+1 {{'model.derived_weight' op takes 48 rows of each head, but the source has 48}}
model.derived_weight @v_b from @kv_b "mla_v_b" : tensor<2x48x64xf16>
