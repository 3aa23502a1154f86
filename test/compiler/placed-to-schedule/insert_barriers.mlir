// sched-insert-barriers: a command waits for the threads of its lane when it depends on what they did since they last met.
// RUN: ktc-opt %s -sched-insert-barriers | FileCheck %s

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.lane @other on @cpu
sched.arena @act "activation" on @cpu bytes 0
sched.arena @io "io" on @cpu bytes 256
model.weight @w : tensor<16xf32> {file = 0 : i32, offset = 0 : i64, bytes = 64 : i64}
sched.kernel @k "add" {}

// CHECK-LABEL: sched.entry @read_after_write
sched.entry @read_after_write capacity 1 {
  %a = sched.alloc @act bytes 64
  %b = sched.alloc @act bytes 64
  // CHECK: sched.fill {{.*}} per_token 0{{$}}
  sched.fill %a with 0 on @team bytes 64 per_token 0
  // CHECK: sched.copy {{.*}} per_token 0 barrier
  sched.copy %a to %b on @team bytes 64 per_token 0
}

// CHECK-LABEL: sched.entry @write_after_read
sched.entry @write_after_read capacity 1 {
  %a = sched.fixed @io at 0 bytes 64
  %b = sched.alloc @act bytes 64
  // CHECK: sched.copy {{.*}} per_token 0{{$}}
  sched.copy %a to %b on @team bytes 64 per_token 0
  // CHECK: sched.fill {{.*}} per_token 0 barrier
  sched.fill %a with 0 on @team bytes 64 per_token 0
}

// CHECK-LABEL: sched.entry @write_after_write
sched.entry @write_after_write capacity 1 {
  %a = sched.alloc @act bytes 64
  // CHECK: sched.fill {{.*}} with 0 {{.*}} per_token 0{{$}}
  sched.fill %a with 0 on @team bytes 64 per_token 0
  // CHECK: sched.fill {{.*}} with 1 {{.*}} per_token 0 barrier
  sched.fill %a with 1 on @team bytes 64 per_token 0
}

