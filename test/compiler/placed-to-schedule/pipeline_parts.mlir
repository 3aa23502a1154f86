// sched-pipeline-parts: a second part with buffers of its own, interleaved with the first by stages.
// RUN: ktc-opt %s -sched-pipeline-parts | FileCheck %s

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 0
sched.arena @io "io" on @cpu bytes 4096
sched.arena @kv "kv_cache" on @cpu bytes 4096
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.kernel @k "add" {}

// CHECK-LABEL: sched.entry @prefill capacity 8 dynamic parts 2
// The rows of the second part follow those of the first; the cache is the same.
// CHECK: %[[TOKENS:.*]] = sched.fixed @io at 0 bytes 16 {role = "tokens"}
// CHECK: %[[CACHE:.*]] = sched.fixed @kv at 0 bytes 64 {role = "kv.0"}
// CHECK: %[[X:.*]] = sched.alloc @act bytes 64 {name = "x"}
// CHECK: %[[VIEW:.*]] = sched.view %[[X]] at 32
// CHECK: %[[KEPT:.*]] = sched.fixed @io at 64 bytes 64 {role = "hidden"}
// CHECK: %[[TOKENS1:.*]] = sched.fixed @io at 16 bytes 16 {role = "tokens"}
// CHECK: %[[X1:.*]] = sched.alloc @act bytes 64 {name = "x"}
// CHECK: %[[VIEW1:.*]] = sched.view %[[X1]] at 32
// CHECK: %[[KEPT1:.*]] = sched.fixed @io at 128 bytes 64 {role = "hidden"}
// Two commands of the GPU are one stage.
// CHECK-NEXT: sched.dispatch @k on @gpu(%[[TOKENS]], %[[X]]) {{.*}}path = "embed"}
// CHECK-NEXT: sched.dispatch @k on @gpu(%[[VIEW]], %[[CACHE]]) {{.*}}path = "store"}
// CHECK-NEXT: sched.dispatch @k on @gpu(%[[TOKENS1]], %[[X1]]) {{.*}}part = 1 : i64, path = "embed"}
// CHECK-NEXT: sched.dispatch @k on @gpu(%[[VIEW1]], %[[CACHE]]) {{.*}}part = 1 : i64, path = "store"}
// CHECK-NEXT: sched.dispatch @k on @team(%[[X]]) {{.*}}path = "experts"}
// CHECK-NEXT: sched.dispatch @k on @team(%[[X1]]) {{.*}}part = 1 : i64, path = "experts"}
// CHECK-NEXT: sched.copy %[[X]] to %[[KEPT]] on @gpu bytes 0 per_token 16
// CHECK-NEXT: sched.copy %[[X1]] to %[[KEPT1]] on @gpu bytes 0 per_token 16 {part = 1 : i64}
// CHECK-NEXT: }
sched.entry @prefill capacity 8 dynamic parts 2 {
  %tokens = sched.fixed @io at 0 bytes 16 {role = "tokens"}
  %cache = sched.fixed @kv at 0 bytes 64 {role = "kv.0"}
  %x = sched.alloc @act bytes 64 {name = "x"}
  sched.dispatch @k on @gpu(%tokens, %x) writes [1] units 0 per_token 1 {path = "embed", bytes_read = 0 : i64}
  %view = sched.view %x at 32
  sched.dispatch @k on @gpu(%view, %cache) writes [1] units 0 per_token 1 {path = "store", bytes_read = 0 : i64}
  sched.dispatch @k on @team(%x) writes [0] units 0 per_token 1 {path = "experts", bytes_read = 0 : i64}
  %kept = sched.fixed @io at 64 bytes 64 {role = "hidden"}
  sched.copy %x to %kept on @gpu bytes 0 per_token 16
}

// An entry without parts stays as it is.
// CHECK-LABEL: sched.entry @decode_1 capacity 1 {
// CHECK-COUNT-1: sched.dispatch
// CHECK-NOT: sched.dispatch
sched.entry @decode_1 capacity 1 {
  %x = sched.alloc @act bytes 64
  sched.dispatch @k on @team(%x) writes [0] units 0 per_token 1 {path = "experts", bytes_read = 0 : i64}
}
