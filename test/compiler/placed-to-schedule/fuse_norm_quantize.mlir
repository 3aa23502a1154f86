// sched-fuse-norm-quantize: rms_norm writes the q8 rows that a quantize dispatch would make of its result.
// RUN: ktc-opt %s -sched-fuse-norm-quantize | FileCheck %s

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 0
sched.arena @io "io" on @cpu bytes 4096
model.weight @w : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}

// Rows of 32 elements that follow each other; the quantize kernel reads them as the norm writes them.
// CHECK: sched.kernel @norm
sched.kernel @norm "rms_norm" {k = 32 : i64, rows = 1 : i64, y_stride = 32 : i64, y_row_stride = 32 : i64}
// CHECK: sched.kernel @quant
sched.kernel @quant "quantize" {k = 32 : i64, rows = 1 : i64, x_stride = 32 : i64, x_row_stride = 32 : i64}
// The same but for one parameter.
sched.kernel @quant.k "quantize" {k = 16 : i64, rows = 1 : i64, x_stride = 32 : i64, x_row_stride = 32 : i64}
sched.kernel @quant.rows "quantize" {k = 32 : i64, rows = 2 : i64, x_stride = 32 : i64, x_row_stride = 32 : i64}
sched.kernel @quant.x_stride "quantize" {k = 32 : i64, rows = 1 : i64, x_stride = 64 : i64, x_row_stride = 32 : i64}
sched.kernel @quant.x_row_stride "quantize" {k = 32 : i64, rows = 1 : i64, x_stride = 32 : i64, x_row_stride = 16 : i64}
// A kernel that nobody runs any more is removed; this one nobody ran before.
// CHECK-NOT: @unused
sched.kernel @unused "quantize" {k = 64 : i64}
sched.kernel @linear "linear" {n = 32 : i64}
// The norm takes over the kind of rows: 256 elements with one scale.
// CHECK: sched.kernel @[[NORM_256:.*]] "rms_norm" {group = 256 : i64, k = 512 : i64
sched.kernel @norm.512 "rms_norm" {k = 512 : i64, rows = 1 : i64, y_stride = 512 : i64, y_row_stride = 512 : i64}
sched.kernel @quant.512 "quantize" {group = 256 : i64, k = 512 : i64, rows = 1 : i64, x_stride = 512 : i64, x_row_stride = 512 : i64}

// The float32 rows have no other reader: their buffer and the quantize dispatch go away.
// CHECK-LABEL: sched.entry @only_q8
sched.entry @only_q8 capacity 1 {
  %x = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  // CHECK-NOT:  name = "norm"
  %n = sched.alloc @act bytes 128 {name = "norm"}
  %none = sched.none
  // CHECK:      %[[NONE:.*]] = sched.none
  // CHECK-NEXT: %[[Q8:.*]] = sched.alloc @act bytes 64 {name = "q8"}
  // CHECK-NEXT: sched.dispatch @norm on @team(%{{.*}}, %{{.*}}, %[[NONE]], %[[Q8]]) writes [3] units 0 per_token 1
  sched.dispatch @norm on @team(%x, %w, %n, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 128 : i64}
  %q8 = sched.alloc @act bytes 64 {name = "q8"}
  // CHECK-NOT:  sched.dispatch @quant
  sched.dispatch @quant on @team(%n, %q8) writes [1] units 0 per_token 1 {path = "q", bytes_read = 0 : i64}
  // CHECK:      sched.copy %[[Q8]]
  %y = sched.fixed @io at 128 bytes 64
  sched.copy %q8 to %y on @team bytes 64 per_token 0
}

// A router reads the float32 rows, too: the norm writes both.
// CHECK-LABEL: sched.entry @both
sched.entry @both capacity 1 {
  %x = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  // CHECK: %[[N:.*]] = sched.alloc @act bytes 128 {name = "norm"}
  %n = sched.alloc @act bytes 128 {name = "norm"}
  %none = sched.none
  // CHECK:      %[[Q8:.*]] = sched.alloc @act bytes 64 {name = "q8"}
  // CHECK-NEXT: sched.dispatch @norm on @team(%{{.*}}, %{{.*}}, %[[N]], %[[Q8]]) writes [2, 3]
  sched.dispatch @norm on @team(%x, %w, %n, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 128 : i64}
  %q8 = sched.alloc @act bytes 64 {name = "q8"}
  // CHECK-NOT:  sched.dispatch @quant
  sched.dispatch @quant on @team(%n, %q8) writes [1] units 0 per_token 1 {path = "q", bytes_read = 0 : i64}
  %y = sched.alloc @act bytes 128
  // CHECK:      sched.dispatch @linear on @team(%[[N]],
  sched.dispatch @linear on @team(%n, %w, %y, %none) writes [2] units 8 per_token 0 {path = "router", bytes_read = 0 : i64}
}

