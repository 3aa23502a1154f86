// model-verify-placed is content with a placed module and changes nothing.
// RUN: ktc-opt %s -model-verify-placed | FileCheck %s

// Weights and functions are not placed.
model.weight @w : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}

// CHECK-LABEL: func.func @body
func.func @body(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // CHECK-NEXT: model.rms_norm
  %y = model.rms_norm %x {path = "model.norm", weight = @w, eps = 1.0e-6 : f64,
    placement = #model.placement<device = "cpu", prefill = "cpu", rule = "cpu">} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  // CHECK-NEXT: return
  return %y : tensor<?x32xf32>
}
