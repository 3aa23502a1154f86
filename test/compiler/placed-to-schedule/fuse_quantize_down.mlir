// sched-fuse-quantize-down: down quantises its few rows itself instead of reading those of a quantize dispatch.
// RUN: ktc-opt %s -sched-fuse-quantize-down | FileCheck %s
// One meeting is left between gate_up and down.
// RUN: ktc-opt %s -sched-fuse-quantize-down -sched-insert-barriers | FileCheck %s --check-prefix=BARRIERS

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.lane @other on @cpu
sched.arena @act "activation" on @cpu bytes 0
sched.arena @io "io" on @cpu bytes 262144
model.weight @w : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}

sched.kernel @gate_up "gate_up" {n = 32 : i64}
// Two experts for one token.
// CHECK: sched.kernel @quant "quantize"
sched.kernel @quant "quantize" {dynamic = 0 : i64, k = 32 : i64, m = 1 : i64, rows = 2 : i64, x_stride = 64 : i64, x_row_stride = 32 : i64}
sched.kernel @down "down" {dynamic = 0 : i64, k = 32 : i64, m = 1 : i64, top_k = 2 : i64}
// CHECK: sched.kernel @[[FUSED:.*]] "down" {dynamic = 0 : i64, k = 32 : i64, m = 1 : i64, quantize = 1 : i64, top_k = 2 : i64}
// Dense: one row for each of two tokens.
sched.kernel @quant.dense "quantize" {dynamic = 0 : i64, k = 32 : i64, m = 2 : i64, rows = 1 : i64, x_stride = 32 : i64, x_row_stride = 32 : i64}
sched.kernel @down.dense "down" {dense = 1 : i64, dynamic = 0 : i64, k = 32 : i64, m = 2 : i64, top_k = 8 : i64}
// CHECK: sched.kernel @[[DENSE:.*]] "down" {dense = 1 : i64, {{.*}} quantize = 1 : i64
// 16384 elements, and one more expert.
sched.kernel @quant.most "quantize" {dynamic = 0 : i64, k = 2048 : i64, m = 1 : i64, rows = 8 : i64, x_stride = 16384 : i64, x_row_stride = 2048 : i64}
sched.kernel @down.most "down" {dynamic = 0 : i64, k = 2048 : i64, m = 1 : i64, top_k = 8 : i64}
// CHECK: sched.kernel @[[MOST:.*]] "down" {dynamic = 0 : i64, k = 2048 : i64, m = 1 : i64, quantize = 1 : i64, top_k = 8 : i64}
sched.kernel @quant.many "quantize" {dynamic = 0 : i64, k = 2048 : i64, m = 1 : i64, rows = 9 : i64, x_stride = 18432 : i64, x_row_stride = 2048 : i64}
sched.kernel @down.many "down" {dynamic = 0 : i64, k = 2048 : i64, m = 1 : i64, top_k = 9 : i64}
// The same as @quant and @down but for one parameter.
sched.kernel @quant.dynamic "quantize" {dynamic = 1 : i64, k = 32 : i64, m = 1 : i64, rows = 2 : i64, x_stride = 64 : i64, x_row_stride = 32 : i64}
sched.kernel @down.dynamic "down" {dynamic = 1 : i64, k = 32 : i64, m = 1 : i64, top_k = 2 : i64}
sched.kernel @quant.x_stride "quantize" {dynamic = 0 : i64, k = 32 : i64, m = 1 : i64, rows = 2 : i64, x_stride = 128 : i64, x_row_stride = 32 : i64}
sched.kernel @quant.x_row_stride "quantize" {dynamic = 0 : i64, k = 32 : i64, m = 1 : i64, rows = 2 : i64, x_stride = 64 : i64, x_row_stride = 64 : i64}
sched.kernel @down.top_k "down" {dynamic = 0 : i64, k = 32 : i64, m = 1 : i64, top_k = 1 : i64}
sched.kernel @linear "linear" {n = 32 : i64}

