// sched-check-memory: what lanes may do to each other.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics -sched-check-memory

// A read without a wait.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @mapped "activation" on @cpu bytes 4096 mapped
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 4096
sched.entry @no_wait capacity 1 {
  %a = sched.alloc @mapped bytes 64 at 0
  %b = sched.alloc @mapped bytes 64 at 64
  // expected-note @below {{the other command}}
  sched.fill %a with 0 on @gpu bytes 64 per_token 0
  // expected-error @below {{accesses memory that a command of another lane writes without waiting for it}}
  sched.copy %a to %b on @team bytes 64 per_token 0
}

// -----

// The signal is raised too early.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @mapped "activation" on @cpu bytes 4096 mapped
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 4096
sched.entry @too_early capacity 1 {
  %a = sched.alloc @mapped bytes 64 at 0
  %b = sched.alloc @mapped bytes 64 at 64
  sched.signal 0 on @gpu
  // expected-note @below {{the other command}}
  sched.fill %a with 0 on @gpu bytes 64 per_token 0
  sched.wait 0 on @team
  // expected-error @below {{accesses memory that a command of another lane writes without waiting for it}}
  sched.copy %a to %b on @team bytes 64 per_token 0
}

// -----

// The threads of the team have not met before the signal: some may still be writing.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @mapped "activation" on @cpu bytes 4096 mapped
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 4096
sched.entry @no_barrier capacity 1 {
  %a = sched.alloc @mapped bytes 64 at 0
  %b = sched.alloc @mapped bytes 64 at 64
  // expected-note @below {{the other command}}
  sched.fill %a with 0 on @team bytes 64 per_token 0
  sched.signal 0 on @team
  sched.wait 0 on @gpu
  // expected-error @below {{accesses memory that a command of another lane writes without waiting for it}}
  sched.copy %a to %b on @gpu bytes 64 per_token 0
}

// -----

// A write while another lane may still be reading.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @mapped "activation" on @cpu bytes 4096 mapped
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 4096
sched.entry @anti capacity 1 {
  %a = sched.alloc @mapped bytes 64 at 0
  %b = sched.alloc @mapped bytes 64 at 64
  sched.fill %a with 0 on @gpu bytes 64 per_token 0
  sched.signal 0 on @gpu
  sched.wait 0 on @team
  // expected-note @below {{the other command}}
  sched.copy %a to %b on @team bytes 64 per_token 0
  // expected-error @below {{accesses memory that a command of another lane reads without waiting for it}}
  sched.fill %a with 1 on @gpu bytes 64 per_token 0
}

// -----

// Ranges of a persistent arena count by their bytes.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @mapped "activation" on @cpu bytes 4096 mapped
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 4096
sched.arena @io "io" on @cpu bytes 128 mapped
sched.entry @ranges capacity 1 {
  %a = sched.fixed @io at 0 bytes 128
  %b = sched.fixed @io at 64 bytes 64
  // expected-note @below {{the other command}}
  sched.fill %a with 0 on @gpu bytes 128 per_token 0
  // expected-error @below {{accesses memory that a command of another lane writes without waiting for it}}
  sched.fill %b with 1 on @team bytes 64 per_token 0
}

// -----

// Two buffers of different lanes in the same bytes at the same time.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @mapped "activation" on @cpu bytes 4096 mapped
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 4096
sched.entry @shared_bytes capacity 1 {
  %a = sched.alloc @mapped bytes 64 at 0
  // expected-error @below {{shares bytes of @mapped with the buffer at 0, but lanes may use both at the same time}}
  %b = sched.alloc @mapped bytes 64 at 0
  sched.fill %a with 0 on @gpu bytes 64 per_token 0
  sched.fill %b with 1 on @team bytes 64 per_token 0
}
