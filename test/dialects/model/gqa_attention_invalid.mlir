// Every check of model.gqa_attention: head counts, widths of all values, rope, norms.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

func.func @no_heads(%q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op heads must be a positive multiple of kv_heads, found 0 and 2}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 0 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @no_kv_heads(%q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op heads must be a positive multiple of kv_heads, found 4 and 0}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 0 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @no_head_dim(%q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op head_dim and v_dim must be positive, found 0 and 16}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 0 : i64, v_dim = 16 : i64, scale = 0.25 : f64}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @negative_v_dim(%q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op head_dim and v_dim must be positive, found 8 and -16}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = -16 : i64, scale = 0.25 : f64}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @negative_window(%q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op window must not be negative, found -1}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64, window = -1 : i64}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @uneven_groups(%q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op heads must be a positive multiple of kv_heads, found 4 and 3}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 3 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return
}

// -----

// 4 heads of 8.
func.func @q_width(%q: tensor<?x48xf32>, %k: tensor<?x16xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op q: expected 32 features, found 48}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64}
    : (tensor<?x48xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return
}

// -----

// 2 heads of 8.
func.func @k_width(%q: tensor<?x32xf32>, %k: tensor<?x32xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op k: expected 16 features, found 32}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64}
    : (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return
}

// -----

// 2 heads of 16.
func.func @v_width(%q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %v: tensor<?x16xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op v: expected 32 features, found 16}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return
}

// -----

// 4 heads of 16.
func.func @result_width(%q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op result: expected 64 features, found 32}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  return
}

// -----

func.func @rope_dims(%q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op rope dims 16 exceed head_dim 8}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "neox", dims = 16, base = 1.0e4>}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @no_q_norm(%q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op q_norm names no weight: @missing}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64,
    q_norm = @missing}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return
}

// -----

// A norm of one head, not of all.
model.weight @n : tensor<16xf32> {file = 0 : i32, offset = 0 : i64, bytes = 64 : i64}
func.func @q_norm_shape(%q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op q_norm @n: expected shape [8], found [16]}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64,
    q_norm = @n}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @no_k_norm(%q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op k_norm names no weight: @missing}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64,
    k_norm = @missing}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return
}

// -----

model.weight @n : tensor<16xf32> {file = 0 : i32, offset = 0 : i64, bytes = 64 : i64}
func.func @k_norm_shape(%q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op k_norm @n: expected shape [8], found [16]}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64,
    k_norm = @n}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @positions(%q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi64>) {
  // expected-error @+1 {{'model.gqa_attention' op operand #3 must be tensor<?xi32>, but got 'tensor<?xi64>'}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi64>) -> tensor<?x64xf32>
  return
}

// -----

func.func @no_sinks(%q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op sinks names no weight: @missing}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64,
    sinks = @missing}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return
}

// -----

// One per head, not per key/value head.
model.weight @s : tensor<2xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8 : i64}
func.func @sinks_shape(%q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op sinks @s: expected shape [4], found [2]}}
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64,
    sinks = @s}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return
}