// CHECK-LABEL: sched.entry @routed capacity 1
// BARRIERS-LABEL: sched.entry @routed capacity 1
sched.entry @routed capacity 1 {
  %x = sched.fixed @io at 0 bytes 128
  %y = sched.fixed @io at 128 bytes 128
  %w = sched.weight @w
  %none = sched.none
  // CHECK: %[[NONE:.*]] = sched.none
  // CHECK: %[[H:.*]] = sched.alloc @act bytes 256 {name = "gate up"}
  // CHECK-NOT: name = "q8"
  %h = sched.alloc @act bytes 256 {name = "gate up"}
  // CHECK: sched.dispatch @gate_up
  // BARRIERS: sched.dispatch @gate_up {{.*}} per_token 0 {
  sched.dispatch @gate_up on @team(%x, %none, %w, %w, %h) writes [4] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  %q = sched.alloc @act bytes 128 {name = "q8"}
  // CHECK-NOT: sched.dispatch @quant
  sched.dispatch @quant on @team(%h, %q) writes [1] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @[[FUSED]] on @team(%[[H]], %[[NONE]], %{{.*}}, %{{.*}}, %[[NONE]], %[[NONE]]) writes [3]
  // BARRIERS-NEXT: sched.dispatch @down.{{.*}} barrier
  sched.dispatch @down on @team(%none, %q, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// CHECK-LABEL: sched.entry @dense capacity 2
sched.entry @dense capacity 2 {
  %y = sched.fixed @io at 0 bytes 256
  %w = sched.weight @w
  %none = sched.none
  %h = sched.alloc @act bytes 256
  %q = sched.alloc @act bytes 128
  // CHECK-NOT: sched.dispatch @quant
  sched.dispatch @quant.dense on @team(%h, %q) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @[[DENSE]]
  sched.dispatch @down.dense on @team(%none, %q, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// CHECK-LABEL: sched.entry @most
sched.entry @most capacity 1 {
  %y = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %h = sched.alloc @act bytes 73728
  %q = sched.alloc @act bytes 32768
  // CHECK-NOT: sched.dispatch @quant
  sched.dispatch @quant.most on @team(%h, %q) writes [1] units 0 per_token 8 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @[[MOST]]
  sched.dispatch @down.most on @team(%none, %q, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  %q2 = sched.alloc @act bytes 32768
  // CHECK: sched.dispatch @quant.many
  sched.dispatch @quant.many on @team(%h, %q2) writes [1] units 0 per_token 9 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @down.many on
  sched.dispatch @down.many on @team(%none, %q2, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// Rows that are not dense, not those of the slots, or whose number is not known.
// CHECK-LABEL: sched.entry @other_rows
sched.entry @other_rows capacity 1 {
  %y = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %h = sched.alloc @act bytes 1024
  %q1 = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @quant.x_stride
  sched.dispatch @quant.x_stride on @team(%h, %q1) writes [1] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @down on
  sched.dispatch @down on @team(%none, %q1, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  %q2 = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @quant.x_row_stride
  sched.dispatch @quant.x_row_stride on @team(%h, %q2) writes [1] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @down on
  sched.dispatch @down on @team(%none, %q2, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  %q3 = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @quant on
  sched.dispatch @quant on @team(%h, %q3) writes [1] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @down.top_k on
  sched.dispatch @down.top_k on @team(%none, %q3, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  %q4 = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @quant.dynamic
  sched.dispatch @quant.dynamic on @team(%h, %q4) writes [1] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @down.dynamic on
  sched.dispatch @down.dynamic on @team(%none, %q4, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// CHECK-LABEL: sched.entry @prefill capacity 1 dynamic
sched.entry @prefill capacity 1 dynamic {
  %y = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %h = sched.alloc @act bytes 256
  %q = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @quant on
  sched.dispatch @quant on @team(%h, %q) writes [1] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @down on
  sched.dispatch @down on @team(%none, %q, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// The quantised rows have another reader: a dispatch, a view or a copy.
// CHECK-LABEL: sched.entry @shared
sched.entry @shared capacity 1 {
  %y = sched.fixed @io at 0 bytes 128
  %z = sched.fixed @io at 128 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %h = sched.alloc @act bytes 256
  %q1 = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @quant on
  sched.dispatch @quant on @team(%h, %q1) writes [1] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @down on
  sched.dispatch @down on @team(%none, %q1, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  sched.dispatch @linear on @team(%q1, %w, %z, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  %q2 = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @quant on
  sched.dispatch @quant on @team(%h, %q2) writes [1] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
  %v = sched.view %q2 at 0
  // CHECK: sched.dispatch @down on
  sched.dispatch @down on @team(%none, %v, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  %q3 = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @quant on
  sched.dispatch @quant on @team(%h, %q3) writes [1] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @down on
  sched.dispatch @down on @team(%none, %q3, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  sched.copy %q3 to %z on @team bytes 128 per_token 0
}

// When down runs, its float32 rows are gone, or become so while it runs, or are another lane's.
// CHECK-LABEL: sched.entry @overwritten
sched.entry @overwritten capacity 1 {
  %y = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %h = sched.alloc @act bytes 256
  %q1 = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @quant on
  sched.dispatch @quant on @team(%h, %q1) writes [1] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
  %v = sched.view %h at 128
  sched.fill %v with 0 on @team bytes 128 per_token 0
  // CHECK: sched.dispatch @down on
  sched.dispatch @down on @team(%none, %q1, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  %q2 = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @quant on
  sched.dispatch @quant on @team(%h, %q2) writes [1] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @down on
  sched.dispatch @down on @team(%none, %q2, %w, %h, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  %q3 = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @quant on
  sched.dispatch @quant on @team(%h, %q3) writes [1] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @down on
  sched.dispatch @down on @other(%none, %q3, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// The rows are not a temporary of this entry, or down has float32 rows already.
// CHECK-LABEL: sched.entry @fixed_rows
sched.entry @fixed_rows capacity 1 {
  %y = sched.fixed @io at 0 bytes 128
  %f = sched.fixed @io at 128 bytes 256
  %w = sched.weight @w
  %none = sched.none
  %h = sched.alloc @act bytes 256
  %q1 = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @quant on
  sched.dispatch @quant on @team(%f, %q1) writes [1] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @down on
  sched.dispatch @down on @team(%none, %q1, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  %q2 = sched.fixed @io at 384 bytes 128
  // CHECK: sched.dispatch @quant on
  sched.dispatch @quant on @team(%h, %q2) writes [1] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @down on
  sched.dispatch @down on @team(%none, %q2, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  %q3 = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @quant on
  sched.dispatch @quant on @team(%h, %q3) writes [1] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @down on
  sched.dispatch @down on @team(%h, %q3, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
}
