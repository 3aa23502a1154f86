// Every check of sched.weight.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.weight' op @missing is not a weight or constant}}
  %w = sched.weight @missing
}

// -----

sched.device @cpu "cpu" budget 0
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.weight' op @cpu is not a weight or constant}}
  %w = sched.weight @cpu
}
