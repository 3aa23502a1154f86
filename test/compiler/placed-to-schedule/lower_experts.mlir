// Lowering of model.experts for 2 tokens with 2 of 8 experts each, gate and up apart and in different formats.
// RUN: ktc-opt %s -sched-lower-entries="decode=2 chunk=4 head-rows=1 context=16" | FileCheck %s

// CHECK: sched.kernel @[[GATE_UP_KERNEL:gate_up.[0-9]+]] "gate_up" {act = "silu", dense = 0 : i64, dynamic = 0 : i64, experts = 8 : i64, format_gate = "f16", format_up = "q8_0", gate_expert_rows = 32 : i64, k = 32 : i64, m = 2 : i64, n = 32 : i64, prefetch = 1 : i64, top_k = 2 : i64, up_expert_rows = 32 : i64, x_stride = 32 : i64}
// CHECK: sched.kernel @[[QUANTIZE:quantize.[0-9]+]] "quantize" {dynamic = 0 : i64, k = 32 : i64, m = 2 : i64, rows = 2 : i64, x_row_stride = 32 : i64, x_stride = 64 : i64}
// CHECK: sched.kernel @[[DOWN_KERNEL:down.[0-9]+]] "down" {accumulate = 0 : i64, dense = 0 : i64, dynamic = 0 : i64, experts = 8 : i64, format = "q4_0", k = 32 : i64, m = 2 : i64, n = 32 : i64, prefetch = 1 : i64, top_k = 2 : i64, y_stride = 32 : i64}

model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
model.weight @router : tensor<8x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 272 : i64}
model.weight @gate : tensor<8x32x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 16384 : i64}
model.weight @up : tensor<8x32x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 8704 : i64}
model.weight @down : tensor<8x32x32x!kt.q4_0> {file = 0 : i32, offset = 0 : i64, bytes = 4608 : i64}

func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  %x = model.embed %tokens {path = "embed", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
  %ids, %w = model.router %x {path = "gate", weight = @router, experts = 8 : i64, top_k = 2 : i64, gating = "softmax"}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  %y = model.experts %x, %ids, %w {path = "experts", gate = @gate, up = @up, down = @down}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  %l = model.lm_head %x {path = "lm_head", weight = @embd} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// CHECK-LABEL: sched.entry @decode_2 capacity 2 {
// CHECK: %[[RESIDUAL:.*]] = sched.alloc @act bytes 256 {name = "residual"}
// CHECK: %[[Q8:.*]] = sched.alloc @act bytes 128 {name = "q8"}
// CHECK: %[[EXPERT_WEIGHTS:.*]] = sched.alloc @act bytes 64 {name = "expert weights"}
// CHECK: %[[EXPERT_LISTS:.*]] = sched.alloc @act bytes 256 {name = "expert lists"}
// The gate is F16 and reads the float32 rows, up is Q8_0 and reads the q8 rows that the router has had made.
// CHECK: %[[DOWN:.*]] = sched.weight @down
// CHECK: %[[GATE:.*]] = sched.weight @gate
// CHECK: %[[UP:.*]] = sched.weight @up
// CHECK: %[[NONE_3:.*]] = sched.none
// 32 inner features for 4 slots.
// CHECK: %[[GATE_UP:.*]] = sched.alloc @act bytes 512 {name = "gate up"}
// At most 4 experts are active: 4 · 32 rows of 64 (F16) and of 34 bytes (Q8_0).
// CHECK: sched.dispatch @[[GATE_UP_KERNEL]] on @cpu.team(%[[RESIDUAL]], %[[Q8]], %[[GATE]], %[[UP]], %[[GATE_UP]], %[[EXPERT_LISTS]], %[[NONE_3]]) writes [4] units 8 per_token 0 {bytes_read = 12544 : i64, path = "experts"}
// 2 rows of 64 bytes per token: one for each slot.
// CHECK: %[[Q8_2:.*]] = sched.alloc @act bytes 256 {name = "q8"}
// CHECK: sched.dispatch @[[QUANTIZE]] on @cpu.team(%[[GATE_UP]], %[[Q8_2]]) writes [1] units 0 per_token 2 {bytes_read = 0 : i64, path = "experts"}
// The weighted sum of the slots: one row per token.
// CHECK: %[[FFN:.*]] = sched.alloc @act bytes 256 {name = "ffn"}
// CHECK: sched.dispatch @[[DOWN_KERNEL]] on @cpu.team(%[[NONE_3]], %[[Q8_2]], %[[DOWN]], %[[FFN]], %[[EXPERT_LISTS]], %[[EXPERT_WEIGHTS]]) writes [3] units 8 per_token 0 {bytes_read = 2304 : i64, path = "experts"}

// In a chunk of 4 tokens all 8 experts may be active.
// CHECK-LABEL: sched.entry @prefill
// CHECK: sched.dispatch @gate_up.{{.*}} units 65536 per_token 0 {bytes_read = 25088 : i64, path = "experts"}
// CHECK: sched.dispatch @down.{{.*}} units 8 per_token 0 {bytes_read = 4608 : i64, path = "experts"}
