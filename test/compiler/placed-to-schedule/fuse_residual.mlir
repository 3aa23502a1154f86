// sched-fuse-residual: linear and down accumulate into the residual stream instead of adding afterwards.
// RUN: ktc-opt %s -sched-fuse-residual | FileCheck %s

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 0
sched.arena @io "io" on @cpu bytes 256
model.weight @w : tensor<32x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}

// @linear stays for those that keep their sum; its accumulating twin is made once.
// CHECK:     sched.kernel @linear "linear" {n = 32 : i64, y_stride = 32 : i64}
// CHECK-NEXT: sched.kernel @[[LINEAR:linear.[0-9]+]] "linear" {accumulate = 1 : i64, n = 32 : i64, y_stride = 32 : i64}
sched.kernel @linear "linear" {n = 32 : i64, y_stride = 32 : i64}
sched.kernel @linear.16 "linear" {n = 16 : i64, y_stride = 32 : i64}
sched.kernel @linear.stride "linear" {n = 32 : i64, y_stride = 64 : i64}
sched.kernel @linear.batch "linear" {n = 32 : i64, y_stride = 32 : i64, batch = 2 : i64}
sched.kernel @linear.accumulate "linear" {n = 32 : i64, y_stride = 32 : i64, accumulate = 1 : i64, bias = 1 : i64}
// Nobody runs @down without accumulation any more.
// CHECK-NOT: @down "down"
// CHECK:     sched.kernel @[[DOWN:down.[0-9]+]] "down" {accumulate = 1 : i64, n = 32 : i64, y_stride = 32 : i64}
sched.kernel @down "down" {n = 32 : i64, y_stride = 32 : i64, accumulate = 0 : i64}
sched.kernel @attention "attention_gqa" {n = 32 : i64, y_stride = 32 : i64}
sched.kernel @add "add" {k = 32 : i64, x_stride = 32 : i64, y_stride = 32 : i64}

// linear → t; add t → x becomes linear accumulate → x.
// CHECK-LABEL: sched.entry @linear_branch
sched.entry @linear_branch capacity 1 {
  // CHECK-DAG: %[[X:.*]] = sched.alloc @act bytes 128 {name = "x"}
  // CHECK-DAG: %[[IN:.*]] = sched.fixed @io at 0
  %x = sched.alloc @act bytes 128 {name = "x"}
  %in = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  // CHECK-NOT: name = "t"
  %t = sched.alloc @act bytes 128 {name = "t"}
  // CHECK: sched.dispatch @[[LINEAR]] on @team(%[[IN]], %{{.*}}, %[[X]], %{{.*}}) writes [2]
  sched.dispatch @linear on @team(%in, %w, %t, %none) writes [2] units 8 per_token 0 {path = "o_proj", bytes_read = 0 : i64}
  // CHECK-NOT: sched.dispatch
  sched.dispatch @add on @team(%t, %x, %none) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
}

