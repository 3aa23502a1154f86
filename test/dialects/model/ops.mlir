// Round trip of every operation of the model dialect, without and with its optional attributes.
// RUN: ktc-opt %s -split-input-file | ktc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: model.weight @blk.0.ffn_norm.weight : tensor<256xf32>
// CHECK-SAME:    {bytes = 1024 : i64, file = 0 : i32, offset = 4096 : i64}
model.weight @blk.0.ffn_norm.weight : tensor<256xf32> {file = 0 : i32, offset = 4096 : i64, bytes = 1024 : i64}

// 3 x 2 rows of one block of 144 bytes.
// CHECK: model.weight @blk.0.ffn_up_exps.weight : tensor<3x2x256x!kt.q4_k> {bytes = 864 : i64, file = 1 : i32, offset = 0 : i64}
model.weight @blk.0.ffn_up_exps.weight : tensor<3x2x256x!kt.q4_k> {file = 1 : i32, offset = 0 : i64, bytes = 864 : i64}

// -----

// CHECK-LABEL: model.weight @kv_b
model.weight @kv_b : tensor<96x64xf16> {file = 0 : i32, offset = 0 : i64, bytes = 12288 : i64}

// 2 heads of 32 key rows and 16 value rows each.
// CHECK: model.derived_weight @k_b from @kv_b "mla_k_b" : tensor<2x64x32x!kt.q8_0>
model.derived_weight @k_b from @kv_b "mla_k_b" : tensor<2x64x32x!kt.q8_0>
// CHECK: model.derived_weight @v_b from @kv_b "mla_v_b" : tensor<2x16x64x!kt.q8_0>
model.derived_weight @v_b from @kv_b "mla_v_b" : tensor<2x16x64x!kt.q8_0>

// -----

model.weight @w : tensor<64x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 2176 : i64}

// CHECK-LABEL: func.func @embed
// CHECK-SAME:    (%[[TOKENS:.*]]: tensor<?xi32>)
func.func @embed(%tokens: tensor<?xi32>) -> tensor<?x32xf32> {
  // CHECK: model.embed %[[TOKENS]] {path = "model.embed_tokens", weight = @w} : (tensor<?xi32>) -> tensor<?x32xf32>
  %x = model.embed %tokens {path = "model.embed_tokens", weight = @w} : (tensor<?xi32>) -> tensor<?x32xf32>
  return %x : tensor<?x32xf32>
}

// -----

model.weight @w : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}