// Reading together, also weights and absent operands, needs no meeting.
// CHECK-LABEL: sched.entry @read_after_read
sched.entry @read_after_read capacity 1 {
  %a = sched.fixed @io at 0 bytes 64
  %b = sched.alloc @act bytes 64
  %c = sched.alloc @act bytes 64
  %w = sched.weight @w
  %none = sched.none
  // CHECK: sched.dispatch {{.*}} units 1 per_token 0 {bytes_read
  sched.dispatch @k on @team(%a, %w, %none, %b) writes [3] units 1 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch {{.*}} units 1 per_token 0 {bytes_read
  sched.dispatch @k on @team(%a, %w, %none, %c) writes [3] units 1 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// A meeting covers everything before it: c needs no second one.
// CHECK-LABEL: sched.entry @one_meeting_for_two
sched.entry @one_meeting_for_two capacity 1 {
  %a = sched.alloc @act bytes 64
  %b = sched.alloc @act bytes 64
  %c = sched.alloc @act bytes 64
  %d = sched.alloc @act bytes 64
  // CHECK: sched.fill {{.*}} per_token 0{{$}}
  sched.fill %a with 0 on @team bytes 64 per_token 0
  // CHECK: sched.fill {{.*}} per_token 0{{$}}
  sched.fill %b with 0 on @team bytes 64 per_token 0
  // CHECK: sched.copy {{.*}} per_token 0 barrier
  sched.copy %a to %c on @team bytes 64 per_token 0
  // CHECK: sched.copy {{.*}} per_token 0{{$}}
  sched.copy %b to %d on @team bytes 64 per_token 0
}

// Views are the buffer that they lie in, whatever part of it.
// CHECK-LABEL: sched.entry @views
sched.entry @views capacity 1 {
  %a = sched.alloc @act bytes 128
  %low = sched.view %a at 0
  %high = sched.view %a at 64
  // CHECK: sched.fill {{.*}} per_token 0{{$}}
  sched.fill %low with 0 on @team bytes 64 per_token 0
  // CHECK: sched.fill {{.*}} per_token 0 barrier
  sched.fill %high with 0 on @team bytes 64 per_token 0
}

// A persistent range that is declared twice is one piece of memory; another offset is another.
// CHECK-LABEL: sched.entry @fixed
sched.entry @fixed capacity 1 {
  %a = sched.fixed @io at 0 bytes 64
  %again = sched.fixed @io at 0 bytes 64
  %b = sched.fixed @io at 64 bytes 64
  // CHECK: sched.fill {{.*}} per_token 0{{$}}
  sched.fill %a with 0 on @team bytes 64 per_token 0
  // CHECK: sched.fill {{.*}} per_token 0{{$}}
  sched.fill %b with 0 on @team bytes 64 per_token 0
  // CHECK: sched.fill {{.*}} per_token 0 barrier
  sched.fill %again with 0 on @team bytes 64 per_token 0
}

// An updated operand counts as read and written.
// CHECK-LABEL: sched.entry @in_place
sched.entry @in_place capacity 1 {
  %a = sched.alloc @act bytes 64
  // CHECK: sched.fill {{.*}} per_token 0{{$}}
  sched.fill %a with 0 on @team bytes 64 per_token 0
  // CHECK: sched.dispatch {{.*}} per_token 2 barrier
  sched.dispatch @k on @team(%a) writes [0] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch {{.*}} per_token 2 barrier
  sched.dispatch @k on @team(%a) writes [0] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
}

// Signals say that all is done and waits that all may begin, so threads meet at both, but not before the first command.
// CHECK-LABEL: sched.entry @signals
sched.entry @signals capacity 1 {
  %a = sched.alloc @act bytes 64
  // CHECK: sched.wait 0 on @team{{$}}
  sched.wait 0 on @team
  // CHECK: sched.fill {{.*}} per_token 0{{$}}
  sched.fill %a with 0 on @team bytes 64 per_token 0
  // CHECK: sched.signal 1 on @team barrier
  sched.signal 1 on @team
  // CHECK: sched.wait 2 on @team barrier
  sched.wait 2 on @team
}

// Lanes do not meet each other: signals order them.
// CHECK-LABEL: sched.entry @lanes
sched.entry @lanes capacity 1 {
  %a = sched.alloc @act bytes 64
  %b = sched.alloc @act bytes 64
  // CHECK: sched.fill {{.*}} on @team bytes 64 per_token 0{{$}}
  sched.fill %a with 0 on @team bytes 64 per_token 0
  // CHECK: sched.copy {{.*}} on @other bytes 64 per_token 0{{$}}
  sched.copy %a to %b on @other bytes 64 per_token 0
  // CHECK: sched.fill {{.*}} on @team bytes 64 per_token 0 barrier
  sched.fill %a with 0 on @team bytes 64 per_token 0
}

// Every entry starts afresh.
// CHECK-LABEL: sched.entry @next_entry
sched.entry @next_entry capacity 1 {
  %a = sched.fixed @io at 0 bytes 64
  // CHECK: sched.fill {{.*}} per_token 0{{$}}
  sched.fill %a with 0 on @team bytes 64 per_token 0
}

// Barriers that were there and are not needed are removed.
// CHECK-LABEL: sched.entry @again
sched.entry @again capacity 1 {
  %a = sched.alloc @act bytes 64
  // CHECK: sched.fill {{.*}} per_token 0{{$}}
  sched.fill %a with 0 on @team bytes 64 per_token 0 barrier
}

// Dispatches of one unit run on the same thread, one after the other; others have to wait for it.
// CHECK-LABEL: sched.entry @one_unit
sched.entry @one_unit capacity 1 {
  %a = sched.alloc @act bytes 64
  %b = sched.alloc @act bytes 64
  // CHECK: sched.dispatch {{.*}} units 0 per_token 1 {bytes_read
  sched.dispatch @k on @team(%a) writes [0] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch {{.*}} units 1 per_token 0 {bytes_read
  sched.dispatch @k on @team(%a, %b) writes [1] units 1 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch {{.*}} units 2 per_token 0 barrier
  sched.dispatch @k on @team(%b, %a) writes [1] units 2 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch {{.*}} units 1 per_token 0 barrier
  sched.dispatch @k on @team(%a, %b) writes [1] units 1 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// A unit per token is one unit only where there is one token.
// CHECK-LABEL: sched.entry @two_tokens
sched.entry @two_tokens capacity 2 {
  %a = sched.alloc @act bytes 64
  // CHECK: sched.dispatch {{.*}} per_token 1 {bytes_read
  sched.dispatch @k on @team(%a) writes [0] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch {{.*}} per_token 1 barrier
  sched.dispatch @k on @team(%a) writes [0] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}