// CHECK-LABEL: sched.entry @q8k
sched.entry @q8k capacity 1 {
  %x = sched.fixed @io at 0 bytes 2048
  %w = sched.weight @w
  %n = sched.alloc @act bytes 2048 {name = "norm"}
  %none = sched.none
  // CHECK: %[[Q8K:.*]] = sched.alloc @act bytes 640 {name = "q8k"}
  // CHECK-NEXT: sched.dispatch @[[NORM_256]] on @team({{.*}}, %[[Q8K]]) writes [3]
  sched.dispatch @norm.512 on @team(%x, %w, %n, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 128 : i64}
  %q8k = sched.alloc @act bytes 640 {name = "q8k"}
  // CHECK-NOT:  sched.dispatch @quant
  sched.dispatch @quant.512 on @team(%n, %q8k) writes [1] units 0 per_token 1 {path = "q", bytes_read = 0 : i64}
  // CHECK:      sched.copy %[[Q8K]]
  %y = sched.fixed @io at 2048 bytes 640
  sched.copy %q8k to %y on @team bytes 640 per_token 0
}

// Only one of two quantize dispatches fits into the norm.
// CHECK-LABEL: sched.entry @second_quantize
sched.entry @second_quantize capacity 1 {
  %x = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %n = sched.alloc @act bytes 128 {name = "norm"}
  %none = sched.none
  // CHECK: sched.dispatch @norm {{.*}} writes [2, 3]
  sched.dispatch @norm on @team(%x, %w, %n, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 128 : i64}
  %q8 = sched.alloc @act bytes 64
  sched.dispatch @quant on @team(%n, %q8) writes [1] units 0 per_token 1 {path = "q", bytes_read = 0 : i64}
  %other = sched.alloc @act bytes 64
  // CHECK: sched.dispatch @quant
  // CHECK-NOT: sched.dispatch
  sched.dispatch @quant on @team(%n, %other) writes [1] units 0 per_token 1 {path = "q", bytes_read = 0 : i64}
}

