// model-check-types changes nothing: vectors are f32, and everything else may have any format.
// RUN: ktc-opt %s -model-check-types | FileCheck %s

model.weight @embd : tensor<4x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 136 : i64}
model.weight @norm : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @head_norm : tensor<8xf32> {file = 0 : i32, offset = 0 : i64, bytes = 32 : i64}
model.weight @latent_norm : tensor<16xf32> {file = 0 : i32, offset = 0 : i64, bytes = 64 : i64}
model.weight @w : tensor<32x32x!kt.q4_0> {file = 0 : i32, offset = 0 : i64, bytes = 576 : i64}
model.weight @b : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @kv_b : tensor<40x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1280 : i64}
// The gate of a shared expert is a matrix of one row.
model.weight @gate : tensor<32xbf16> {file = 0 : i32, offset = 0 : i64, bytes = 64 : i64}

// CHECK-LABEL: func.func @legal
func.func @legal(%tokens: tensor<?xi32>, %kv: tensor<?x24xf32>) {
  // CHECK-NEXT: model.embed
  %x = model.embed %tokens {path = "e", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
  // CHECK-NEXT: model.rms_norm
  %n = model.rms_norm %x {path = "n", weight = @norm, eps = 1.0e-6 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  // CHECK-NEXT: model.linear
  %q = model.linear %n {path = "q", weight = @w, bias = @b} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  // CHECK-NEXT: model.gqa_attention
  %a = model.gqa_attention %q, %q, %q, %tokens {path = "a", layer = 0 : i64, heads = 4 : i64, kv_heads = 4 : i64,
    head_dim = 8 : i64, v_dim = 8 : i64, scale = 0.25 : f64, q_norm = @head_norm, k_norm = @head_norm}
    : (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  // Neither nope nor v_dim must be a multiple of 8: they are dimensions of matrix products only.
  // CHECK-NEXT: model.mla_attention
  %m = model.mla_attention %q, %kv, %tokens {path = "m", layer = 0 : i64, heads = 2 : i64, nope = 8 : i64,
    rope_dims = 8 : i64, v_dim = 12 : i64, latent = 16 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @latent_norm, norm_eps = 1.0e-6 : f64,
    kv_b = @kv_b} : (tensor<?x32xf32>, tensor<?x24xf32>, tensor<?xi32>) -> tensor<?x24xf32>
  // CHECK-NEXT: model.ffn
  %f = model.ffn %n {path = "f", gate = @w, up = @w, down = @w, output_gate = @gate}
    : (tensor<?x32xf32>) -> tensor<?x32xf32>
  // CHECK-NEXT: return
  return
}
