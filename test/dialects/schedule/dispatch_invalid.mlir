// Every check of sched.dispatch: lane, kernel, written operands, units, streams.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

sched.kernel @k "add" {}
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.dispatch' op @team is not a lane}}
  sched.dispatch @k on @team() writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// -----

// A lane is not the device that it runs on.
sched.device @cpu "cpu" budget 0
sched.kernel @k "add" {}
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.dispatch' op @cpu is not a lane}}
  sched.dispatch @k on @cpu() writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.dispatch' op @k is not a kernel}}
  sched.dispatch @k on @team() writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.kernel @k "add" {}
sched.entry @e capacity 1 {
  %n = sched.none
  // expected-error @+1 {{'sched.dispatch' op writes names operand 1 of 1}}
  sched.dispatch @k on @team(%n) writes [1] units 1 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.kernel @k "add" {}
sched.entry @e capacity 1 {
  %n = sched.none
  // expected-error @+1 {{'sched.dispatch' op writes names operand -1 of 1}}
  sched.dispatch @k on @team(%n) writes [-1] units 1 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.kernel @k "add" {}
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
sched.entry @e capacity 1 {
  %w = sched.weight @w
  // expected-error @+1 {{'sched.dispatch' op operand 0 is written but is a sched.weight}}
  sched.dispatch @k on @team(%w) writes [0] units 1 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// -----

// A view of a weight is a weight.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.kernel @k "add" {}
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
sched.entry @e capacity 1 {
  %w = sched.weight @w
  %v = sched.view %w at 8
  // expected-error @+1 {{'sched.dispatch' op operand 1 is written but is a sched.weight}}
  sched.dispatch @k on @team(%w, %v) writes [1] units 1 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.kernel @k "add" {}
sched.entry @e capacity 1 {
  %n = sched.none
  // expected-error @+1 {{'sched.dispatch' op operand 0 is written but is a sched.none}}
  sched.dispatch @k on @team(%n) writes [0] units 1 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.kernel @k "add" {}
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.dispatch' op units must not be negative, found -1}}
  sched.dispatch @k on @team() writes [] units -1 per_token 0 {path = "p", bytes_read = 0 : i64}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.kernel @k "add" {}
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.dispatch' op units_per_token must not be negative, found -2}}
  sched.dispatch @k on @team() writes [] units 0 per_token -2 {path = "p", bytes_read = 0 : i64}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.kernel @k "add" {}
sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.dispatch' op requires attribute 'bytes_read'}}
  sched.dispatch @k on @team() writes [] units 1 per_token 0 {path = "p"}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.kernel @k "add" {}
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
sched.entry @e capacity 1 {
  %w = sched.weight @w
  %n = sched.none
  // expected-error @+1 {{'sched.dispatch' op streams has 1 numbers, expected pairs}}
  sched.dispatch @k on @team(%w, %n) writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64, streams = array<i64: 0>}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.kernel @k "add" {}
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
sched.entry @e capacity 1 {
  %w = sched.weight @w
  %n = sched.none
  // expected-error @+1 {{'sched.dispatch' op streams names operand 2 of 2}}
  sched.dispatch @k on @team(%w, %n) writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64, streams = array<i64: 2, 4>}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.kernel @k "add" {}
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
sched.entry @e capacity 1 {
  %w = sched.weight @w
  %n = sched.none
  // expected-error @+1 {{'sched.dispatch' op streams names operand -1 of 2}}
  sched.dispatch @k on @team(%w, %n) writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64, streams = array<i64: -1, 4>}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.kernel @k "add" {}
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
sched.entry @e capacity 1 {
  %w = sched.weight @w
  %n = sched.none
  // expected-error @+1 {{'sched.dispatch' op streams operand 1, which is no weight}}
  sched.dispatch @k on @team(%w, %n) writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64, streams = array<i64: 1, 4>}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.kernel @k "add" {}
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
sched.entry @e capacity 1 {
  %w = sched.weight @w
  %n = sched.none
  // expected-error @+1 {{'sched.dispatch' op streams 0 bytes per unit, expected more than 0}}
  sched.dispatch @k on @team(%w, %n) writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64, streams = array<i64: 0, 0>}
}
