// Every check of sched.view.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

sched.device @cpu "cpu" budget 0
sched.arena @act "activation" on @cpu bytes 64
sched.entry @e capacity 1 {
  %a = sched.alloc @act bytes 64
  // expected-error @+1 {{'sched.view' op offset must not be negative, found -8}}
  %v = sched.view %a at -8
}
