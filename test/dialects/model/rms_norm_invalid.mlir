// Every check of model.rms_norm.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

model.weight @w : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
func.func @eps(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.rms_norm' op eps must be positive}}
  %y = model.rms_norm %x {path = "n", weight = @w, eps = 0.0 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @w : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
func.func @eps_nan(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.rms_norm' op eps must be positive}}
  %y = model.rms_norm %x {path = "n", weight = @w, eps = 0x7FF8000000000000 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @w : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
func.func @result(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.rms_norm' op result: expected 32 features, found 64}}
  %y = model.rms_norm %x {path = "n", weight = @w, eps = 1.0e-6 : f64} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @no_weight(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.rms_norm' op weight names no weight: @missing}}
  %y = model.rms_norm %x {path = "n", weight = @missing, eps = 1.0e-6 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @w : tensor<64xf32> {file = 0 : i32, offset = 0 : i64, bytes = 256 : i64}
func.func @shape(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.rms_norm' op weight @w: expected shape [32], found [64]}}
  %y = model.rms_norm %x {path = "n", weight = @w, eps = 1.0e-6 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return
}