// Other rows than the norm writes: in width, in number, in either spacing.
// CHECK-LABEL: sched.entry @other_rows
sched.entry @other_rows capacity 1 {
  %x = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %n1 = sched.alloc @act bytes 128
  %q1 = sched.alloc @act bytes 64
  // CHECK: sched.dispatch @norm {{.*}} writes [2]
  sched.dispatch @norm on @team(%x, %w, %n1, %none) writes [2] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @quant.k
  sched.dispatch @quant.k on @team(%n1, %q1) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  %n2 = sched.alloc @act bytes 128
  %q2 = sched.alloc @act bytes 64
  // CHECK: sched.dispatch @norm {{.*}} writes [2]
  sched.dispatch @norm on @team(%x, %w, %n2, %none) writes [2] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @quant.rows
  sched.dispatch @quant.rows on @team(%n2, %q2) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  %n3 = sched.alloc @act bytes 128
  %q3 = sched.alloc @act bytes 64
  // CHECK: sched.dispatch @norm {{.*}} writes [2]
  sched.dispatch @norm on @team(%x, %w, %n3, %none) writes [2] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @quant.x_stride
  sched.dispatch @quant.x_stride on @team(%n3, %q3) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  %n4 = sched.alloc @act bytes 128
  %q4 = sched.alloc @act bytes 64
  // CHECK: sched.dispatch @norm {{.*}} writes [2]
  sched.dispatch @norm on @team(%x, %w, %n4, %none) writes [2] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @quant.x_row_stride
  sched.dispatch @quant.x_row_stride on @team(%n4, %q4) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// The rows come from another kernel.
// CHECK-LABEL: sched.entry @not_a_norm
sched.entry @not_a_norm capacity 1 {
  %x = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %n = sched.alloc @act bytes 128
  %q8 = sched.alloc @act bytes 64
  // CHECK: sched.dispatch @linear {{.*}} writes [2]
  sched.dispatch @linear on @team(%x, %w, %n, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @quant
  sched.dispatch @quant on @team(%n, %q8) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// A norm in place, as of the heads of q: the rows have two writers.
// CHECK-LABEL: sched.entry @two_writers
sched.entry @two_writers capacity 1 {
  %x = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %n = sched.alloc @act bytes 128
  %q8 = sched.alloc @act bytes 64
  // CHECK: sched.dispatch @linear
  sched.dispatch @linear on @team(%x, %w, %n, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @norm {{.*}} writes [2]
  sched.dispatch @norm on @team(%n, %w, %n, %none) writes [2] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @quant
  sched.dispatch @quant on @team(%n, %q8) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// CHECK-LABEL: sched.entry @two_norms
sched.entry @two_norms capacity 1 {
  %x = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %n = sched.alloc @act bytes 128
  %q8 = sched.alloc @act bytes 64
  // CHECK: sched.dispatch @norm {{.*}} writes [2]
  sched.dispatch @norm on @team(%x, %w, %n, %none) writes [2] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @norm {{.*}} writes [2]
  sched.dispatch @norm on @team(%x, %w, %n, %none) writes [2] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @quant
  sched.dispatch @quant on @team(%n, %q8) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// The norm writes q8 rows already.
// CHECK-LABEL: sched.entry @q8_taken
sched.entry @q8_taken capacity 1 {
  %x = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %n = sched.alloc @act bytes 128
  %q8 = sched.alloc @act bytes 64
  %other = sched.alloc @act bytes 64
  // CHECK: sched.dispatch @norm {{.*}} writes [2, 3]
  sched.dispatch @norm on @team(%x, %w, %n, %q8) writes [2, 3] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @quant
  sched.dispatch @quant on @team(%n, %other) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// What the norm writes at its q8 operand is no float32 row.
// CHECK-LABEL: sched.entry @not_the_f32_result
sched.entry @not_the_f32_result capacity 1 {
  %x = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %n = sched.alloc @act bytes 128
  %q8 = sched.alloc @act bytes 64
  // CHECK: sched.dispatch @norm {{.*}} writes [3]
  sched.dispatch @norm on @team(%x, %w, %none, %n) writes [3] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @quant
  sched.dispatch @quant on @team(%n, %q8) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// The rows are not a temporary of this entry.
// CHECK-LABEL: sched.entry @fixed_rows
sched.entry @fixed_rows capacity 1 {
  %x = sched.fixed @io at 0 bytes 128
  %n = sched.fixed @io at 128 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %q8 = sched.alloc @act bytes 64
  // CHECK: sched.dispatch @norm {{.*}} writes [2]
  sched.dispatch @norm on @team(%x, %w, %n, %none) writes [2] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @quant
  sched.dispatch @quant on @team(%n, %q8) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// Somebody looks at the rows through a view, or copies them.
// CHECK-LABEL: sched.entry @viewed
sched.entry @viewed capacity 1 {
  %x = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %n = sched.alloc @act bytes 128
  %q8 = sched.alloc @act bytes 64
  // CHECK: sched.dispatch @norm {{.*}} writes [2]
  sched.dispatch @norm on @team(%x, %w, %n, %none) writes [2] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @quant
  sched.dispatch @quant on @team(%n, %q8) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  %v = sched.view %n at 64
  %y = sched.alloc @act bytes 128
  sched.dispatch @linear on @team(%v, %w, %y, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// CHECK-LABEL: sched.entry @copied
sched.entry @copied capacity 1 {
  %x = sched.fixed @io at 0 bytes 128
  %y = sched.fixed @io at 128 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %n = sched.alloc @act bytes 128
  %q8 = sched.alloc @act bytes 64
  // CHECK: sched.dispatch @norm {{.*}} writes [2]
  sched.dispatch @norm on @team(%x, %w, %n, %none) writes [2] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @quant
  sched.dispatch @quant on @team(%n, %q8) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  sched.copy %n to %y on @team bytes 128 per_token 0
}

// A part of the rows only.
// CHECK-LABEL: sched.entry @quantised_view
sched.entry @quantised_view capacity 1 {
  %x = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %n = sched.alloc @act bytes 256
  %v = sched.view %n at 128
  %q8 = sched.alloc @act bytes 64
  // CHECK: sched.dispatch @norm {{.*}} writes [2]
  sched.dispatch @norm on @team(%x, %w, %n, %none) writes [2] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @quant
  sched.dispatch @quant on @team(%v, %q8) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// The q8 rows hold something else until they are written.
// CHECK-LABEL: sched.entry @q8_used_before
sched.entry @q8_used_before capacity 1 {
  %x = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %n = sched.alloc @act bytes 128
  %q8 = sched.alloc @act bytes 64
  // CHECK: sched.fill
  sched.fill %q8 with 0 on @team bytes 64 per_token 0
  // CHECK: sched.dispatch @norm {{.*}} writes [2]
  sched.dispatch @norm on @team(%x, %w, %n, %none) writes [2] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @quant
  sched.dispatch @quant on @team(%n, %q8) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}
