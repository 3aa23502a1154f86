// sched-check-memory finds wrong plans: each of these is one mistake of a planner.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics -sched-check-memory

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 64
sched.entry @no_offset capacity 1 {
  // expected-error @+1 {{'sched.alloc' op has no offset}}
  %a = sched.alloc @act bytes 64
  sched.fill %a with 0 on @team bytes 64 per_token 0
}

// -----

// The arena is too small,
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 127
sched.entry @across_the_end capacity 1 {
  // expected-error @+1 {{'sched.alloc' op range 64 + 64 exceeds the 127 bytes of @act}}
  %a = sched.alloc @act bytes 64 at 64
  sched.fill %a with 0 on @team bytes 64 per_token 0
}

// -----

// or the buffer is behind it.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 64
sched.entry @behind_the_end capacity 1 {
  // expected-error @+1 {{'sched.alloc' op range 128 + 64 exceeds the 64 bytes of @act}}
  %a = sched.alloc @act bytes 64 at 128
  sched.fill %a with 0 on @team bytes 64 per_token 0
}

// -----

// The second entry is looked at, too.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 64
sched.entry @good capacity 1 {
  %a = sched.alloc @act bytes 64 at 0
  sched.fill %a with 0 on @team bytes 64 per_token 0
}
sched.entry @bad capacity 1 {
  // expected-error @+1 {{'sched.alloc' op range 0 + 128 exceeds the 64 bytes of @act}}
  %a = sched.alloc @act bytes 128 at 0
  sched.fill %a with 0 on @team bytes 64 per_token 0
}

// -----

// Nobody has written the bytes at all.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 128
sched.arena @io "io" on @cpu bytes 64
sched.entry @read_before_write capacity 1 {
  %io = sched.fixed @io at 0 bytes 64
  %a = sched.alloc @act bytes 64 at 64 {name = "a"}
  // expected-error @+1 {{'sched.copy' op reads byte 64 of @act, which its buffer "a" has not written or no longer owns}}
  sched.copy %a to %io on @team bytes 64 per_token 0
  sched.fill %a with 0 on @team bytes 64 per_token 0 barrier
}

// -----

// Another buffer has taken all of the bytes before the last read.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 64
sched.arena @io "io" on @cpu bytes 64
sched.entry @stolen capacity 1 {
  %io = sched.fixed @io at 0 bytes 64
  %a = sched.alloc @act bytes 64 at 0
  %thief = sched.alloc @act bytes 64 at 0
  sched.fill %a with 0 on @team bytes 64 per_token 0
  sched.fill %thief with 0 on @team bytes 64 per_token 0 barrier
  // expected-error @+1 {{'sched.copy' op reads byte 0 of @act, which its buffer "unnamed" has not written or no longer owns}}
  sched.copy %a to %io on @team bytes 64 per_token 0 barrier
}

// -----

// Or a part in the middle: bytes 64 to 127 of 0 to 191.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 192
sched.arena @io "io" on @cpu bytes 64
sched.entry @partly_stolen capacity 1 {
  %io = sched.fixed @io at 0 bytes 64
  %a = sched.alloc @act bytes 192 at 0 {name = "a"}
  %thief = sched.alloc @act bytes 64 at 64 {name = "thief"}
  sched.fill %a with 0 on @team bytes 192 per_token 0
  sched.fill %thief with 0 on @team bytes 64 per_token 0 barrier
  // expected-error @+1 {{'sched.copy' op reads byte 64 of @act, which its buffer "a" has not written or no longer owns}}
  sched.copy %a to %io on @team bytes 64 per_token 0 barrier
}

// -----

// Or its tail.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 256
sched.arena @io "io" on @cpu bytes 64
sched.entry @tail_stolen capacity 1 {
  %io = sched.fixed @io at 0 bytes 64
  %a = sched.alloc @act bytes 192 at 0 {name = "a"}
  %thief = sched.alloc @act bytes 128 at 128 {name = "thief"}
  sched.fill %a with 0 on @team bytes 192 per_token 0
  sched.fill %thief with 0 on @team bytes 128 per_token 0 barrier
  // expected-error @+1 {{'sched.copy' op reads byte 128 of @act, which its buffer "a" has not written or no longer owns}}
  sched.copy %a to %io on @team bytes 64 per_token 0 barrier
}

// -----

// The thief reads what it has not written: the bytes behind its first 64 are a's.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 128
sched.arena @io "io" on @cpu bytes 64
sched.kernel @k "linear" {}
sched.entry @read_through_view capacity 1 {
  %io = sched.fixed @io at 0 bytes 64
  %a = sched.alloc @act bytes 128 at 0 {name = "a"}
  %b = sched.alloc @act bytes 128 at 0 {name = "b"}
  %v = sched.view %b at 64
  sched.fill %a with 0 on @team bytes 128 per_token 0
  // expected-error @+1 {{'sched.dispatch' op reads byte 0 of @act, which its buffer "b" has not written or no longer owns}}
  sched.dispatch @k on @team(%v, %io) writes [1] units 1 per_token 0 barrier {path = "p", bytes_read = 0 : i64}
}

// -----

// Two results of one group: each is written by its own threads at its own time.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 192
sched.entry @written_together capacity 1 {
  %a = sched.alloc @act bytes 128 at 0
  %b = sched.alloc @act bytes 128 at 64
  sched.fill %a with 0 on @team bytes 128 per_token 0
  // expected-error @+1 {{'sched.fill' op shares bytes between a buffer at 64 and one at 0 within a barrier group}}
  sched.fill %b with 0 on @team bytes 128 per_token 0
}

// -----

// Source and result of one command: ownership alone would allow it.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 64
sched.entry @source_and_result capacity 1 {
  %a = sched.alloc @act bytes 64 at 0
  %b = sched.alloc @act bytes 64 at 0
  sched.fill %a with 0 on @team bytes 64 per_token 0
  // expected-error @+1 {{'sched.copy' op shares bytes between a buffer at 0 and one at 0 within a barrier group}}
  sched.copy %a to %b on @team bytes 64 per_token 0 barrier
}

// -----

// A slow thread may still read a when a fast one writes b: the barrier comes one command too late.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 64
sched.arena @io "io" on @cpu bytes 64
sched.entry @late_barrier capacity 1 {
  %io = sched.fixed @io at 0 bytes 64
  %a = sched.alloc @act bytes 64 at 0
  %b = sched.alloc @act bytes 64 at 0
  sched.fill %a with 0 on @team bytes 64 per_token 0
  sched.copy %a to %io on @team bytes 64 per_token 0 barrier
  // expected-error @+1 {{'sched.fill' op shares bytes between a buffer at 0 and one at 0 within a barrier group}}
  sched.fill %b with 0 on @team bytes 64 per_token 0
  sched.copy %b to %io on @team bytes 64 per_token 0 barrier
}

// -----

// An update in place reads what is there: the thief's bytes.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 64
sched.kernel @rope "rope" {}
sched.entry @stolen_before_update capacity 1 {
  %x = sched.alloc @act bytes 64 at 0 {name = "x"}
  %thief = sched.alloc @act bytes 64 at 0 {name = "thief"}
  sched.fill %x with 0 on @team bytes 64 per_token 0
  sched.fill %thief with 1 on @team bytes 64 per_token 0 barrier
  // expected-error @+1 {{'sched.dispatch' op reads byte 0 of @act, which its buffer "x" has not written or no longer owns}}
  sched.dispatch @rope on @team(%x) writes [0] units 1 per_token 0 barrier {path = "p", bytes_read = 0 : i64}
}
