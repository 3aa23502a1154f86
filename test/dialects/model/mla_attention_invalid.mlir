// Every check of model.mla_attention: sizes, widths of all values, rope, form, and the two ways to give the projection.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @k_b : tensor<2x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @v_b : tensor<2x24x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
func.func @no_heads(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op heads, nope, rope_dims, v_dim and latent must be positive}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 0 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, k_b = @k_b, v_b = @v_b}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @k_b : tensor<2x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @v_b : tensor<2x24x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
func.func @no_nope(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op heads, nope, rope_dims, v_dim and latent must be positive}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 0 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, k_b = @k_b, v_b = @v_b}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @k_b : tensor<2x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @v_b : tensor<2x24x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
func.func @no_rope_dims(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op heads, nope, rope_dims, v_dim and latent must be positive}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 0 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, k_b = @k_b, v_b = @v_b}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @k_b : tensor<2x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @v_b : tensor<2x24x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
func.func @no_v_dim(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op heads, nope, rope_dims, v_dim and latent must be positive}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 0 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, k_b = @k_b, v_b = @v_b}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @k_b : tensor<2x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @v_b : tensor<2x24x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
func.func @negative_latent(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op heads, nope, rope_dims, v_dim and latent must be positive}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = -32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, k_b = @k_b, v_b = @v_b}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

// 2 heads of 16 + 8.
model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @k_b : tensor<2x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @v_b : tensor<2x24x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
func.func @q_width(%q: tensor<?x32xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op q: expected 48 features, found 32}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, k_b = @k_b, v_b = @v_b}
    : (tensor<?x32xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

// 32 + 8.
model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @k_b : tensor<2x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @v_b : tensor<2x24x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
func.func @kv_width(%q: tensor<?x48xf32>, %kv: tensor<?x32xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op kv: expected 40 features, found 32}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, k_b = @k_b, v_b = @v_b}
    : (tensor<?x48xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

// 2 heads of 24.
model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @k_b : tensor<2x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @v_b : tensor<2x24x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
func.func @result_width(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op result: expected 48 features, found 32}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, k_b = @k_b, v_b = @v_b}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  return
}

// -----

model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @k_b : tensor<2x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @v_b : tensor<2x24x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
func.func @rope_differs(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op rope dims 4 differ from rope_dims 8}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 4, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, k_b = @k_b, v_b = @v_b}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @k_b : tensor<2x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @v_b : tensor<2x24x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
func.func @unknown_form(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op unknown form "expanded"}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, k_b = @k_b, v_b = @v_b, form = "expanded"}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

model.weight @k_b : tensor<2x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @v_b : tensor<2x24x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
func.func @no_kv_norm(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op kv_norm names no weight: @missing}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @missing, norm_eps = 1.0e-6 : f64, k_b = @k_b, v_b = @v_b}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

model.weight @n : tensor<40xf32> {file = 0 : i32, offset = 0 : i64, bytes = 160 : i64}
model.weight @k_b : tensor<2x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @v_b : tensor<2x24x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
func.func @kv_norm_shape(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op kv_norm @n: expected shape [32], found [40]}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, k_b = @k_b, v_b = @v_b}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @k_b : tensor<2x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @kv_b : tensor<80x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 5120 : i64}
func.func @kv_b_and_k_b(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op kv_b excludes k_b and v_b}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, kv_b = @kv_b, k_b = @k_b}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @v_b : tensor<2x24x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
model.weight @kv_b : tensor<80x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 5120 : i64}
func.func @kv_b_and_v_b(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op kv_b excludes k_b and v_b}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, kv_b = @kv_b, v_b = @v_b}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

// 2 heads of 16 + 24 rows.
model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @kv_b : tensor<64x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
func.func @kv_b_shape(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op kv_b @kv_b: expected shape [80, 32], found [64, 32]}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, kv_b = @kv_b}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
func.func @no_kv_b(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op kv_b names no weight: @missing}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, kv_b = @missing}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
func.func @no_projection(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op needs k_b and v_b, or kv_b}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @k_b : tensor<2x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
func.func @only_k_b(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op needs k_b and v_b, or kv_b}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, k_b = @k_b}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @v_b : tensor<2x24x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
func.func @only_v_b(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op needs k_b and v_b, or kv_b}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, v_b = @v_b}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

// k_b is stored transposed.
model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @k_b : tensor<2x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @v_b : tensor<2x24x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
func.func @k_b_shape(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op k_b @k_b: expected shape [2, 32, 16], found [2, 16, 32]}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, k_b = @k_b, v_b = @v_b}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}

// -----

// v_b is not.
model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @k_b : tensor<2x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @v_b : tensor<2x32x24xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
func.func @v_b_shape(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>) {
  // expected-error @+1 {{'model.mla_attention' op v_b @v_b: expected shape [2, 24, 32], found [2, 32, 24]}}
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, k_b = @k_b, v_b = @v_b}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return
}
