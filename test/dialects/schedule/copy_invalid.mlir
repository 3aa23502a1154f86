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

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 64
model.weight @w : tensor<16xf32> {file = 0 : i32, offset = 0 : i64, bytes = 64 : i64}
sched.entry @e capacity 1 {
  %a = sched.fixed @io at 0 bytes 64
  %w = sched.weight @w
  // expected-error @+1 {{'sched.copy' op destination is written but is a sched.weight}}
  sched.copy %a to %w on @team bytes 64 per_token 0
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 64
sched.entry @e capacity 1 {
  %a = sched.fixed @io at 0 bytes 64
  %none = sched.none
  // expected-error @+1 {{'sched.copy' op source is a sched.none}}
  sched.copy %none to %a on @team bytes 64 per_token 0
}
