// sched-stage-transfers: rows that pass between host and GPU do so by kernels of their own.
// RUN: ktc-opt %s -sched-stage-transfers=least-bytes=256 | FileCheck %s

// CHECK: sched.kernel @[[COPY:.*]] "copy_rows" {bytes = 64 : i64, dynamic = 1 : i64, m = 8 : i64}
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 0
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.device @"cuda:1" "cuda" budget 0
sched.lane @gpu1 on @"cuda:1"
sched.kernel @norm "rms_norm" {}
sched.kernel @down "down" {}

// CHECK-LABEL: sched.entry @both_ways
// CHECK: %[[OWN_IN:.*]] = sched.alloc @act bytes 512 {name = "in"}
// CHECK: %[[IN:.*]] = sched.alloc @act bytes 512 {name = "in"}
// CHECK: %[[OWN_OUT:.*]] = sched.alloc @act bytes 512 {name = "out"}
// CHECK: %[[OUT:.*]] = sched.alloc @act bytes 512 {name = "out"}
// The GPU's rows: made and read again in its own memory, copied after the last write.
// CHECK: sched.dispatch @norm on @gpu(%[[OWN_IN]]) writes [0]
// CHECK-NEXT: sched.dispatch @[[COPY]] on @gpu(%[[OWN_IN]], %[[IN]]) writes [1] units 0 per_token 1 {{.*}}path = "norm"
// CHECK-NEXT: sched.dispatch @norm on @gpu(%[[OWN_IN]]) writes []
// CHECK-NEXT: sched.dispatch @down on @team(%[[IN]], %[[OUT]]) writes [1]
// CHECK-NEXT: sched.dispatch @[[COPY]] on @gpu(%[[OUT]], %[[OWN_OUT]]) writes [1]
// CHECK-NEXT: sched.dispatch @norm on @gpu(%[[OWN_OUT]]) writes []
// CHECK-NEXT: sched.dispatch @norm on @gpu(%[[OWN_OUT]]) writes []
sched.entry @both_ways capacity 8 dynamic {
  %in = sched.alloc @act bytes 512 {name = "in"}
  %out = sched.alloc @act bytes 512 {name = "out"}
  sched.dispatch @norm on @gpu(%in) writes [0] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
  sched.dispatch @norm on @gpu(%in) writes [] units 0 per_token 1 {path = "reader", bytes_read = 0 : i64}
  sched.dispatch @down on @team(%in, %out) writes [1] units 0 per_token 1 {path = "down", bytes_read = 0 : i64}
  sched.dispatch @norm on @gpu(%out) writes [] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
  sched.dispatch @norm on @gpu(%out) writes [] units 0 per_token 1 {path = "add", bytes_read = 0 : i64}
}

// A part of the buffer is the same part of the GPU's own.
// CHECK-LABEL: sched.entry @views
// CHECK: %[[OWN:.*]] = sched.alloc @act bytes 512
// CHECK: %[[X:.*]] = sched.alloc @act bytes 512
// CHECK: %[[PART:.*]] = sched.view %[[OWN]] at 32
// CHECK: sched.dispatch @norm on @gpu(%[[PART]]) writes [0]
// CHECK-NEXT: sched.dispatch @[[COPY]] on @gpu(%[[OWN]], %[[X]])
// CHECK-NEXT: sched.dispatch @down on @team(%[[X]]) writes []
sched.entry @views capacity 8 dynamic {
  %x = sched.alloc @act bytes 512
  %part = sched.view %x at 32
  sched.dispatch @norm on @gpu(%part) writes [0] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
  sched.dispatch @down on @team(%x) writes [] units 0 per_token 1 {path = "down", bytes_read = 0 : i64}
}

// Small buffers, rows of odd sizes, what both sides write or several GPUs use, and interleaved uses stay.
// CHECK-LABEL: sched.entry @stays
// Nor does a copy need another.
// CHECK-COUNT-7: sched.alloc
// CHECK-NOT: sched.alloc
// CHECK-NOT: @[[COPY]]
sched.entry @stays capacity 8 dynamic {
  %small = sched.alloc @act bytes 128
  %odd = sched.alloc @act bytes 320
  %both = sched.alloc @act bytes 512
  %several = sched.alloc @act bytes 512
  %mixed = sched.alloc @act bytes 512
  sched.dispatch @norm on @gpu(%small, %odd, %both, %several, %mixed) writes [0, 1, 2, 3, 4] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
  sched.dispatch @norm on @gpu1(%several) writes [] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
  sched.dispatch @down on @team(%small, %odd, %both, %several, %mixed) writes [2] units 0 per_token 1 {path = "down", bytes_read = 0 : i64}
  %copied = sched.alloc @act bytes 512
  %copy = sched.alloc @act bytes 512
  sched.dispatch @down on @team(%copied) writes [0] units 0 per_token 1 {path = "down", bytes_read = 0 : i64}
  sched.copy %copied to %copy on @gpu bytes 0 per_token 64
  sched.dispatch @norm on @gpu(%mixed) writes [0] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
}

// CHECK-LABEL: sched.entry @exact
// CHECK-NOT: @[[COPY]]
sched.entry @exact capacity 8 {
  %x = sched.alloc @act bytes 512
  sched.dispatch @norm on @gpu(%x) writes [0] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
  sched.dispatch @down on @team(%x) writes [] units 0 per_token 1 {path = "down", bytes_read = 0 : i64}
}