// CHECK-LABEL: func.func @rms_norm
// CHECK-SAME:    (%[[X:.*]]: tensor<?x32xf32>)
func.func @rms_norm(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // CHECK: model.rms_norm %[[X]] {eps = 1.500000e-05 : f64, path = "model.norm", weight = @w} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %y = model.rms_norm %x {path = "model.norm", weight = @w, eps = 1.5e-5 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// A placed operation.
// CHECK-LABEL: func.func @placed
func.func @placed(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // CHECK: model.rms_norm
  // CHECK-SAME: placement = #model.placement<device = "cpu", prefill = "cuda:0", rule = "r.yaml:3">
  %y = model.rms_norm %x {path = "model.norm", weight = @w, eps = 1.5e-5 : f64,
    placement = #model.placement<device = "cpu", prefill = "cuda:0", rule = "r.yaml:3">}
    : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

model.weight @w : tensor<8x32x!kt.q4_0> {file = 0 : i32, offset = 0 : i64, bytes = 144 : i64}
model.weight @b : tensor<8xf32> {file = 0 : i32, offset = 0 : i64, bytes = 32 : i64}

// CHECK-LABEL: func.func @linear
// CHECK-SAME:    (%[[X:.*]]: tensor<?x32xf32>)
func.func @linear(%x: tensor<?x32xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  // CHECK: model.linear %[[X]] {path = "q_proj", weight = @w} : (tensor<?x32xf32>) -> tensor<?x8xf32>
  %y = model.linear %x {path = "q_proj", weight = @w} : (tensor<?x32xf32>) -> tensor<?x8xf32>
  // CHECK: model.linear %[[X]] {bias = @b, path = "k_proj", weight = @w} : (tensor<?x32xf32>) -> tensor<?x8xf32>
  %z = model.linear %x {path = "k_proj", weight = @w, bias = @b} : (tensor<?x32xf32>) -> tensor<?x8xf32>
  return %y, %z : tensor<?x8xf32>, tensor<?x8xf32>
}

// -----

model.weight @n : tensor<8xf32> {file = 0 : i32, offset = 0 : i64, bytes = 32 : i64}
model.weight @s : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}

// CHECK-LABEL: func.func @gqa_attention
// CHECK-SAME:    (%[[Q:.*]]: tensor<?x32xf32>, %[[K:.*]]: tensor<?x16xf32>, %[[V:.*]]: tensor<?x32xf32>, %[[POS:.*]]: tensor<?xi32>)
func.func @gqa_attention(%q: tensor<?x32xf32>, %k: tensor<?x16xf32>, %v: tensor<?x32xf32>, %pos: tensor<?xi32>)
    -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  // CHECK: model.gqa_attention %[[Q]], %[[K]], %[[V]], %[[POS]]
  // CHECK-SAME: {head_dim = 8 : i64, heads = 4 : i64, kv_heads = 2 : i64, layer = 3 : i64, path = "attn", scale = 2.500000e-01 : f64, v_dim = 16 : i64}
  // CHECK-SAME: (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  %y = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 3 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  // CHECK: model.gqa_attention
  // CHECK-SAME: k_norm = @n
  // CHECK-SAME: norm_eps = 1.500000e-05 : f64
  // CHECK-SAME: q_norm = @n
  // CHECK-SAME: rope = #model.rope<style = "neox", dims = 4, base = 10000.0>
  // CHECK-SAME: sinks = @s
  // CHECK-SAME: window = 128 : i64
  %z = model.gqa_attention %q, %k, %v, %pos {path = "attn", layer = 3 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 16 : i64, scale = 0.25 : f64, q_norm = @n, k_norm = @n, norm_eps = 1.5e-5 : f64,
    window = 128 : i64, sinks = @s, rope = #model.rope<style = "neox", dims = 4, base = 1.0e4>}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return %y, %z : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

model.weight @n : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @k_b : tensor<2x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @v_b : tensor<2x24x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
model.weight @kv_b : tensor<80x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 5120 : i64}

// CHECK-LABEL: func.func @mla_attention
// CHECK-SAME:    (%[[Q:.*]]: tensor<?x48xf32>, %[[KV:.*]]: tensor<?x40xf32>, %[[POS:.*]]: tensor<?xi32>)
func.func @mla_attention(%q: tensor<?x48xf32>, %kv: tensor<?x40xf32>, %pos: tensor<?xi32>)
    -> (tensor<?x48xf32>, tensor<?x48xf32>) {
  // CHECK: model.mla_attention %[[Q]], %[[KV]], %[[POS]]
  // CHECK-SAME: {form = "absorbed", heads = 2 : i64, k_b = @k_b, kv_norm = @n, latent = 32 : i64, layer = 0 : i64, nope = 16 : i64, norm_eps = 1.500000e-05 : f64, path = "attn", rope = #model.rope<style = "norm", dims = 8, base = 10000.0>, rope_dims = 8 : i64, scale = 2.500000e-01 : f64, v_b = @v_b, v_dim = 24 : i64}
  // CHECK-SAME: (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  %y = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.5e-5 : f64, k_b = @k_b,
    v_b = @v_b, form = "absorbed"} : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  // The joint projection of older files: 2 heads of 16 + 24 rows.
  // CHECK: model.mla_attention
  // CHECK-SAME: kv_b = @kv_b
  %z = model.mla_attention %q, %kv, %pos {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.5e-5 : f64, kv_b = @kv_b}
    : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return %y, %z : tensor<?x48xf32>, tensor<?x48xf32>
}

// -----

model.weight @w : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @b : tensor<8xf32> {file = 0 : i32, offset = 0 : i64, bytes = 32 : i64}

// CHECK-LABEL: func.func @router
// CHECK-SAME:    (%[[X:.*]]: tensor<?x32xf32>)
func.func @router(%x: tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>) {
  // CHECK: model.router %[[X]] {experts = 8 : i64, gating = "softmax", path = "gate", top_k = 2 : i64, weight = @w} : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  %i, %p = model.router %x {path = "gate", weight = @w, experts = 8 : i64, top_k = 2 : i64, gating = "softmax"}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  // CHECK: model.router %[[X]] {bias = @b, experts = 8 : i64, gating = "sigmoid", groups = 4 : i64, groups_used = 2 : i64, norm = true, path = "gate", scale = 2.500000e+00 : f64, top_k = 2 : i64, weight = @w}
  %j, %r = model.router %x {path = "gate", weight = @w, bias = @b, experts = 8 : i64, top_k = 2 : i64,
    gating = "sigmoid", groups = 4 : i64, groups_used = 2 : i64, norm = true, scale = 2.5 : f64}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  // CHECK: model.router %[[X]] {{.*}}gating = "topk_softmax", logit_bias = @b
  %k, %s = model.router %x {path = "gate", weight = @w, logit_bias = @b, experts = 8 : i64, top_k = 2 : i64, gating = "topk_softmax"}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  return %i, %p : tensor<?x2xi32>, tensor<?x2xf32>
}

// -----

model.weight @gate : tensor<4x16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @up : tensor<4x16x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 2176 : i64}
model.weight @gate_up : tensor<4x32x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
model.weight @down : tensor<4x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @inner : tensor<4x16xf32> {file = 0 : i32, offset = 0 : i64, bytes = 256 : i64}
model.weight @outer : tensor<4x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 512 : i64}

