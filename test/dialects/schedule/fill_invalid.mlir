// Every check of sched.fill.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

sched.device @cpu "cpu" budget 0
sched.arena @io "io" on @cpu bytes 64
sched.entry @e capacity 1 {
  %a = sched.fixed @io at 0 bytes 64
  // expected-error @+1 {{'sched.fill' op @team is not a lane}}
  sched.fill %a with 0 on @team bytes 64 per_token 0
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 64
sched.entry @e capacity 1 {
  %a = sched.fixed @io at 0 bytes 64
  // expected-error @+1 {{'sched.fill' op value must be a byte, found 256}}
  sched.fill %a with 256 on @team bytes 64 per_token 0
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 64
sched.entry @e capacity 1 {
  %a = sched.fixed @io at 0 bytes 64
  // expected-error @+1 {{'sched.fill' op value must be a byte, found}}
  sched.fill %a with -1 on @team bytes 64 per_token 0
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 64
sched.entry @e capacity 1 {
  %a = sched.fixed @io at 0 bytes 64
  // expected-error @+1 {{'sched.fill' op bytes must not be negative, found -64}}
  sched.fill %a with 0 on @team bytes -64 per_token 0
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 64
sched.entry @e capacity 1 {
  %a = sched.fixed @io at 0 bytes 64
  // expected-error @+1 {{'sched.fill' op bytes_per_token must not be negative, found -4}}
  sched.fill %a with 0 on @team bytes 64 per_token -4
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.entry @e capacity 1 {
  %none = sched.none
  // expected-error @+1 {{'sched.fill' op destination is written but is a sched.none}}
  sched.fill %none with 0 on @team bytes 64 per_token 0
}
