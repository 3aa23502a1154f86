// model-split-kv-b: the joint projection becomes a transposed key part and a value part, never less precise than the file.
// RUN: ktc-opt %s -split-input-file -model-split-kv-b | FileCheck %s

// 2 heads of 32 key rows and 16 value rows of 64 latent columns, as older files have them.
// Both parts of a quantised weight are Q8_0: rows of 32 (key part, transposed) and of 64 (value part).
// CHECK-LABEL: model.weight @blk.0.attn_kv_b.weight
// CHECK-DAG:   model.derived_weight @blk.0.attn_kv_b.k_b from @blk.0.attn_kv_b.weight "mla_k_b" : tensor<2x64x32x!kt.q8_0>
// CHECK-DAG:   model.derived_weight @blk.0.attn_kv_b.v_b from @blk.0.attn_kv_b.weight "mla_v_b" : tensor<2x16x64x!kt.q8_0>
model.weight @blk.0.attn_kv_b.weight : tensor<96x64x!kt.q4_0> {file = 0 : i32, offset = 0 : i64, bytes = 3456 : i64}
model.weight @n : tensor<64xf32> {file = 0 : i32, offset = 0 : i64, bytes = 256 : i64}

// CHECK-LABEL: func.func @quantised
func.func @quantised(%q: tensor<?x80xf32>, %kv: tensor<?x72xf32>, %pos: tensor<?xi32>) -> tensor<?x32xf32> {
  // CHECK:      model.mla_attention
  // CHECK-SAME: k_b = @blk.0.attn_kv_b.k_b,
  // CHECK-NOT:  kv_b = @
  // CHECK-SAME: v_b = @blk.0.attn_kv_b.v_b,
  %y = model.mla_attention %q, %kv, %pos {path = "a", layer = 0 : i64, heads = 2 : i64, nope = 32 : i64,
    rope_dims = 8 : i64, v_dim = 16 : i64, latent = 64 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64,
    kv_b = @blk.0.attn_kv_b.weight} : (tensor<?x80xf32>, tensor<?x72xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

// Rows of 24 key elements are no Q8_0 blocks: the key part is F16, the value part (rows of 64) Q8_0.
// CHECK-LABEL: model.weight @kv_b
// CHECK-DAG:   model.derived_weight @kv_b.k_b from @kv_b "mla_k_b" : tensor<2x64x24xf16>
// CHECK-DAG:   model.derived_weight @kv_b.v_b from @kv_b "mla_v_b" : tensor<2x16x64x!kt.q8_0>
model.weight @kv_b : tensor<80x64x!kt.q4_0> {file = 0 : i32, offset = 0 : i64, bytes = 2880 : i64}
model.weight @n : tensor<64xf32> {file = 0 : i32, offset = 0 : i64, bytes = 256 : i64}
func.func @odd_rows(%q: tensor<?x64xf32>, %kv: tensor<?x72xf32>, %pos: tensor<?xi32>) -> tensor<?x32xf32> {
  %y = model.mla_attention %q, %kv, %pos {path = "a", layer = 0 : i64, heads = 2 : i64, nope = 24 : i64,
    rope_dims = 8 : i64, v_dim = 16 : i64, latent = 64 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, kv_b = @kv_b}
    : (tensor<?x64xf32>, tensor<?x72xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

// An unquantised weight keeps its type, whatever its rows are.
// CHECK-LABEL: model.weight @kv_b
// CHECK-DAG:   model.derived_weight @kv_b.k_b from @kv_b "mla_k_b" : tensor<2x64x32xbf16>
// CHECK-DAG:   model.derived_weight @kv_b.v_b from @kv_b "mla_v_b" : tensor<2x16x64xbf16>
model.weight @kv_b : tensor<96x64xbf16> {file = 0 : i32, offset = 0 : i64, bytes = 12288 : i64}
model.weight @n : tensor<64xf32> {file = 0 : i32, offset = 0 : i64, bytes = 256 : i64}
func.func @unquantised(%q: tensor<?x80xf32>, %kv: tensor<?x72xf32>, %pos: tensor<?xi32>) -> tensor<?x32xf32> {
  %y = model.mla_attention %q, %kv, %pos {path = "a", layer = 0 : i64, heads = 2 : i64, nope = 32 : i64,
    rope_dims = 8 : i64, v_dim = 16 : i64, latent = 64 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, kv_b = @kv_b}
    : (tensor<?x80xf32>, tensor<?x72xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

// Two layers that share the projection share its parts.
// CHECK-LABEL:   model.weight @kv_b
// CHECK-COUNT-2: model.derived_weight
// CHECK-NOT:     model.derived_weight
// CHECK-COUNT-2: model.mla_attention {{.*}}k_b = @kv_b.k_b, {{.*}}v_b = @kv_b.v_b
model.weight @kv_b : tensor<96x64xbf16> {file = 0 : i32, offset = 0 : i64, bytes = 12288 : i64}
model.weight @n : tensor<64xf32> {file = 0 : i32, offset = 0 : i64, bytes = 256 : i64}
func.func @shared(%q: tensor<?x80xf32>, %kv: tensor<?x72xf32>, %pos: tensor<?xi32>) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  %y = model.mla_attention %q, %kv, %pos {path = "a", layer = 0 : i64, heads = 2 : i64, nope = 32 : i64,
    rope_dims = 8 : i64, v_dim = 16 : i64, latent = 64 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, kv_b = @kv_b}
    : (tensor<?x80xf32>, tensor<?x72xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  %z = model.mla_attention %q, %kv, %pos {path = "b", layer = 1 : i64, heads = 2 : i64, nope = 32 : i64,
    rope_dims = 8 : i64, v_dim = 16 : i64, latent = 64 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, kv_b = @kv_b}
    : (tensor<?x80xf32>, tensor<?x72xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  return %y, %z : tensor<?x32xf32>, tensor<?x32xf32>
}

// -----

// Newer files have the two parts: nothing is done.
// CHECK-LABEL: func.func @already_split
// CHECK-NOT:   model.derived_weight
model.weight @k_b : tensor<2x64x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
model.weight @v_b : tensor<2x16x64xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @n : tensor<64xf32> {file = 0 : i32, offset = 0 : i64, bytes = 256 : i64}
func.func @already_split(%q: tensor<?x80xf32>, %kv: tensor<?x72xf32>, %pos: tensor<?xi32>) -> tensor<?x32xf32> {
  // CHECK:      model.mla_attention
  // CHECK-SAME: k_b = @k_b,
  // CHECK-SAME: v_b = @v_b,
  %y = model.mla_attention %q, %kv, %pos {path = "a", layer = 0 : i64, heads = 2 : i64, nope = 32 : i64,
    rope_dims = 8 : i64, v_dim = 16 : i64, latent = 64 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, k_b = @k_b,
    v_b = @v_b} : (tensor<?x80xf32>, tensor<?x72xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
