// Every check of sched.alloc.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.alloc' op @act is not an activation arena}}
  %a = sched.alloc @act bytes 64
}

// -----

sched.device @cpu "cpu" budget 0
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.alloc' op @cpu is not an activation arena}}
  %a = sched.alloc @cpu bytes 64
}

// -----

sched.device @cpu "cpu" budget 0
sched.arena @io "io" on @cpu bytes 64
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.alloc' op @io is not an activation arena}}
  %a = sched.alloc @io bytes 64
}

// -----

sched.device @cpu "cpu" budget 0
sched.arena @act "activation" on @cpu bytes 64
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.alloc' op bytes must be positive, found 0}}
  %a = sched.alloc @act bytes 0
}

// -----

sched.device @cpu "cpu" budget 0
sched.arena @act "activation" on @cpu bytes 64
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.alloc' op bytes must be positive, found -64}}
  %a = sched.alloc @act bytes -64
}

// -----

sched.device @cpu "cpu" budget 0
sched.arena @act "activation" on @cpu bytes 128
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.alloc' op offset 32 is not a multiple of 64}}
  %a = sched.alloc @act bytes 64 at 32
}
