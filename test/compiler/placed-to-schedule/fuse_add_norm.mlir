// sched-fuse-add-norm: a GPU norm makes up to two sums into its input, the gated one last.
// RUN: ktc-opt %s -sched-fuse-add-norm | FileCheck %s

// CHECK-DAG: sched.kernel @[[ONE:rms_norm.[0-9]+]] "rms_norm" {adds = 1 : i64, k = 16
// CHECK-DAG: sched.kernel @[[TWO:rms_norm.[0-9]+]] "rms_norm" {adds = 2 : i64, k = 16
// CHECK-DAG: sched.kernel @[[GATED:rms_norm.[0-9]+]] "rms_norm" {add_gate = "sigmoid", adds = 1 : i64
// CHECK-DAG: sched.kernel @[[TWO_GATED:rms_norm.[0-9]+]] "rms_norm" {add_gate = "sigmoid", adds = 2 : i64
sched.kernel @norm "rms_norm" {k = 16 : i64, rows = 1 : i64, row_offset = 0 : i64, x_stride = 16 : i64}
sched.kernel @head_norm "rms_norm" {k = 16 : i64, rows = 2 : i64, row_offset = 0 : i64, x_stride = 32 : i64}
sched.kernel @add "add" {gate = "none", k = 16 : i64, x_stride = 16 : i64, y_stride = 16 : i64}
sched.kernel @gated "add" {gate = "sigmoid", k = 16 : i64, x_stride = 16 : i64, y_stride = 16 : i64}
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 0
model.weight @w : tensor<16xf32> {file = 0 : i32, offset = 0 : i64, bytes = 64 : i64}