// CHECK-LABEL: func.func @experts
// CHECK-SAME:    (%[[X:.*]]: tensor<?x32xf32>, %[[IDS:.*]]: tensor<?x2xi32>, %[[W:.*]]: tensor<?x2xf32>)
func.func @experts(%x: tensor<?x32xf32>, %ids: tensor<?x2xi32>, %w: tensor<?x2xf32>)
    -> (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>) {
  // CHECK: model.experts %[[X]], %[[IDS]], %[[W]] {down = @down, gate = @gate, path = "experts", up = @up} : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  %y = model.experts %x, %ids, %w {path = "experts", gate = @gate, up = @up, down = @down}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  // CHECK: model.experts %[[X]], %[[IDS]], %[[W]] {act = "gelu_tanh", down = @down, gate_up = @gate_up, path = "experts"}
  %z = model.experts %x, %ids, %w {path = "experts", gate_up = @gate_up, down = @down, act = "gelu_tanh"}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  // CHECK: model.experts %[[X]], %[[IDS]], %[[W]] {act = "swiglu_oai", down = @down, down_bias = @outer, gate = @gate, gate_bias = @inner, path = "experts", up = @up, up_bias = @inner}
  %b = model.experts %x, %ids, %w {path = "experts", gate = @gate, up = @up, down = @down, gate_bias = @inner,
    up_bias = @inner, down_bias = @outer, act = "swiglu_oai"}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return %y, %z, %b : tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>
}

// -----

model.weight @gate : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @down : tensor<32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @og : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}

// CHECK-LABEL: func.func @ffn
// CHECK-SAME:    (%[[X:.*]]: tensor<?x32xf32>)
func.func @ffn(%x: tensor<?x32xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  // CHECK: model.ffn %[[X]] {down = @down, gate = @gate, path = "mlp", up = @gate} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %y = model.ffn %x {path = "mlp", gate = @gate, up = @gate, down = @down} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  // CHECK: model.ffn %[[X]] {act = "gelu_tanh", down = @down, gate = @gate, output_gate = @og, path = "mlp", up = @gate}
  %z = model.ffn %x {path = "mlp", gate = @gate, up = @gate, down = @down, output_gate = @og, act = "gelu_tanh"}
    : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return %y, %z : tensor<?x32xf32>, tensor<?x32xf32>
}

// -----

// CHECK-LABEL: func.func @add
// CHECK-SAME:    (%[[X:.*]]: tensor<?x32xf32>, %[[Y:.*]]: tensor<?x32xf32>)
func.func @add(%x: tensor<?x32xf32>, %y: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // CHECK: model.add %[[X]], %[[Y]] {path = "model.layers.0"} : tensor<?x32xf32>
  %z = model.add %x, %y {path = "model.layers.0"} : tensor<?x32xf32>
  return %z : tensor<?x32xf32>
}

// -----

model.weight @w : tensor<64x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 2176 : i64}

// CHECK-LABEL: func.func @lm_head
// CHECK-SAME:    (%[[X:.*]]: tensor<?x32xf32>)
func.func @lm_head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  // CHECK: model.lm_head %[[X]] {path = "lm_head", weight = @w} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  %l = model.lm_head %x {path = "lm_head", weight = @w} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}
