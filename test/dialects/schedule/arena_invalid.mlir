// Every check of sched.arena.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

sched.device @cpu "cpu" budget 0
// expected-error @+1 {{'sched.arena' op kind must be "activation", "kv_cache" or "io", found "scratch"}}
sched.arena @a "scratch" on @cpu bytes 0

// -----

sched.device @cpu "cpu" budget 0
// expected-error @+1 {{'sched.arena' op bytes must not be negative, found -64}}
sched.arena @a "io" on @cpu bytes -64

// -----

// expected-error @+1 {{'sched.arena' op @cpu is not a device}}
sched.arena @a "io" on @cpu bytes 64
