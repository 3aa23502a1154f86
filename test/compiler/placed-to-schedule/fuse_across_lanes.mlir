// Fusions stay within a lane, and a GPU norm that gets quantised rows keeps its others.
// RUN: ktc-opt %s -split-input-file -sched-fuse-norm-quantize -sched-fuse-residual | FileCheck %s

// The CPU's result of `down` is added by the GPU: nothing to accumulate for the CPU.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @mapped "activation" on @cpu bytes 0 mapped
sched.kernel @down "down" {accumulate = 0 : i64, n = 16 : i64, y_stride = 16 : i64}
sched.kernel @slot_sum "slot_sum" {accumulate = 0 : i64, n = 16 : i64, y_stride = 16 : i64}
sched.kernel @add "add" {k = 16 : i64, x_stride = 16 : i64, y_stride = 16 : i64}
// CHECK-LABEL: sched.entry @sum_elsewhere
// CHECK: sched.dispatch @down on @team
// CHECK: sched.dispatch @add on @gpu
sched.entry @sum_elsewhere capacity 1 {
  %x = sched.alloc @mapped bytes 64
  %h = sched.alloc @mapped bytes 64
  %y = sched.alloc @mapped bytes 64
  %none = sched.none
  sched.dispatch @down on @team(%none, %h, %h, %y, %h, %none) writes [3] units 4 per_token 0 {path = "down", bytes_read = 0 : i64}
  sched.dispatch @add on @gpu(%y, %x, %none) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
}
// The sum over slots on the GPU accumulates there.
// CHECK-LABEL: sched.entry @sum_of_slots
// CHECK: %[[X:.*]] = sched.alloc @mapped bytes 64 {name = "x"}
// CHECK: sched.dispatch @slot_sum.{{[0-9]+}} on @gpu(%{{.*}}, %{{.*}}, %[[X]]) writes [2]
// CHECK-NOT: @add
sched.entry @sum_of_slots capacity 1 {
  %x = sched.alloc @mapped bytes 64 {name = "x"}
  %z = sched.alloc @mapped bytes 64
  %y = sched.alloc @mapped bytes 64
  %none = sched.none
  sched.dispatch @slot_sum on @gpu(%z, %z, %y) writes [2] units 0 per_token 1 {path = "sum", bytes_read = 0 : i64}
  sched.dispatch @add on @gpu(%y, %x, %none) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @mapped "activation" on @cpu bytes 0 mapped
model.weight @w : tensor<256xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
sched.kernel @norm "rms_norm" {k = 256 : i64, rows = 1 : i64, x_stride = 256 : i64, y_stride = 256 : i64, y_row_stride = 256 : i64}
sched.kernel @quantize "quantize" {group = 256 : i64, k = 256 : i64, rows = 1 : i64, x_stride = 256 : i64, x_row_stride = 256 : i64}
// The bf16 rows stay, the float32 rows have no reader left.
// CHECK-LABEL: sched.entry @keeps_bf16
// CHECK: %[[BF16:.*]] = sched.alloc @mapped bytes 512 {name = "bf16"}
// CHECK: %[[Q8K:.*]] = sched.alloc @mapped bytes 320 {name = "q8k"}
// CHECK: sched.dispatch @rms_norm.{{[0-9]+}} on @gpu(%{{.*}}, %{{.*}}, %{{.*}}, %[[Q8K]], %[[BF16]]) writes [3, 4]
// CHECK-NOT: @quantize
sched.entry @keeps_bf16 capacity 1 {
  %x = sched.alloc @mapped bytes 1024
  %y = sched.alloc @mapped bytes 1024
  %bf16 = sched.alloc @mapped bytes 512 {name = "bf16"}
  %q8k = sched.alloc @mapped bytes 320 {name = "q8k"}
  %w = sched.weight @w
  %none = sched.none
  sched.dispatch @norm on @gpu(%x, %w, %y, %none, %bf16) writes [2, 4] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
  sched.dispatch @quantize on @gpu(%y, %q8k) writes [1] units 0 per_token 1 {path = "quantize", bytes_read = 0 : i64}
}
// A quantize of another lane stays there.
// CHECK-LABEL: sched.entry @quantize_elsewhere
// CHECK: sched.dispatch @norm on @gpu
// CHECK: sched.dispatch @quantize on @team
sched.entry @quantize_elsewhere capacity 1 {
  %x = sched.alloc @mapped bytes 1024
  %y = sched.alloc @mapped bytes 1024
  %q8k = sched.alloc @mapped bytes 320
  %w = sched.weight @w
  %none = sched.none
  sched.dispatch @norm on @gpu(%x, %w, %y, %none, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
  sched.dispatch @quantize on @team(%y, %q8k) writes [1] units 0 per_token 1 {path = "quantize", bytes_read = 0 : i64}
}
