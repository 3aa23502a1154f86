// model-select-mla-form: latent attention is absorbed; other attention is left alone.
// RUN: ktc-opt %s -model-select-mla-form | FileCheck %s

model.weight @n : tensor<16xf32> {file = 0 : i32, offset = 0 : i64, bytes = 64 : i64}
model.weight @kv_b : tensor<32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}

// CHECK-LABEL: func.func @chosen
func.func @chosen(%q: tensor<?x32xf32>, %kv: tensor<?x24xf32>, %pos: tensor<?xi32>) -> tensor<?x16xf32> {
  // CHECK: model.mla_attention {{.*}}form = "absorbed"
  %y = model.mla_attention %q, %kv, %pos {path = "a", layer = 0 : i64, heads = 2 : i64, nope = 8 : i64,
    rope_dims = 8 : i64, v_dim = 8 : i64, latent = 16 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, kv_b = @kv_b}
    : (tensor<?x32xf32>, tensor<?x24xf32>, tensor<?xi32>) -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}

// What has been chosen stays.
// CHECK-LABEL: func.func @given
func.func @given(%q: tensor<?x32xf32>, %kv: tensor<?x24xf32>, %pos: tensor<?xi32>) -> tensor<?x16xf32> {
  // CHECK: model.mla_attention {{.*}}form = "absorbed"
  %y = model.mla_attention %q, %kv, %pos {path = "a", layer = 0 : i64, heads = 2 : i64, nope = 8 : i64,
    rope_dims = 8 : i64, v_dim = 8 : i64, latent = 16 : i64, scale = 0.25 : f64, form = "absorbed",
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, kv_b = @kv_b}
    : (tensor<?x32xf32>, tensor<?x24xf32>, tensor<?xi32>) -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}

// CHECK-LABEL: func.func @gqa
func.func @gqa(%x: tensor<?x32xf32>, %pos: tensor<?xi32>) -> tensor<?x32xf32> {
  // CHECK: model.gqa_attention
  // CHECK-NOT: form
  %y = model.gqa_attention %x, %x, %x, %pos {path = "a", layer = 0 : i64, heads = 4 : i64, kv_heads = 4 : i64,
    head_dim = 8 : i64, v_dim = 8 : i64, scale = 0.25 : f64}
    : (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
