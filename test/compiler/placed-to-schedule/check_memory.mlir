// sched-check-memory accepts good plans and changes nothing.
// RUN: ktc-opt %s -sched-check-memory | FileCheck %s

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 192
sched.arena @io "io" on @cpu bytes 64
model.weight @w : tensor<16xf32> {file = 0 : i32, offset = 0 : i64, bytes = 64 : i64}
sched.kernel @k "add" {}

// c takes the bytes of a once nobody needs them any more.
// CHECK-LABEL: sched.entry @reuse
sched.entry @reuse capacity 1 {
  %io = sched.fixed @io at 0 bytes 64
  // CHECK: sched.alloc @act bytes 64 at 0 {name = "a"}
  %a = sched.alloc @act bytes 64 at 0 {name = "a"}
  // CHECK: sched.alloc @act bytes 64 at 64 {name = "b"}
  %b = sched.alloc @act bytes 64 at 64 {name = "b"}
  // CHECK: sched.alloc @act bytes 64 at 0 {name = "c"}
  %c = sched.alloc @act bytes 64 at 0 {name = "c"}
  sched.copy %io to %a on @team bytes 64 per_token 0
  sched.copy %a to %b on @team bytes 64 per_token 0 barrier
  sched.copy %b to %c on @team bytes 64 per_token 0 barrier
  sched.copy %c to %io on @team bytes 64 per_token 0 barrier
}

// One large buffer after two small ones, then two small ones after it: ranges are split and merged.
// CHECK-LABEL: sched.entry @split_and_merge
sched.entry @split_and_merge capacity 1 {
  %io = sched.fixed @io at 0 bytes 64
  %a = sched.alloc @act bytes 64 at 0
  %b = sched.alloc @act bytes 64 at 128
  %large = sched.alloc @act bytes 192 at 0
  %c = sched.alloc @act bytes 64 at 64
  %d = sched.alloc @act bytes 64 at 128
  sched.fill %a with 0 on @team bytes 64 per_token 0
  sched.fill %b with 0 on @team bytes 64 per_token 0
  sched.copy %a to %io on @team bytes 64 per_token 0 barrier
  sched.copy %b to %io on @team bytes 64 per_token 0 barrier
  sched.fill %large with 0 on @team bytes 192 per_token 0 barrier
  sched.copy %large to %io on @team bytes 64 per_token 0 barrier
  sched.fill %c with 0 on @team bytes 64 per_token 0 barrier
  sched.fill %d with 0 on @team bytes 64 per_token 0
  sched.copy %c to %io on @team bytes 64 per_token 0 barrier
  sched.copy %d to %io on @team bytes 64 per_token 0 barrier
}

// Results need not hold anything before they are written, and persistent memory, weights and absent operands are not planned.
// CHECK-LABEL: sched.entry @not_planned
sched.entry @not_planned capacity 1 {
  %io = sched.fixed @io at 0 bytes 64
  %w = sched.weight @w
  %none = sched.none
  %a = sched.alloc @act bytes 64 at 128
  sched.dispatch @k on @team(%io, %w, %none, %a) writes [3] units 1 per_token 0 {path = "p", bytes_read = 64 : i64}
}

// A view of a buffer that has been written as a whole.
// CHECK-LABEL: sched.entry @views
sched.entry @views capacity 1 {
  %io = sched.fixed @io at 0 bytes 64
  %a = sched.alloc @act bytes 128 at 64
  %v = sched.view %a at 64
  sched.fill %a with 0 on @team bytes 128 per_token 0
  sched.copy %v to %io on @team bytes 64 per_token 0 barrier
}
