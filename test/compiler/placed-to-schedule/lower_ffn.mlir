// Lowering of model.ffn for 2 tokens: a dense block is one expert without lists; its output gate multiplies as it is added.
// RUN: ktc-opt %s -sched-lower-entries="decode=2 chunk=4 head-rows=1 context=16" | FileCheck %s

// CHECK: sched.kernel @[[QUANTIZE:quantize.[0-9]+]] "quantize" {dynamic = 0 : i64, k = 32 : i64, m = 2 : i64, rows = 1 : i64, x_row_stride = 32 : i64, x_stride = 32 : i64}
// CHECK: sched.kernel @[[GATE_UP_KERNEL:gate_up.[0-9]+]] "gate_up" {act = "silu", dense = 1 : i64, dynamic = 0 : i64, experts = 1 : i64, format_gate = "q4_0", format_up = "q4_0", gate_expert_rows = 64 : i64, k = 32 : i64, m = 2 : i64, n = 64 : i64, prefetch = 1 : i64, top_k = 1 : i64, up_expert_rows = 64 : i64, x_stride = 32 : i64}
// CHECK: sched.kernel @[[QUANTIZE_KERNEL:quantize.[0-9]+]] "quantize" {dynamic = 0 : i64, k = 64 : i64, m = 2 : i64, rows = 1 : i64, x_row_stride = 64 : i64, x_stride = 64 : i64}
// CHECK: sched.kernel @[[DOWN_KERNEL:down.[0-9]+]] "down" {accumulate = 0 : i64, dense = 1 : i64, dynamic = 0 : i64, experts = 1 : i64, format = "q8_0", k = 64 : i64, m = 2 : i64, n = 32 : i64, prefetch = 1 : i64, top_k = 1 : i64, y_stride = 32 : i64}
// CHECK: sched.kernel @[[LINEAR:linear.[0-9]+]] "linear" {batch = 1 : i64, bias = 0 : i64, dynamic = 0 : i64, format = "f32", k = 32 : i64, m = 2 : i64, n = 1 : i64, prefetch = 1 : i64, x_batch_stride = 0 : i64, x_stride = 32 : i64, y_batch_stride = 0 : i64, y_stride = 1 : i64}
// CHECK: sched.kernel @[[ADD:add.[0-9]+]] "add" {dynamic = 0 : i64, gate = "sigmoid", k = 32 : i64, m = 2 : i64, x_stride = 32 : i64, y_stride = 32 : i64}

model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
model.weight @up : tensor<64x32x!kt.q4_0> {file = 0 : i32, offset = 0 : i64, bytes = 1152 : i64}
model.weight @down : tensor<32x64x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 2176 : i64}
model.weight @og : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}

func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  %x = model.embed %tokens {path = "embed", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
  %f = model.ffn %x {path = "mlp", gate = @up, up = @up, down = @down, output_gate = @og} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %s = model.add %x, %f {path = "sum"} : tensor<?x32xf32>
  return %s : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  %l = model.lm_head %x {path = "lm_head", weight = @embd} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// CHECK-LABEL: sched.entry @decode_2 capacity 2 {
// CHECK: %[[RESIDUAL:.*]] = sched.alloc @act bytes 256 {name = "residual"}
// CHECK: %[[UP:.*]] = sched.weight @up
// CHECK: %[[UP_2:.*]] = sched.weight @up
// CHECK: %[[DOWN:.*]] = sched.weight @down
// CHECK: %[[NONE:.*]] = sched.none
// CHECK: %[[Q8:.*]] = sched.alloc @act bytes 128 {name = "q8"}
// CHECK: sched.dispatch @[[QUANTIZE]] on @cpu.team(%[[RESIDUAL]], %[[Q8]]) writes [1] units 0 per_token 1 {bytes_read = 0 : i64, path = "mlp"}
// 64 rows of 18 bytes each from gate and up.
// CHECK: %[[GATE_UP:.*]] = sched.alloc @act bytes 512 {name = "gate up"}
// CHECK: sched.dispatch @[[GATE_UP_KERNEL]] on @cpu.team(%[[NONE]], %[[Q8]], %[[UP]], %[[UP_2]], %[[GATE_UP]], %[[NONE]], %[[NONE]]) writes [4] units 16 per_token 0 {bytes_read = 2304 : i64, path = "mlp"}
// CHECK: %[[Q8_2:.*]] = sched.alloc @act bytes 256 {name = "q8"}
// CHECK: sched.dispatch @[[QUANTIZE_KERNEL]] on @cpu.team(%[[GATE_UP]], %[[Q8_2]]) writes [1] units 0 per_token 1 {bytes_read = 0 : i64, path = "mlp"}
// CHECK: %[[FFN:.*]] = sched.alloc @act bytes 256 {name = "ffn"}
// CHECK: sched.dispatch @[[DOWN_KERNEL]] on @cpu.team(%[[NONE]], %[[Q8_2]], %[[DOWN]], %[[FFN]], %[[NONE]], %[[NONE]]) writes [3] units 8 per_token 0 {bytes_read = 2176 : i64, path = "mlp"}
// The gate is a product of one row: one float per token.
// CHECK: %[[OG:.*]] = sched.weight @og
// CHECK: %[[OUTPUT_GATE:.*]] = sched.alloc @act bytes 64 {name = "output gate"}
// CHECK: %[[NONE_2:.*]] = sched.none
// CHECK: sched.dispatch @[[LINEAR]] on @cpu.team(%[[RESIDUAL]], %[[OG]], %[[OUTPUT_GATE]], %[[NONE_2]]) writes [2] units 1 per_token 0 {bytes_read = 128 : i64, path = "mlp"}
// The sum is made in place, in the residual.
// CHECK: sched.dispatch @[[ADD]] on @cpu.team(%[[FFN]], %[[RESIDUAL]], %[[OUTPUT_GATE]]) writes [1] units 0 per_token 1 {bytes_read = 0 : i64, path = "sum"}
