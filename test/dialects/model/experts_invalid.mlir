// Every check of model.experts: activation, columns, widths, the two ways to give gate and up, and biases.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

model.weight @gate : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @up : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
func.func @no_down(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op down names no weight of rank 3: @missing}}
  %y = model.experts %x, %ids, %p {path = "experts", gate = @gate, up = @up, down = @missing}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @up : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @down : tensor<128x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
func.func @down_rank(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op down names no weight of rank 3: @down}}
  %y = model.experts %x, %ids, %p {path = "experts", gate = @gate, up = @up, down = @down}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @up : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
func.func @activation(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op unknown activation "relu"}}
  %y = model.experts %x, %ids, %p {path = "experts", gate = @gate, up = @up, down = @down, act = "relu"}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @up : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
func.func @columns(%x: tensor<?x32xf32>, %ids: tensor<?x4xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op ids and weights differ in their number of columns}}
  %y = model.experts %x, %ids, %p {path = "experts", gate = @gate, up = @up, down = @down}
    : (tensor<?x32xf32>, tensor<?x4xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @up : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
func.func @result_width(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op result: expected 32 features, found 64}}
  %y = model.experts %x, %ids, %p {path = "experts", gate = @gate, up = @up, down = @down}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x64xf32>
  return
}

// -----

// [experts, in, ffn] with in = 32.
model.weight @gate : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @up : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @down : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
func.func @down_shape(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op down @down: expected shape [4, 32, 32], found [4, 16, 32]}}
  %y = model.experts %x, %ids, %p {path = "experts", gate = @gate, up = @up, down = @down}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @gate_up : tensor<4x32x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
func.func @gate_up_and_gate(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op gate_up excludes gate and up}}
  %y = model.experts %x, %ids, %p {path = "experts", gate_up = @gate_up, gate = @gate, down = @down}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @up : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @gate_up : tensor<4x32x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
func.func @gate_up_and_up(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op gate_up excludes gate and up}}
  %y = model.experts %x, %ids, %p {path = "experts", gate_up = @gate_up, up = @up, down = @down}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

// Twice the 16 inner features.
model.weight @gate_up : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
func.func @gate_up_shape(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op gate_up @gate_up: expected shape [4, 32, 32], found [4, 16, 32]}}
  %y = model.experts %x, %ids, %p {path = "experts", gate_up = @gate_up, down = @down}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
func.func @no_gate_up(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op gate_up names no weight: @missing}}
  %y = model.experts %x, %ids, %p {path = "experts", gate_up = @missing, down = @down}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
func.func @no_gate_no_up(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op needs gate and up, or gate_up}}
  %y = model.experts %x, %ids, %p {path = "experts", down = @down}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
func.func @only_gate(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op needs gate and up, or gate_up}}
  %y = model.experts %x, %ids, %p {path = "experts", gate = @gate, down = @down}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @up : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
func.func @only_up(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op needs gate and up, or gate_up}}
  %y = model.experts %x, %ids, %p {path = "experts", up = @up, down = @down}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<2x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @up : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
func.func @gate_shape(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op gate @gate: expected shape [4, 16, 32], found [2, 16, 32]}}
  %y = model.experts %x, %ids, %p {path = "experts", gate = @gate, up = @up, down = @down}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @up : tensor<4x8x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
func.func @up_shape(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op up @up: expected shape [4, 16, 32], found [4, 8, 32]}}
  %y = model.experts %x, %ids, %p {path = "experts", gate = @gate, up = @up, down = @down}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @up : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @inner : tensor<4x16xf32> {file = 0 : i32, offset = 0 : i64, bytes = 256 : i64}
model.weight @outer : tensor<4x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 512 : i64}
func.func @only_gate_bias(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op needs gate_bias and up_bias, or neither}}
  %y = model.experts %x, %ids, %p {path = "experts", gate = @gate, up = @up, down = @down, gate_bias = @inner}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @up : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @inner : tensor<4x16xf32> {file = 0 : i32, offset = 0 : i64, bytes = 256 : i64}
model.weight @outer : tensor<4x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 512 : i64}
func.func @only_up_bias(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op needs gate_bias and up_bias, or neither}}
  %y = model.experts %x, %ids, %p {path = "experts", gate = @gate, up = @up, down = @down, up_bias = @inner}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @up : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @inner : tensor<4x16xf32> {file = 0 : i32, offset = 0 : i64, bytes = 256 : i64}
model.weight @outer : tensor<4x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 512 : i64}
func.func @gate_bias_shape(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op gate_bias @outer: expected shape [4, 16], found [4, 32]}}
  %y = model.experts %x, %ids, %p {path = "experts", gate = @gate, up = @up, down = @down, gate_bias = @outer, up_bias = @inner}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @up : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @inner : tensor<4x16xf32> {file = 0 : i32, offset = 0 : i64, bytes = 256 : i64}
model.weight @outer : tensor<4x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 512 : i64}
func.func @up_bias_shape(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op up_bias @outer: expected shape [4, 16], found [4, 32]}}
  %y = model.experts %x, %ids, %p {path = "experts", gate = @gate, up = @up, down = @down, gate_bias = @inner, up_bias = @outer}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @gate : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @up : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @inner : tensor<4x16xf32> {file = 0 : i32, offset = 0 : i64, bytes = 256 : i64}
model.weight @outer : tensor<4x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 512 : i64}
func.func @down_bias_shape(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op down_bias @inner: expected shape [4, 32], found [4, 16]}}
  %y = model.experts %x, %ids, %p {path = "experts", gate = @gate, up = @up, down = @down, down_bias = @inner}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}
