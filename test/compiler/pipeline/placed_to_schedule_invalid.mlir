// The schedule is made only of what is placed: the phase begins with the check that closes the one before.
// RUN: ktc-opt %s -verify-diagnostics -placed-to-schedule

model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  // expected-error @+1 {{'model.embed' op "model.embed_tokens" has no placement}}
  %x = model.embed %tokens {path = "model.embed_tokens", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
  return %x : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  %l = model.lm_head %x {path = "lm_head", weight = @embd, placement = #model.placement<device = "cpu", prefill = "cpu", rule = "cpu">}
    : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}
