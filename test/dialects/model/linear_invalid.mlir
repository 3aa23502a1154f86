// Every check of model.linear.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

func.func @no_weight(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.linear' op weight names no weight: @missing}}
  %y = model.linear %x {path = "q_proj", weight = @missing} : (tensor<?x32xf32>) -> tensor<?x8xf32>
  return
}

// -----

// A function is a symbol, but not a weight.
func.func @self(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.linear' op weight names no weight: @self}}
  %y = model.linear %x {path = "q_proj", weight = @self} : (tensor<?x32xf32>) -> tensor<?x8xf32>
  return
}

// -----

// Rows are outputs: [in, out] is the wrong way round.
model.weight @w : tensor<32x8xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @transposed(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.linear' op weight @w: expected shape [8, 32], found [32, 8]}}
  %y = model.linear %x {path = "q_proj", weight = @w} : (tensor<?x32xf32>) -> tensor<?x8xf32>
  return
}

// -----

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @no_bias(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.linear' op bias names no weight: @missing}}
  %y = model.linear %x {path = "q_proj", weight = @w, bias = @missing} : (tensor<?x32xf32>) -> tensor<?x8xf32>
  return
}

// -----

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @b : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
func.func @bias_shape(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.linear' op bias @b: expected shape [8], found [32]}}
  %y = model.linear %x {path = "q_proj", weight = @w, bias = @b} : (tensor<?x32xf32>) -> tensor<?x8xf32>
  return
}
