// The phase ends at once where no kernel can run, and does not leave out operations that no operand places.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics -model-to-placed

model.weight @w : tensor<32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 64 : i64}
func.func @body(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error @+1 {{'model.rms_norm' op weight @w: expected f32, found 'f16'}}
  %y = model.rms_norm %x {path = "model.norm", weight = @w, eps = 1.0e-6 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

// The first operand of this sum is computed nowhere.
func.func @body(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error @+1 {{'model.add' op "model.layers.0" has no placement}}
  %y = model.add %x, %x {path = "model.layers.0"} : tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
