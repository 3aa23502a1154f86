// Every check of model.lm_head.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

func.func @no_weight(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.lm_head' op weight names no weight: @missing}}
  %l = model.lm_head %x {path = "lm_head", weight = @missing} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return
}

// -----

model.weight @w : tensor<48x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 6144 : i64}
func.func @shape(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.lm_head' op weight @w: expected shape [64, 32], found [48, 32]}}
  %l = model.lm_head %x {path = "lm_head", weight = @w} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return
}
