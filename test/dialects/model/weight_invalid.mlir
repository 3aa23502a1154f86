// Every check of model.weight: element type, dimensions, place in the file, size.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{'model.weight' op element type 'f64' is not a weight format}}
model.weight @w : tensor<4xf64> {file = 0 : i32, offset = 0 : i64, bytes = 32 : i64}

// -----

// expected-error @+1 {{'model.weight' op element type 'i32' is not a weight format}}
model.weight @w : tensor<4xi32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}

// -----

// expected-error @+1 {{'model.weight' op every dimension must be positive, found []}}
model.weight @w : tensor<f32> {file = 0 : i32, offset = 0 : i64, bytes = 4 : i64}

// -----

// expected-error @+1 {{'model.weight' op every dimension must be positive, found [4, 0]}}
model.weight @w : tensor<4x0xf32> {file = 0 : i32, offset = 0 : i64, bytes = 0 : i64}

// -----

// The smallest integer stands for a dimension that is not static.
// expected-error @+1 {{'model.weight' op every dimension must be positive, found [-9223372036854775808, 4]}}
model.weight @w : tensor<?x4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}

// -----

// expected-error @+1 {{'model.weight' op row length 48 is not a multiple of the 32 elements of a q8_0 block}}
model.weight @w : tensor<2x48x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 102 : i64}

// -----

// expected-error @+1 {{'model.weight' op row length 128 is not a multiple of the 256 elements of a q4_k block}}
model.weight @w : tensor<2x128x!kt.q4_k> {file = 0 : i32, offset = 0 : i64, bytes = 144 : i64}

// -----

// expected-error @+1 {{'model.weight' op file and offset must not be negative}}
model.weight @w : tensor<4xf32> {file = -1 : i32, offset = 0 : i64, bytes = 16 : i64}

// -----

// expected-error @+1 {{'model.weight' op file and offset must not be negative}}
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = -64 : i64, bytes = 16 : i64}

// -----

// 2 rows of 2 blocks of 34 bytes.
// expected-error @+1 {{'model.weight' op expected 136 bytes for 'tensor<2x64x!kt.q8_0>', found 128}}
model.weight @w : tensor<2x64x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}

// -----

// expected-error @+1 {{'model.weight' op attribute 'type' failed to satisfy constraint: type attribute of ranked tensor of any type values}}
model.weight @w : memref<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}

// -----

// expected-error @+1 {{'model.weight' op requires attribute 'offset'}}
model.weight @w : tensor<4xf32> {file = 0 : i32, bytes = 16 : i64}
