// Every check of sched.fixed: its arena and its range.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.fixed' op @io is not a persistent arena}}
  %f = sched.fixed @io at 0 bytes 64
}

// -----

sched.device @cpu "cpu" budget 0
sched.arena @act "activation" on @cpu bytes 64
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.fixed' op @act is not a persistent arena}}
  %f = sched.fixed @act at 0 bytes 64
}

// -----

sched.device @cpu "cpu" budget 0
sched.arena @io "io" on @cpu bytes 64
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.fixed' op offset must not be negative, found -64}}
  %f = sched.fixed @io at -64 bytes 64
}

// -----

sched.device @cpu "cpu" budget 0
sched.arena @io "io" on @cpu bytes 64
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.fixed' op bytes must not be negative, found -1}}
  %f = sched.fixed @io at 0 bytes -1
}

// -----

// Behind the end.
sched.device @cpu "cpu" budget 0
sched.arena @io "io" on @cpu bytes 64
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.fixed' op range 128 + 0 exceeds the 64 bytes of @io}}
  %f = sched.fixed @io at 128 bytes 0
}

// -----

// Across the end.
sched.device @cpu "cpu" budget 0
sched.arena @kv "kv_cache" on @cpu bytes 64
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.fixed' op range 32 + 33 exceeds the 64 bytes of @kv}}
  %f = sched.fixed @kv at 32 bytes 33
}

// -----

// A sum that would wrap around.
sched.device @cpu "cpu" budget 0
sched.arena @io "io" on @cpu bytes 64
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.fixed' op range 64 + 9223372036854775807 exceeds the 64 bytes of @io}}
  %f = sched.fixed @io at 64 bytes 9223372036854775807
}
