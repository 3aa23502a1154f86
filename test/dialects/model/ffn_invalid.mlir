// Every check of model.ffn: activation, widths, weights.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

model.weight @gate : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @up : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @no_down(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.ffn' op down names no weight of rank 2: @missing}}
  %y = model.ffn %x {path = "mlp", gate = @gate, up = @up, down = @missing} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @up : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @down : tensor<1x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @down_rank(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.ffn' op down names no weight of rank 2: @down}}
  %y = model.ffn %x {path = "mlp", gate = @gate, up = @up, down = @down} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @up : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @down : tensor<32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @activation(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.ffn' op unknown activation "relu"}}
  %y = model.ffn %x {path = "mlp", gate = @gate, up = @up, down = @down, act = "relu"} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @up : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @down : tensor<32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @result_width(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.ffn' op result: expected 32 features, found 64}}
  %y = model.ffn %x {path = "mlp", gate = @gate, up = @up, down = @down} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return
}

// -----

model.weight @gate : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @up : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @down : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @down_shape(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.ffn' op down @down: expected shape [32, 32], found [16, 32]}}
  %y = model.ffn %x {path = "mlp", gate = @gate, up = @up, down = @down} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @up : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @down : tensor<32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @no_gate(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.ffn' op gate names no weight: @missing}}
  %y = model.ffn %x {path = "mlp", gate = @missing, up = @up, down = @down} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @up : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @down : tensor<32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @gate_shape(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.ffn' op gate @gate: expected shape [16, 32], found [32, 16]}}
  %y = model.ffn %x {path = "mlp", gate = @gate, up = @up, down = @down} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @down : tensor<32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @no_up(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.ffn' op up names no weight: @missing}}
  %y = model.ffn %x {path = "mlp", gate = @gate, up = @missing, down = @down} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @up : tensor<32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @down : tensor<32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @up_shape(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.ffn' op up @up: expected shape [16, 32], found [32, 16]}}
  %y = model.ffn %x {path = "mlp", gate = @gate, up = @up, down = @down} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @up : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @down : tensor<32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @no_output_gate(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.ffn' op output_gate names no weight: @missing}}
  %y = model.ffn %x {path = "mlp", gate = @gate, up = @up, down = @down, output_gate = @missing} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return
}

// -----

// A vector.
model.weight @gate : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @up : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @down : tensor<32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @og : tensor<1x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
func.func @output_gate_shape(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.ffn' op output_gate @og: expected shape [32], found [1, 32]}}
  %y = model.ffn %x {path = "mlp", gate = @gate, up = @up, down = @down, output_gate = @og} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return
}
