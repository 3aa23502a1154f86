// Every check of sched.copy.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

sched.device @cpu "cpu" budget 0
sched.arena @io "io" on @cpu bytes 128
sched.entry @e capacity 1 {
  %a = sched.fixed @io at 0 bytes 64
  %b = sched.fixed @io at 64 bytes 64
  // expected-error @+1 {{'sched.copy' op @team is not a lane}}
  sched.copy %a to %b on @team bytes 64 per_token 0
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 128
sched.entry @e capacity 1 {
  %a = sched.fixed @io at 0 bytes 64
  %b = sched.fixed @io at 64 bytes 64
  // expected-error @+1 {{'sched.copy' op bytes must not be negative, found -64}}
  sched.copy %a to %b on @team bytes -64 per_token 0
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 128
sched.entry @e capacity 1 {
  %a = sched.fixed @io at 0 bytes 64
  %b = sched.fixed @io at 64 bytes 64
  // expected-error @+1 {{'sched.copy' op bytes_per_token must not be negative, found -4}}
  sched.copy %a to %b on @team bytes 64 per_token -4
}
