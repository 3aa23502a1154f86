// Lowering of model.experts with gate and up in one tensor: gate rows first, so up begins 32 rows of 64 bytes later, and the next
// expert 64 rows later. All is F16: no q8 rows are made.
// RUN: ktc-opt %s -sched-lower-entries="decode=2 chunk=4 head-rows=1 context=16" | FileCheck %s

// CHECK: sched.kernel @[[GATE_UP_KERNEL:gate_up.[0-9]+]] "gate_up" {act = "gelu_tanh", dense = 0 : i64, dynamic = 0 : i64, experts = 8 : i64, format_gate = "f16", format_up = "f16", gate_expert_rows = 64 : i64, k = 32 : i64, m = 2 : i64, n = 32 : i64, prefetch = 1 : i64, top_k = 2 : i64, up_expert_rows = 64 : i64, x_stride = 32 : i64}
// CHECK: sched.kernel @[[DOWN:down.[0-9]+]] "down" {accumulate = 0 : i64, dense = 0 : i64, dynamic = 0 : i64, experts = 8 : i64, format = "f16", k = 32 : i64, m = 2 : i64, n = 32 : i64, prefetch = 1 : i64, top_k = 2 : i64, y_stride = 32 : i64}

model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
model.weight @router : tensor<8x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 272 : i64}
model.weight @gate_up : tensor<8x64x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 32768 : i64}
model.weight @down16 : tensor<8x32x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 16384 : i64}

func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  %x = model.embed %tokens {path = "embed", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
  %ids, %w = model.router %x {path = "gate", weight = @router, experts = 8 : i64, top_k = 2 : i64, gating = "softmax"}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  %z = model.experts %x, %ids, %w {path = "fused", gate_up = @gate_up, down = @down16, act = "gelu_tanh"}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return %z : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  %l = model.lm_head %x {path = "lm_head", weight = @embd} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// CHECK-LABEL: sched.entry @decode_2 capacity 2 {
// CHECK: %[[RESIDUAL:.*]] = sched.alloc @act bytes 256 {name = "residual"}
// CHECK: %[[EXPERT_WEIGHTS:.*]] = sched.alloc @act bytes 64 {name = "expert weights"}
// CHECK: %[[EXPERT_LISTS:.*]] = sched.alloc @act bytes 256 {name = "expert lists"}
// CHECK: %[[DOWN16:.*]] = sched.weight @down16
// CHECK: %[[GATE_UP:.*]] = sched.weight @gate_up
// The same tensor twice.
// CHECK: %[[VIEW:.*]] = sched.view %[[GATE_UP]] at 2048
// CHECK: %[[NONE_3:.*]] = sched.none
// Absent: the q8 rows.
// CHECK: %[[GATE_UP_2:.*]] = sched.alloc @act bytes 512 {name = "gate up"}
// CHECK: sched.dispatch @[[GATE_UP_KERNEL]] on @cpu.team(%[[RESIDUAL]], %[[NONE_3]], %[[GATE_UP]], %[[VIEW]], %[[GATE_UP_2]], %[[EXPERT_LISTS]], %[[NONE_3]]) writes [4] units 8 per_token 0 {bytes_read = 16384 : i64, path = "fused"}
// CHECK: %[[FFN:.*]] = sched.alloc @act bytes 256 {name = "ffn"}
// CHECK: sched.dispatch @[[DOWN]] on @cpu.team(%[[GATE_UP_2]], %[[NONE_3]], %[[DOWN16]], %[[FFN]], %[[EXPERT_LISTS]], %[[EXPERT_WEIGHTS]]) writes [3] units 8 per_token 0 {bytes_read = 8192 : i64, path = "fused"}
