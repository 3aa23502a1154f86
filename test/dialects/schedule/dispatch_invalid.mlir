// Every check of sched.dispatch: lane, kernel, written operands, units, streams, hints.
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

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 64
sched.kernel @k "gate_up" {}
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
sched.entry @e capacity 1 {
  %w = sched.weight @w
  %n = sched.none
  %ids = sched.fixed @io at 0 bytes 8
  // expected-error @+1 {{'sched.dispatch' op expert_bytes has 1 numbers, expected 0}}
  sched.dispatch @k on @team(%w, %ids) writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64, streams = array<i64: 0, 4>, expert_bytes = array<i64: 4>}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 64
sched.kernel @k "gate_up" {}
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
sched.entry @e capacity 1 {
  %w = sched.weight @w
  %n = sched.none
  %ids = sched.fixed @io at 0 bytes 8
  // expected-error @+1 {{'sched.dispatch' op expert_bytes has 0 numbers, expected 1}}
  sched.dispatch @k on @team(%w, %n, %ids) writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64, streams = array<i64: 0, 4>, hint = array<i64: 2, 2, 4, 1>}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 64
sched.kernel @k "gate_up" {}
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
sched.entry @e capacity 1 {
  %w = sched.weight @w
  %n = sched.none
  %ids = sched.fixed @io at 0 bytes 8
  // expected-error @+1 {{'sched.dispatch' op hint has 3 numbers, expected 4}}
  sched.dispatch @k on @team(%w, %n, %ids) writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64, streams = array<i64: 0, 4>, expert_bytes = array<i64: 4>, hint = array<i64: 2, 2, 4>}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 64
sched.kernel @k "gate_up" {}
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
sched.entry @e capacity 1 {
  %w = sched.weight @w
  %n = sched.none
  %ids = sched.fixed @io at 0 bytes 8
  // expected-error @+1 {{'sched.dispatch' op hint names operand 3 of 3}}
  sched.dispatch @k on @team(%w, %n, %ids) writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64, streams = array<i64: 0, 4>, expert_bytes = array<i64: 4>, hint = array<i64: 2, 2, 4, 3>}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 64
sched.kernel @k "gate_up" {}
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
sched.entry @e capacity 1 {
  %w = sched.weight @w
  %n = sched.none
  %ids = sched.fixed @io at 0 bytes 8
  // expected-error @+1 {{'sched.dispatch' op hint is operand 1, expected the last one and no other's}}
  sched.dispatch @k on @team(%w, %ids, %n) writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64, streams = array<i64: 0, 4>, expert_bytes = array<i64: 4>, hint = array<i64: 1, 2, 4, 0>}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 64
sched.kernel @k "gate_up" {}
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
sched.entry @e capacity 1 {
  %w = sched.weight @w
  %n = sched.none
  %ids = sched.fixed @io at 0 bytes 8
  // expected-error @+1 {{'sched.dispatch' op hint operand 2 is no range of a persistent arena, nor in the lists}}
  sched.dispatch @k on @team(%w, %ids, %n) writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64, streams = array<i64: 0, 4>, expert_bytes = array<i64: 4>, hint = array<i64: 2, 2, 4, 1>}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 64
sched.kernel @k "gate_up" {}
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
sched.entry @e capacity 1 {
  %w = sched.weight @w
  %n = sched.none
  %ids = sched.fixed @io at 0 bytes 8
  // expected-error @+1 {{'sched.dispatch' op hint of 5 of 4 experts}}
  sched.dispatch @k on @team(%w, %n, %ids) writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64, streams = array<i64: 0, 4>, expert_bytes = array<i64: 4>, hint = array<i64: 2, 5, 4, 1>}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 64
sched.kernel @k "gate_up" {}
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
sched.entry @e capacity 1 {
  %w = sched.weight @w
  %n = sched.none
  %ids = sched.fixed @io at 0 bytes 8
  // expected-error @+1 {{'sched.dispatch' op hint of 3 ids at 0 of 8 bytes}}
  sched.dispatch @k on @team(%w, %n, %ids) writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64, streams = array<i64: 0, 4>, expert_bytes = array<i64: 4>, hint = array<i64: 2, 3, 4, 1>}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 64
sched.kernel @k "gate_up" {}
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
sched.entry @e capacity 1 {
  %w = sched.weight @w
  %n = sched.none
  %ids = sched.fixed @io at 0 bytes 8
  // expected-error @+1 {{'sched.dispatch' op expert_bytes must be positive}}
  sched.dispatch @k on @team(%w, %n, %ids) writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64, streams = array<i64: 0, 4>, expert_bytes = array<i64: 0>, hint = array<i64: 2, 2, 4, 1>}
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @l on @cpu
sched.arena @io "io" on @cpu bytes 64
sched.kernel @k "f" {n = 1 : i64}
sched.entry @e capacity 1 {
  %n = sched.none
  // expected-error @+1 {{'sched.dispatch' op grain of 0 units, expected more than 0}}
  sched.dispatch @k on @l(%n) writes [] units 1 per_token 0 {path = "p", bytes_read = 0 : i64, grain = 0 : i64}
}
