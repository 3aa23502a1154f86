// Every check of model.embed, and what its operand and result types refuse.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

func.func @no_weight(%t: tensor<?xi32>) {
  // expected-error @+1 {{'model.embed' op weight names no weight: @missing}}
  %x = model.embed %t {path = "e", weight = @missing} : (tensor<?xi32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @w : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
func.func @width(%t: tensor<?xi32>) {
  // expected-error @+1 {{'model.embed' op weight @w: expected shape [64, 48], found [64, 32]}}
  %x = model.embed %t {path = "e", weight = @w} : (tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

// A vector cannot say how many tokens there are.
model.weight @w : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
func.func @rank(%t: tensor<?xi32>) {
  // expected-error @+1 {{'model.embed' op weight @w: expected shape [1, 32], found [32]}}
  %x = model.embed %t {path = "e", weight = @w} : (tensor<?xi32>) -> tensor<?x32xf32>
  return
}

// -----

func.func @tokens(%t: tensor<?xi64>) {
  // expected-error @+1 {{'model.embed' op operand #0 must be tensor<?xi32>, but got 'tensor<?xi64>'}}
  %x = model.embed %t {path = "e", weight = @w} : (tensor<?xi64>) -> tensor<?x32xf32>
  return
}

// -----

func.func @static_tokens(%t: tensor<4xi32>) {
  // expected-error @+1 {{'model.embed' op operand #0 must be tensor<?xi32>, but got 'tensor<4xi32>'}}
  %x = model.embed %t {path = "e", weight = @w} : (tensor<4xi32>) -> tensor<?x32xf32>
  return
}

// -----

func.func @result_element(%t: tensor<?xi32>) {
  // expected-error @+1 {{'model.embed' op result #0 must be tensor<?xNxf32>, but got 'tensor<?x32xf16>'}}
  %x = model.embed %t {path = "e", weight = @w} : (tensor<?xi32>) -> tensor<?x32xf16>
  return
}

// -----

func.func @result_static(%t: tensor<?xi32>) {
  // expected-error @+1 {{'model.embed' op result #0 must be tensor<?xNxf32>, but got 'tensor<4x32xf32>'}}
  %x = model.embed %t {path = "e", weight = @w} : (tensor<?xi32>) -> tensor<4x32xf32>
  return
}

// -----

func.func @result_width(%t: tensor<?xi32>) {
  // expected-error @+1 {{'model.embed' op result #0 must be tensor<?xNxf32>, but got 'tensor<?x?xf32>'}}
  %x = model.embed %t {path = "e", weight = @w} : (tensor<?xi32>) -> tensor<?x?xf32>
  return
}

// -----

func.func @result_empty(%t: tensor<?xi32>) {
  // expected-error @+1 {{'model.embed' op result #0 must be tensor<?xNxf32>, but got 'tensor<?x0xf32>'}}
  %x = model.embed %t {path = "e", weight = @w} : (tensor<?xi32>) -> tensor<?x0xf32>
  return
}

// -----

func.func @no_path(%t: tensor<?xi32>) {
  // expected-error @+1 {{'model.embed' op requires attribute 'path'}}
  %x = model.embed %t {weight = @w} : (tensor<?xi32>) -> tensor<?x32xf32>
  return
}