// CHECK-LABEL: sched.entry @one_sum
// CHECK: %[[X:.*]] = sched.alloc {{.*}} {name = "x"}
// CHECK: %[[A:.*]] = sched.alloc {{.*}} {name = "a"}
// CHECK: sched.dispatch @[[ONE]] on @gpu(%[[X]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %[[A]]) writes [0, 2]
// CHECK-NOT: @add
sched.entry @one_sum capacity 1 {
  %x = sched.alloc @act.cuda0 bytes 64 {name = "x"}
  %a = sched.alloc @act.cuda0 bytes 64 {name = "a"}
  %b = sched.alloc @act.cuda0 bytes 64 {name = "b"}
  %g = sched.alloc @act.cuda0 bytes 64 {name = "g"}
  %y = sched.alloc @act.cuda0 bytes 64 {name = "y"}
  %w = sched.weight @w
  %none = sched.none
  sched.dispatch @add on @gpu(%a, %x, %none) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
  sched.dispatch @norm on @gpu(%x, %w, %y, %none, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
}

// CHECK-LABEL: sched.entry @two_sums
// CHECK: %[[X:.*]] = sched.alloc {{.*}} {name = "x"}
// CHECK: %[[A:.*]] = sched.alloc {{.*}} {name = "a"}
// CHECK: %[[B:.*]] = sched.alloc {{.*}} {name = "b"}
// CHECK: sched.dispatch @[[TWO]] on @gpu(%[[X]], {{.*}}, %[[A]], %[[B]]) writes [0, 2]
sched.entry @two_sums capacity 1 {
  %x = sched.alloc @act.cuda0 bytes 64 {name = "x"}
  %a = sched.alloc @act.cuda0 bytes 64 {name = "a"}
  %b = sched.alloc @act.cuda0 bytes 64 {name = "b"}
  %g = sched.alloc @act.cuda0 bytes 64 {name = "g"}
  %y = sched.alloc @act.cuda0 bytes 64 {name = "y"}
  %w = sched.weight @w
  %none = sched.none
  sched.dispatch @add on @gpu(%a, %x, %none) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
  sched.dispatch @add on @gpu(%b, %x, %none) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
  sched.dispatch @norm on @gpu(%x, %w, %y, %none, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
}

// The third from the norm stays a sum of its own.
// CHECK-LABEL: sched.entry @three
// CHECK: %[[A:.*]] = sched.alloc {{.*}} {name = "a"}
// CHECK: sched.dispatch @add on @gpu(%[[A]]
// CHECK: sched.dispatch @[[TWO]] on @gpu
sched.entry @three capacity 1 {
  %x = sched.alloc @act.cuda0 bytes 64 {name = "x"}
  %a = sched.alloc @act.cuda0 bytes 64 {name = "a"}
  %b = sched.alloc @act.cuda0 bytes 64 {name = "b"}
  %g = sched.alloc @act.cuda0 bytes 64 {name = "g"}
  %y = sched.alloc @act.cuda0 bytes 64 {name = "y"}
  %w = sched.weight @w
  %none = sched.none
  sched.dispatch @add on @gpu(%a, %x, %none) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
  sched.dispatch @add on @gpu(%b, %x, %none) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
  sched.dispatch @add on @gpu(%g, %x, %none) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
  sched.dispatch @norm on @gpu(%x, %w, %y, %none, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
}

// The absent second addend is none.
// CHECK-LABEL: sched.entry @one_gated
// CHECK: %[[A:.*]] = sched.alloc {{.*}} {name = "a"}
// CHECK: %[[G:.*]] = sched.alloc {{.*}} {name = "g"}
// CHECK: %[[NONE:.*]] = sched.none
// CHECK: %[[NONE_2:.*]] = sched.none
// CHECK: sched.dispatch @[[GATED]] on @gpu({{.*}}, %[[A]], %[[NONE_2]], %[[G]]) writes [0, 2]
sched.entry @one_gated capacity 1 {
  %x = sched.alloc @act.cuda0 bytes 64 {name = "x"}
  %a = sched.alloc @act.cuda0 bytes 64 {name = "a"}
  %b = sched.alloc @act.cuda0 bytes 64 {name = "b"}
  %g = sched.alloc @act.cuda0 bytes 64 {name = "g"}
  %y = sched.alloc @act.cuda0 bytes 64 {name = "y"}
  %w = sched.weight @w
  %none = sched.none
  sched.dispatch @gated on @gpu(%a, %x, %g) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
  sched.dispatch @norm on @gpu(%x, %w, %y, %none, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
}

// The gate belongs to the last addend.
// CHECK-LABEL: sched.entry @gated_first
// CHECK: %[[A:.*]] = sched.alloc {{.*}} {name = "a"}
// CHECK: %[[B:.*]] = sched.alloc {{.*}} {name = "b"}
// CHECK: %[[G:.*]] = sched.alloc {{.*}} {name = "g"}
// CHECK: sched.dispatch @[[TWO_GATED]] on @gpu({{.*}}, %[[B]], %[[A]], %[[G]]) writes [0, 2]
sched.entry @gated_first capacity 1 {
  %x = sched.alloc @act.cuda0 bytes 64 {name = "x"}
  %a = sched.alloc @act.cuda0 bytes 64 {name = "a"}
  %b = sched.alloc @act.cuda0 bytes 64 {name = "b"}
  %g = sched.alloc @act.cuda0 bytes 64 {name = "g"}
  %y = sched.alloc @act.cuda0 bytes 64 {name = "y"}
  %w = sched.weight @w
  %none = sched.none
  sched.dispatch @gated on @gpu(%a, %x, %g) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
  sched.dispatch @add on @gpu(%b, %x, %none) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
  sched.dispatch @norm on @gpu(%x, %w, %y, %none, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
}

// Only one can have a gate.
// CHECK-LABEL: sched.entry @two_gates
// CHECK: sched.dispatch @gated on @gpu
// CHECK: sched.dispatch @[[GATED]] on @gpu
sched.entry @two_gates capacity 1 {
  %x = sched.alloc @act.cuda0 bytes 64 {name = "x"}
  %a = sched.alloc @act.cuda0 bytes 64 {name = "a"}
  %b = sched.alloc @act.cuda0 bytes 64 {name = "b"}
  %g = sched.alloc @act.cuda0 bytes 64 {name = "g"}
  %y = sched.alloc @act.cuda0 bytes 64 {name = "y"}
  %w = sched.weight @w
  %none = sched.none
  sched.dispatch @gated on @gpu(%a, %x, %g) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
  sched.dispatch @gated on @gpu(%b, %x, %g) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
  sched.dispatch @norm on @gpu(%x, %w, %y, %none, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
}

// Somebody reads x between the sum and the norm.
// CHECK-LABEL: sched.entry @read_between
// CHECK: sched.dispatch @add on @gpu
// CHECK: sched.dispatch @norm on @gpu
sched.entry @read_between capacity 1 {
  %x = sched.alloc @act.cuda0 bytes 64 {name = "x"}
  %a = sched.alloc @act.cuda0 bytes 64 {name = "a"}
  %b = sched.alloc @act.cuda0 bytes 64 {name = "b"}
  %g = sched.alloc @act.cuda0 bytes 64 {name = "g"}
  %y = sched.alloc @act.cuda0 bytes 64 {name = "y"}
  %w = sched.weight @w
  %none = sched.none
  sched.dispatch @add on @gpu(%a, %x, %none) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
  sched.copy %x to %b on @gpu bytes 64 per_token 0
  sched.dispatch @norm on @gpu(%x, %w, %y, %none, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
}

// The addend changes before the norm.
// CHECK-LABEL: sched.entry @addend_changes
// CHECK: sched.dispatch @add on @gpu
// CHECK: sched.dispatch @norm on @gpu
sched.entry @addend_changes capacity 1 {
  %x = sched.alloc @act.cuda0 bytes 64 {name = "x"}
  %a = sched.alloc @act.cuda0 bytes 64 {name = "a"}
  %b = sched.alloc @act.cuda0 bytes 64 {name = "b"}
  %g = sched.alloc @act.cuda0 bytes 64 {name = "g"}
  %y = sched.alloc @act.cuda0 bytes 64 {name = "y"}
  %w = sched.weight @w
  %none = sched.none
  sched.dispatch @add on @gpu(%a, %x, %none) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
  sched.fill %a with 0 on @gpu bytes 64 per_token 0
  sched.dispatch @norm on @gpu(%x, %w, %y, %none, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
}

// Norms of heads take no sums, and neither do those of a CPU.
// CHECK-LABEL: sched.entry @heads
// CHECK: sched.dispatch @add on @gpu
// CHECK: sched.dispatch @head_norm on @gpu
sched.entry @heads capacity 1 {
  %x = sched.alloc @act.cuda0 bytes 64 {name = "x"}
  %a = sched.alloc @act.cuda0 bytes 64 {name = "a"}
  %b = sched.alloc @act.cuda0 bytes 64 {name = "b"}
  %g = sched.alloc @act.cuda0 bytes 64 {name = "g"}
  %y = sched.alloc @act.cuda0 bytes 64 {name = "y"}
  %w = sched.weight @w
  %none = sched.none
  sched.dispatch @add on @gpu(%a, %x, %none) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
  sched.dispatch @head_norm on @gpu(%x, %w, %y, %none, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
}

// CHECK-LABEL: sched.entry @on_cpu
// CHECK: sched.dispatch @add on @team
// CHECK: sched.dispatch @norm on @team
sched.entry @on_cpu capacity 1 {
  %x = sched.alloc @act.cuda0 bytes 64 {name = "x"}
  %a = sched.alloc @act.cuda0 bytes 64 {name = "a"}
  %b = sched.alloc @act.cuda0 bytes 64 {name = "b"}
  %g = sched.alloc @act.cuda0 bytes 64 {name = "g"}
  %y = sched.alloc @act.cuda0 bytes 64 {name = "y"}
  %w = sched.weight @w
  %none = sched.none
  sched.dispatch @add on @team(%a, %x, %none) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
  sched.dispatch @norm on @team(%x, %w, %y, %none, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
}

// Never across lanes.
// CHECK-LABEL: sched.entry @across
// CHECK: sched.dispatch @add on @team
// CHECK: sched.dispatch @norm on @gpu
sched.entry @across capacity 1 {
  %x = sched.alloc @act.cuda0 bytes 64 {name = "x"}
  %a = sched.alloc @act.cuda0 bytes 64 {name = "a"}
  %b = sched.alloc @act.cuda0 bytes 64 {name = "b"}
  %g = sched.alloc @act.cuda0 bytes 64 {name = "g"}
  %y = sched.alloc @act.cuda0 bytes 64 {name = "y"}
  %w = sched.weight @w
  %none = sched.none
  sched.dispatch @add on @team(%a, %x, %none) writes [1] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
  sched.dispatch @norm on @gpu(%x, %w, %y, %none, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
}
