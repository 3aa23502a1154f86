// Every check of model.router: counts, gating, groups, results, weights.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @no_experts(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op top_k must be in 1..0, found 2}}
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 0 : i64, top_k = 2 : i64, gating = "softmax"}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  return
}

// -----

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @no_top_k(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op top_k must be in 1..8, found 0}}
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 8 : i64, top_k = 0 : i64, gating = "softmax"}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  return
}

// -----

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @large_top_k(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op top_k must be in 1..8, found 9}}
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 8 : i64, top_k = 9 : i64, gating = "softmax"}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  return
}

// -----

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @gating(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op unknown gating "tanh"}}
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 8 : i64, top_k = 2 : i64, gating = "tanh"}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  return
}

// -----

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @no_groups(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op 0 groups, 1 used: groups must divide 8 experts and contain the used ones}}
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 8 : i64, top_k = 2 : i64, gating = "softmax",
    groups = 0 : i64}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  return
}

// -----

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @uneven_groups(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op 3 groups, 1 used: groups must divide 8 experts and contain the used ones}}
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 8 : i64, top_k = 2 : i64, gating = "softmax",
    groups = 3 : i64}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  return
}

// -----

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @no_groups_used(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op 4 groups, 0 used: groups must divide 8 experts and contain the used ones}}
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 8 : i64, top_k = 2 : i64, gating = "softmax",
    groups = 4 : i64, groups_used = 0 : i64}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  return
}

// -----

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @many_groups_used(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op 4 groups, 5 used: groups must divide 8 experts and contain the used ones}}
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 8 : i64, top_k = 2 : i64, gating = "softmax",
    groups = 4 : i64, groups_used = 5 : i64}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  return
}

// -----

// The score of a group is the sum of its two largest, so groups of one expert have none.
model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @small_groups(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op top_k 2 does not fit 8 groups of 1}}
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 8 : i64, top_k = 2 : i64, gating = "softmax",
    groups = 8 : i64, groups_used = 8 : i64}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  return
}

// -----

// One group of two experts does not have three.
model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @top_k_in_groups(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op top_k 3 does not fit 1 groups of 2}}
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 8 : i64, top_k = 3 : i64, gating = "softmax",
    groups = 4 : i64, groups_used = 1 : i64}
    : (tensor<?x32xf32>) -> (tensor<?x3xi32>, tensor<?x3xf32>)
  return
}

// -----

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @ids_columns(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op results must have top_k = 2 columns}}
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 8 : i64, top_k = 2 : i64, gating = "softmax"}
    : (tensor<?x32xf32>) -> (tensor<?x4xi32>, tensor<?x2xf32>)
  return
}

// -----

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @weights_columns(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op results must have top_k = 2 columns}}
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 8 : i64, top_k = 2 : i64, gating = "softmax"}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x4xf32>)
  return
}

// -----

func.func @no_weight(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op weight names no weight: @missing}}
  %i, %p = model.router %x {path = "gate", weight = @missing, experts = 8 : i64, top_k = 2 : i64, gating = "softmax"}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  return
}

// -----

model.weight @w : tensor<16x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
func.func @weight_shape(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op weight @w: expected shape [8, 32], found [16, 32]}}
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 8 : i64, top_k = 2 : i64, gating = "softmax"}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  return
}

// -----

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @no_bias(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op bias names no weight: @missing}}
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 8 : i64, top_k = 2 : i64, gating = "softmax",
    bias = @missing}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  return
}

// -----

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @b : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
func.func @bias_shape(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op bias @b: expected shape [8], found [4]}}
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 8 : i64, top_k = 2 : i64, gating = "softmax",
    bias = @b}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  return
}

// -----

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @ids_type(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op result #0 must be tensor<?xKxi32>, but got 'tensor<?x2xi64>'}}
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 8 : i64, top_k = 2 : i64, gating = "softmax"}
    : (tensor<?x32xf32>) -> (tensor<?x2xi64>, tensor<?x2xf32>)
  return
}

// -----

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @b : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
func.func @logit_bias_shape(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op logit_bias @b: expected shape [8], found [4]}}
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 8 : i64, top_k = 2 : i64, gating = "softmax",
    logit_bias = @b}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  return
}
