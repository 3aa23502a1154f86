// Every check of model-check-types.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics -model-check-types

model.weight @w : tensor<32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 64 : i64}
func.func @norm(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.rms_norm' op weight @w: expected f32, found 'f16'}}
  %y = model.rms_norm %x {path = "n", weight = @w, eps = 1.0e-6 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return
}

// -----

// One error per operation, and all operations are looked at.
model.weight @w : tensor<32x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @b : tensor<32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 34 : i64}
func.func @bias(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.linear' op bias @b: expected f32, found '!kt.q8_0'}}
  %y = model.linear %x {path = "q", weight = @w, bias = @b} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  // expected-error @+1 {{'model.linear' op bias @b: expected f32, found '!kt.q8_0'}}
  %z = model.linear %x {path = "k", weight = @w, bias = @b} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @b : tensor<8xbf16> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
func.func @selection_bias(%x: tensor<?x32xf32>) {
  // expected-error @+1 {{'model.router' op bias @b: expected f32, found 'bf16'}}
  %i, %p = model.router %x {path = "g", weight = @w, bias = @b, experts = 8 : i64, top_k = 2 : i64, gating = "softmax"}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  return
}

// -----

// Only the first of the two norms is reported.
model.weight @n : tensor<8xf16> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
func.func @q_norm(%x: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op q_norm @n: expected f32, found 'f16'}}
  %y = model.gqa_attention %x, %x, %x, %pos {path = "a", layer = 0 : i64, heads = 4 : i64, kv_heads = 4 : i64,
    head_dim = 8 : i64, v_dim = 8 : i64, scale = 0.25 : f64, q_norm = @n, k_norm = @n}
    : (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @n : tensor<8xf16> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}
func.func @k_norm(%x: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op k_norm @n: expected f32, found 'f16'}}
  %y = model.gqa_attention %x, %x, %x, %pos {path = "a", layer = 0 : i64, heads = 4 : i64, kv_heads = 4 : i64,
    head_dim = 8 : i64, v_dim = 8 : i64, scale = 0.25 : f64, k_norm = @n}
    : (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  return
}

// -----

func.func @head_dim(%q: tensor<?x48xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op head_dim must be a multiple of 8, found 12}}
  %y = model.gqa_attention %q, %q, %v, %pos {path = "a", layer = 0 : i64, heads = 4 : i64, kv_heads = 4 : i64,
    head_dim = 12 : i64, v_dim = 8 : i64, scale = 0.25 : f64}
    : (tensor<?x48xf32>, tensor<?x48xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  return
}

// -----

func.func @v_dim(%q: tensor<?x32xf32>, %v: tensor<?x48xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.gqa_attention' op v_dim must be a multiple of 8, found 12}}
  %y = model.gqa_attention %q, %q, %v, %pos {path = "a", layer = 0 : i64, heads = 4 : i64, kv_heads = 4 : i64,
    head_dim = 8 : i64, v_dim = 12 : i64, scale = 0.25 : f64}
    : (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x48xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

model.weight @n : tensor<16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 32 : i64}
model.weight @kv_b : tensor<32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @kv_norm(%q: tensor<?x32xf32>, %kv: tensor<?x24xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op kv_norm @n: expected f32, found 'f16'}}
  %y = model.mla_attention %q, %kv, %pos {path = "a", layer = 0 : i64, heads = 2 : i64, nope = 8 : i64,
    rope_dims = 8 : i64, v_dim = 8 : i64, latent = 16 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, kv_b = @kv_b}
    : (tensor<?x32xf32>, tensor<?x24xf32>, tensor<?xi32>) -> tensor<?x16xf32>
  return
}

// -----

model.weight @n : tensor<12xf32> {file = 0 : i32, offset = 0 : i64, bytes = 48 : i64}
model.weight @kv_b : tensor<32x12xf16> {file = 0 : i32, offset = 0 : i64, bytes = 768 : i64}
func.func @latent(%q: tensor<?x32xf32>, %kv: tensor<?x20xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op latent must be a multiple of 8, found 12}}
  %y = model.mla_attention %q, %kv, %pos {path = "a", layer = 0 : i64, heads = 2 : i64, nope = 8 : i64,
    rope_dims = 8 : i64, v_dim = 8 : i64, latent = 12 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, kv_b = @kv_b}
    : (tensor<?x32xf32>, tensor<?x20xf32>, tensor<?xi32>) -> tensor<?x16xf32>
  return
}

// -----

model.weight @n : tensor<16xf32> {file = 0 : i32, offset = 0 : i64, bytes = 64 : i64}
model.weight @kv_b : tensor<32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
func.func @rope_dims(%q: tensor<?x24xf32>, %kv: tensor<?x20xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op rope_dims must be a multiple of 8, found 4}}
  %y = model.mla_attention %q, %kv, %pos {path = "a", layer = 0 : i64, heads = 2 : i64, nope = 8 : i64,
    rope_dims = 4 : i64, v_dim = 8 : i64, latent = 16 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 4, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, kv_b = @kv_b}
    : (tensor<?x24xf32>, tensor<?x20xf32>, tensor<?xi32>) -> tensor<?x16xf32>
  return
}

// -----

model.weight @gate : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @b : tensor<4x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
func.func @expert_bias(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %p: tensor<?x2xf32>) {
  // expected-error @+1 {{'model.experts' op gate_bias @b: expected f32, found 'f16'}}
  %y = model.experts %x, %ids, %p {path = "e", gate = @gate, up = @gate, down = @down, gate_bias = @b, up_bias = @b}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return
}
