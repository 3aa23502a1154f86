// Lowering of model.linear for 2 tokens: q8 activations for quantised weights, float32 for the others, and an optional bias.
// RUN: ktc-opt %s -sched-lower-entries="decode=2 chunk=4 head-rows=1 context=16" | FileCheck %s

// CHECK: sched.kernel @[[QUANTIZE:quantize.[0-9]+]] "quantize" {dynamic = 0 : i64, k = 32 : i64, m = 2 : i64, rows = 1 : i64, x_row_stride = 32 : i64, x_stride = 32 : i64}
// CHECK: sched.kernel @[[LINEAR_KERNEL:linear.[0-9]+]] "linear" {batch = 1 : i64, bias = 0 : i64, dynamic = 0 : i64, exact = 1 : i64, format = "q8_0", k = 32 : i64, m = 2 : i64, n = 10 : i64, prefetch = 1 : i64, y_batch_stride = 0 : i64, y_stride = 10 : i64}
// CHECK: sched.kernel @[[LINEAR_KERNEL_2:linear.[0-9]+]] "linear" {batch = 1 : i64, bias = 1 : i64, dynamic = 0 : i64, exact = 1 : i64, format = "q8_0", k = 32 : i64, m = 2 : i64, n = 10 : i64, prefetch = 1 : i64, y_batch_stride = 0 : i64, y_stride = 10 : i64}
// CHECK: sched.kernel @[[LINEAR_KERNEL_3:linear.[0-9]+]] "linear" {batch = 1 : i64, bias = 0 : i64, dynamic = 0 : i64, format = "f16", k = 32 : i64, m = 2 : i64, n = 10 : i64, prefetch = 1 : i64, x_batch_stride = 0 : i64, x_stride = 32 : i64, y_batch_stride = 0 : i64, y_stride = 10 : i64}
// CHECK: sched.kernel @[[LINEAR_KERNEL_4:linear.[0-9]+]] "linear" {batch = 1 : i64, bias = 0 : i64, dynamic = 0 : i64, format = "f16", k = 10 : i64, m = 2 : i64, n = 32 : i64, prefetch = 1 : i64, x_batch_stride = 0 : i64, x_stride = 10 : i64, y_batch_stride = 0 : i64, y_stride = 32 : i64}

model.weight @token_embd.weight : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
model.weight @q8 : tensor<10x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 340 : i64}
model.weight @f16 : tensor<10x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 640 : i64}
model.weight @o : tensor<32x10xf16> {file = 0 : i32, offset = 0 : i64, bytes = 640 : i64}
model.weight @b : tensor<10xf32> {file = 0 : i32, offset = 0 : i64, bytes = 40 : i64}
func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  %x = model.embed %tokens {path = "model.embed_tokens", weight = @token_embd.weight} : (tensor<?xi32>) -> tensor<?x32xf32>
  %q = model.linear %x {path = "q_proj", weight = @q8} : (tensor<?x32xf32>) -> tensor<?x10xf32>
  %k = model.linear %x {path = "k_proj", weight = @q8, bias = @b} : (tensor<?x32xf32>) -> tensor<?x10xf32>
  %v = model.linear %x {path = "v_proj", weight = @f16} : (tensor<?x32xf32>) -> tensor<?x10xf32>
  %o = model.linear %v {path = "o_proj", weight = @o} : (tensor<?x10xf32>) -> tensor<?x32xf32>
  return %o : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  %l = model.lm_head %x {path = "lm_head", weight = @token_embd.weight} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// CHECK-LABEL: sched.entry @decode_2 capacity 2 {
// CHECK: %[[RESIDUAL:.*]] = sched.alloc @act bytes 256 {name = "residual"}
// A q8 row of 32 elements: 32 + 4 · 1 + 4 · 2 bytes, rounded up to 64. Made once, for both readers.
// CHECK: %[[Q8:.*]] = sched.alloc @act bytes 128 {name = "q8"}
// CHECK: sched.dispatch @[[QUANTIZE]] on @cpu.team(%[[RESIDUAL]], %[[Q8]]) writes [1] units 0 per_token 1 {bytes_read = 0 : i64, path = "q_proj"}
// 10 rows of one block of 34 bytes, in groups of 4 rows: 3 units.
// CHECK: %[[Q8_2:.*]] = sched.weight @q8
// CHECK: %[[LINEAR:.*]] = sched.alloc @act bytes 128 {name = "linear"}
// CHECK: %[[NONE:.*]] = sched.none
// CHECK: sched.dispatch @[[LINEAR_KERNEL]] on @cpu.team(%[[Q8]], %[[Q8_2]], %[[LINEAR]], %[[NONE]]) writes [2] units 3 per_token 0 {bytes_read = 340 : i64, path = "q_proj"}
// CHECK: %[[Q8_3:.*]] = sched.weight @q8
// The bias is the last operand.
// CHECK: %[[B:.*]] = sched.weight @b
// CHECK: %[[LINEAR_2:.*]] = sched.alloc @act bytes 128 {name = "linear"}
// CHECK: sched.dispatch @[[LINEAR_KERNEL_2]] on @cpu.team(%[[Q8]], %[[Q8_3]], %[[LINEAR_2]], %[[B]]) writes [2] units 3 per_token 0 {bytes_read = 340 : i64, path = "k_proj"}
// Float32 rows go in as they are.
// CHECK: %[[F16:.*]] = sched.weight @f16
// CHECK: %[[LINEAR_3:.*]] = sched.alloc @act bytes 128 {name = "linear"}
// CHECK: %[[NONE_2:.*]] = sched.none
// CHECK: sched.dispatch @[[LINEAR_KERNEL_3]] on @cpu.team(%[[RESIDUAL]], %[[F16]], %[[LINEAR_3]], %[[NONE_2]]) writes [2] units 3 per_token 0 {bytes_read = 640 : i64, path = "v_proj"}
// CHECK: %[[O:.*]] = sched.weight @o
// CHECK: %[[LINEAR_4:.*]] = sched.alloc @act bytes 256 {name = "linear"}
// CHECK: %[[NONE_3:.*]] = sched.none
// CHECK: sched.dispatch @[[LINEAR_KERNEL_4]] on @cpu.team(%[[LINEAR_3]], %[[O]], %[[LINEAR_4]], %[[NONE_3]]) writes [2] units 8 per_token 0 {bytes_read = 640 : i64, path = "o_proj"}