// The same kernel again: no second twin.
// CHECK-LABEL: sched.entry @same_kernel
sched.entry @same_kernel capacity 1 {
  %x = sched.alloc @act bytes 128
  %in = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %t = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @[[LINEAR]] on
  // CHECK-NOT: sched.dispatch
  sched.dispatch @linear on @team(%in, %w, %t, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  sched.dispatch @add on @team(%t, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// The result of down is its operand 3.
// CHECK-LABEL: sched.entry @down_branch
sched.entry @down_branch capacity 1 {
  // CHECK: %[[X:.*]] = sched.alloc @act bytes 128 {name = "x"}
  %x = sched.alloc @act bytes 128 {name = "x"}
  %in = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %t = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @[[DOWN]] on @team(%{{.*}}, %{{.*}}, %{{.*}}, %[[X]], %{{.*}}, %{{.*}}) writes [3]
  // CHECK-NOT: sched.dispatch
  sched.dispatch @down on @team(%in, %none, %w, %t, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  sched.dispatch @add on @team(%t, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// Two branches join one after the other: the first accumulation is no obstacle for the second.
// CHECK-LABEL: sched.entry @two_branches
sched.entry @two_branches capacity 1 {
  // CHECK: %[[X:.*]] = sched.alloc @act bytes 128 {name = "x"}
  %x = sched.alloc @act bytes 128 {name = "x"}
  %in = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %t = sched.alloc @act bytes 128
  %u = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @[[LINEAR]] on @team(%{{.*}}, %{{.*}}, %[[X]],
  sched.dispatch @linear on @team(%in, %w, %t, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  sched.dispatch @add on @team(%t, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @[[DOWN]] on @team({{.*}}, %[[X]], %{{.*}}, %{{.*}})
  sched.dispatch @down on @team(%in, %none, %w, %u, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK-NOT: sched.dispatch
  sched.dispatch @add on @team(%u, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// A persistent residual works as well, and so does one that begins inside a buffer.
// CHECK-LABEL: sched.entry @other_residuals
sched.entry @other_residuals capacity 1 {
  // CHECK: %[[X:.*]] = sched.fixed @io at 0
  %x = sched.fixed @io at 0 bytes 128
  %y = sched.alloc @act bytes 256
  // CHECK: %[[V:.*]] = sched.view
  %v = sched.view %y at 128
  %in = sched.fixed @io at 128 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %t = sched.alloc @act bytes 128
  %u = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @[[LINEAR]] on @team(%{{.*}}, %{{.*}}, %[[X]],
  sched.dispatch @linear on @team(%in, %w, %t, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  sched.dispatch @add on @team(%t, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @[[LINEAR]] on @team(%{{.*}}, %{{.*}}, %[[V]],
  // CHECK-NOT: sched.dispatch
  sched.dispatch @linear on @team(%in, %w, %u, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  sched.dispatch @add on @team(%u, %v, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// The branch has another reader.
// CHECK-LABEL: sched.entry @branch_read_twice
sched.entry @branch_read_twice capacity 1 {
  %x = sched.alloc @act bytes 128
  %in = sched.fixed @io at 0 bytes 128
  %out = sched.fixed @io at 128 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %t = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @linear on
  sched.dispatch @linear on @team(%in, %w, %t, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @add
  sched.dispatch @add on @team(%t, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  sched.copy %t to %out on @team bytes 128 per_token 0
}

// The branch is multiplied by a gate as it is added.
// CHECK-LABEL: sched.entry @gated
sched.entry @gated capacity 1 {
  %x = sched.alloc @act bytes 128
  %in = sched.fixed @io at 0 bytes 128
  %gate = sched.fixed @io at 128 bytes 4
  %w = sched.weight @w
  %none = sched.none
  %t = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @linear on
  sched.dispatch @linear on @team(%in, %w, %t, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @add
  sched.dispatch @add on @team(%t, %x, %gate) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// The branch is no temporary.
// CHECK-LABEL: sched.entry @fixed_branch
sched.entry @fixed_branch capacity 1 {
  %x = sched.alloc @act bytes 128
  %in = sched.fixed @io at 0 bytes 128
  %t = sched.fixed @io at 128 bytes 128
  %w = sched.weight @w
  %none = sched.none
  // CHECK: sched.dispatch @linear on
  sched.dispatch @linear on @team(%in, %w, %t, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @add
  sched.dispatch @add on @team(%t, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// Attention cannot accumulate.
// CHECK-LABEL: sched.entry @other_family
sched.entry @other_family capacity 1 {
  %x = sched.alloc @act bytes 128
  %in = sched.fixed @io at 0 bytes 128
  %none = sched.none
  %t = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @attention on
  sched.dispatch @attention on @team(%in, %in, %in, %t, %none) writes [3] units 0 per_token 4 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @add
  sched.dispatch @add on @team(%t, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// The only other use of the branch is not a result.
// CHECK-LABEL: sched.entry @not_the_result
sched.entry @not_the_result capacity 1 {
  %x = sched.alloc @act bytes 128
  %y = sched.alloc @act bytes 128
  %w = sched.weight @w
  %none = sched.none
  %t = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @linear on
  sched.dispatch @linear on @team(%t, %w, %y, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @add
  sched.dispatch @add on @team(%t, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// It accumulates already: what is in the branch would be lost.
// CHECK-LABEL: sched.entry @accumulates
sched.entry @accumulates capacity 1 {
  %x = sched.alloc @act bytes 128
  %in = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %t = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @linear.accumulate on
  sched.dispatch @linear.accumulate on @team(%in, %w, %t, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @add
  sched.dispatch @add on @team(%t, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// One product per head, fewer columns than are added, other spacing of the rows.
// CHECK-LABEL: sched.entry @other_shapes
sched.entry @other_shapes capacity 1 {
  %x = sched.alloc @act bytes 128
  %in = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %t = sched.alloc @act bytes 256
  %u = sched.alloc @act bytes 128
  %v = sched.alloc @act bytes 256
  // CHECK: sched.dispatch @linear.batch on
  sched.dispatch @linear.batch on @team(%in, %w, %t, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @add
  sched.dispatch @add on @team(%t, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @linear.16 on
  sched.dispatch @linear.16 on @team(%in, %w, %u, %none) writes [2] units 4 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @add
  sched.dispatch @add on @team(%u, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @linear.stride on
  sched.dispatch @linear.stride on @team(%in, %w, %v, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @add
  sched.dispatch @add on @team(%v, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// Somebody reads the residual between the product and the sum: it must not see the sum yet.
// CHECK-LABEL: sched.entry @residual_read_between
sched.entry @residual_read_between capacity 1 {
  %x = sched.alloc @act bytes 128
  %in = sched.fixed @io at 0 bytes 128
  %out = sched.fixed @io at 128 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %t = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @linear on
  sched.dispatch @linear on @team(%in, %w, %t, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.copy
  sched.copy %x to %out on @team bytes 128 per_token 0
  // CHECK: sched.dispatch @add
  sched.dispatch @add on @team(%t, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// Or writes it, here through a view.
// CHECK-LABEL: sched.entry @residual_written_between
sched.entry @residual_written_between capacity 1 {
  %x = sched.alloc @act bytes 128
  %in = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %t = sched.alloc @act bytes 128
  %half = sched.view %x at 64
  // CHECK: sched.dispatch @linear on
  sched.dispatch @linear on @team(%in, %w, %t, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.fill
  sched.fill %half with 0 on @team bytes 64 per_token 0
  // CHECK: sched.dispatch @add
  sched.dispatch @add on @team(%t, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// The residual does not exist yet when the product is computed.
// CHECK-LABEL: sched.entry @residual_defined_later
sched.entry @residual_defined_later capacity 1 {
  %in = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %t = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @linear on
  sched.dispatch @linear on @team(%in, %w, %t, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  %x = sched.fixed @io at 128 bytes 128
  // CHECK: sched.dispatch @add
  sched.dispatch @add on @team(%t, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// The product reads the residual: it must not change while it does.
// CHECK-LABEL: sched.entry @producer_reads_residual
sched.entry @producer_reads_residual capacity 1 {
  %x = sched.alloc @act bytes 128
  %w = sched.weight @w
  %none = sched.none
  %t = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @linear on
  sched.dispatch @linear on @team(%x, %w, %t, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @add
  sched.dispatch @add on @team(%t, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// The sum comes before the product.
// CHECK-LABEL: sched.entry @sum_before_product
sched.entry @sum_before_product capacity 1 {
  %x = sched.alloc @act bytes 128
  %in = sched.fixed @io at 0 bytes 128
  %w = sched.weight @w
  %none = sched.none
  %t = sched.alloc @act bytes 128
  // CHECK: sched.dispatch @add
  sched.dispatch @add on @team(%t, %x, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @linear on
  sched.dispatch @linear on @team(%in, %w, %t, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
}
