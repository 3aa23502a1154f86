// Every check of sched.wait.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.wait' op signal must not be negative, found -1}}
  sched.wait -1 on @team
}

// -----

sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.wait' op @team is not a lane}}
  sched.wait 0 on @team
}
