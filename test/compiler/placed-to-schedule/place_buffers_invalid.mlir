// sched-place-buffers: memory that a lane cannot reach.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics -sched-place-buffers

// The host cannot access the memory of a GPU.
sched.device @cpu "cpu" budget 0
sched.lane @cpu.team on @cpu
sched.arena @io "io" on @cpu bytes 64
sched.device @"cuda:0" "cuda" budget 0
sched.arena @kv.cuda0 "kv_cache" on @"cuda:0" bytes 64
sched.entry @e capacity 1 {
  %in = sched.fixed @io at 0 bytes 64
  // expected-error @below {{'sched.fixed' op lies on @cuda:0, where @cpu cannot access it}}
  %cache = sched.fixed @kv.cuda0 at 0 bytes 64
  sched.copy %in to %cache on @cpu.team bytes 64 per_token 0
}

// -----

// A GPU without an arena.
sched.device @cpu "cpu" budget 0
sched.arena @act "activation" on @cpu bytes 0
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu.stream on @"cuda:0"
sched.entry @e capacity 1 {
  // expected-error @below {{'sched.alloc' op is used on @cuda:0, which has no activation arena}}
  %x = sched.alloc @act bytes 64
  sched.fill %x with 0 on @gpu.stream bytes 64 per_token 0
}
