// model-verify-placed names every operation that the policy has left out, sums included.
// RUN: ktc-opt %s -verify-diagnostics -model-verify-placed

model.weight @w : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}

func.func @body(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %p = model.rms_norm %x {path = "model.layers.0.input_layernorm", weight = @w, eps = 1.0e-6 : f64,
    placement = #model.placement<device = "cpu", prefill = "cpu", rule = "cpu">} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  // expected-error @+1 {{'model.rms_norm' op "model.norm" has no placement}}
  %y = model.rms_norm %p {path = "model.norm", weight = @w, eps = 1.0e-6 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  // expected-error @+1 {{'model.add' op "model.layers.0" has no placement}}
  %z = model.add %x, %y {path = "model.layers.0"} : tensor<?x32xf32>
  return %z : tensor<?x32xf32>
}
