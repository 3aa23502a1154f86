// Lowering of model.mla_attention for 2 tokens, absorbed: c and r go to one cache, q' = Wkᵀ q, attention in the latent space, Wv.
// 2 heads of 16 + 8 (rope) elements, latent width 32, values of 24.
// RUN: ktc-opt %s -sched-lower-entries="decode=2 chunk=4 head-rows=1 context=16" | FileCheck %s

// CHECK: sched.kernel @[[RMS_NORM:rms_norm.[0-9]+]] "rms_norm" {dynamic = 0 : i64, eps = 1.500000e-05 : f64, k = 32 : i64, m = 2 : i64, row_offset = 0 : i64, rows = 1 : i64, x_row_stride = 40 : i64, x_stride = 40 : i64, y_row_stride = 32 : i64, y_stride = 32 : i64}
// CHECK: sched.kernel @[[ROPE:rope.[0-9]+]] "rope" {dims = 8 : i64, dynamic = 0 : i64, m = 2 : i64, rows = 2 : i64, style = "norm", x_row_stride = 24 : i64, x_stride = 48 : i64}
// CHECK: sched.kernel @[[ROPE_KERNEL:rope.[0-9]+]] "rope" {dims = 8 : i64, dynamic = 0 : i64, m = 2 : i64, rows = 1 : i64, style = "norm", x_row_stride = 40 : i64, x_stride = 40 : i64}
// CHECK: sched.kernel @[[KV_STORE:kv_store.[0-9]+]] "kv_store" {cache_stride = 40 : i64, dynamic = 0 : i64, kv_type = "bf16", m = 2 : i64, width = 32 : i64, x_stride = 32 : i64}
// CHECK: sched.kernel @[[KV_STORE_KERNEL:kv_store.[0-9]+]] "kv_store" {cache_stride = 40 : i64, dynamic = 0 : i64, kv_type = "bf16", m = 2 : i64, width = 8 : i64, x_stride = 40 : i64}
// CHECK: sched.kernel @[[LINEAR_KERNEL:linear.[0-9]+]] "linear" {batch = 2 : i64, bias = 0 : i64, dynamic = 0 : i64, format = "f16", k = 16 : i64, m = 2 : i64, n = 32 : i64, prefetch = 1 : i64, x_batch_stride = 24 : i64, x_stride = 48 : i64, y_batch_stride = 32 : i64, y_stride = 64 : i64}
// CHECK: sched.kernel @[[ATTENTION_MLA:attention_mla.[0-9]+]] "attention_mla" {dynamic = 0 : i64, heads = 2 : i64, kv_type = "bf16", latent = 32 : i64, m = 2 : i64, q_row_stride = 24 : i64, q_stride = 48 : i64, rope = 8 : i64, scale = 2.500000e-01 : f64}
// CHECK: sched.kernel @[[QUANTIZE:quantize.[0-9]+]] "quantize" {dynamic = 0 : i64, k = 32 : i64, m = 2 : i64, rows = 2 : i64, x_row_stride = 32 : i64, x_stride = 64 : i64}
// CHECK: sched.kernel @[[LINEAR_KERNEL_2:linear.[0-9]+]] "linear" {batch = 2 : i64, bias = 0 : i64, dynamic = 0 : i64, exact = 1 : i64, format = "q8_0", k = 32 : i64, m = 2 : i64, n = 24 : i64, prefetch = 1 : i64, y_batch_stride = 24 : i64, y_stride = 48 : i64}

model.weight @embd : tensor<64x48xf32> {file = 0 : i32, offset = 0 : i64, bytes = 12288 : i64}
model.weight @kv_a : tensor<40x48xf16> {file = 0 : i32, offset = 0 : i64, bytes = 3840 : i64}
model.weight @norm : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @k_b : tensor<2x32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @v_b : tensor<2x24x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 1632 : i64}

func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x48xf32> {
  %q = model.embed %tokens {path = "embed", weight = @embd} : (tensor<?xi32>) -> tensor<?x48xf32>
  %kv = model.linear %q {path = "kv_a", weight = @kv_a} : (tensor<?x48xf32>) -> tensor<?x40xf32>
  %y = model.mla_attention %q, %kv, %positions {path = "attn", layer = 0 : i64, heads = 2 : i64, nope = 16 : i64,
    rope_dims = 8 : i64, v_dim = 24 : i64, latent = 32 : i64, scale = 0.25 : f64, form = "absorbed",
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @norm, norm_eps = 1.5e-5 : f64, k_b = @k_b,
    v_b = @v_b} : (tensor<?x48xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x48xf32>
  return %y : tensor<?x48xf32>
}
func.func @head(%x: tensor<?x48xf32>) -> tensor<?x64xf32> {
  %l = model.lm_head %x {path = "lm_head", weight = @embd} : (tensor<?x48xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// CHECK-LABEL: sched.entry @decode_2 capacity 2 {
// CHECK: %[[POSITIONS:.*]] = sched.fixed @io at 64 bytes 8 {role = "positions"}
// CHECK: %[[RESIDUAL:.*]] = sched.alloc @act bytes 384 {name = "residual"}
// CHECK: %[[LINEAR:.*]] = sched.alloc @act bytes 320 {name = "linear"}
// c is the first 32 of every 40 elements of kv; its norm goes to rows of its own.
// CHECK: %[[LATENT:.*]] = sched.alloc @act bytes 256 {name = "latent"}
// CHECK: %[[NORM:.*]] = sched.weight @norm
// CHECK: %[[NONE_2:.*]] = sched.none
// CHECK: sched.dispatch @[[RMS_NORM]] on @cpu.team(%[[LINEAR]], %[[NORM]], %[[LATENT]], %[[NONE_2]]) writes [2] units 0 per_token 1 {bytes_read = 128 : i64, path = "attn"}
// The rope part of q begins behind 16 elements, that of kv behind 32.
// CHECK: %[[VIEW:.*]] = sched.view %[[RESIDUAL]] at 64
// CHECK: %[[VIEW_2:.*]] = sched.view %[[LINEAR]] at 128
// CHECK: %[[ROPE_TABLE_0:.*]] = sched.weight @rope_table.0
// CHECK: sched.dispatch @[[ROPE]] on @cpu.team(%[[VIEW]], %[[ROPE_TABLE_0]], %[[POSITIONS]]) writes [0] units 0 per_token 2 {bytes_read = 0 : i64, path = "attn"}
// CHECK: %[[ROPE_TABLE_0_2:.*]] = sched.weight @rope_table.0
// CHECK: sched.dispatch @[[ROPE_KERNEL]] on @cpu.team(%[[VIEW_2]], %[[ROPE_TABLE_0_2]], %[[POSITIONS]]) writes [0] units 0 per_token 1 {bytes_read = 0 : i64, path = "attn"}
// 16 positions of 32 + 8 elements of 2 bytes; r is stored behind c.
// CHECK: %[[LAYER_0_KEYS:.*]] = sched.fixed @kv at 0 bytes 1280 {role = "layer 0 keys"}
// CHECK: sched.dispatch @[[KV_STORE]] on @cpu.team(%[[LATENT]], %[[LAYER_0_KEYS]], %[[POSITIONS]]) writes [1] units 0 per_token 1 {bytes_read = 0 : i64, path = "attn"}
// CHECK: %[[VIEW_3:.*]] = sched.view %[[LAYER_0_KEYS]] at 64
// CHECK: sched.dispatch @[[KV_STORE_KERNEL]] on @cpu.team(%[[VIEW_2]], %[[VIEW_3]], %[[POSITIONS]]) writes [1] units 0 per_token 1 {bytes_read = 0 : i64, path = "attn"}
// One product per head with k_b: 2 · 32 / 4 units. It reads the first 16 of the 24 elements of each head.
// CHECK: %[[K_B:.*]] = sched.weight @k_b
// CHECK: %[[ABSORBED_Q:.*]] = sched.alloc @act bytes 512 {name = "absorbed q"}
// CHECK: %[[NONE_3:.*]] = sched.none
// CHECK: sched.dispatch @[[LINEAR_KERNEL]] on @cpu.team(%[[RESIDUAL]], %[[K_B]], %[[ABSORBED_Q]], %[[NONE_3]]) writes [2] units 16 per_token 0 {bytes_read = 2048 : i64, path = "attn"}
// The scores take the rope part from q itself.
// CHECK: %[[MIXED_LATENT:.*]] = sched.alloc @act bytes 512 {name = "mixed latent"}
// CHECK: sched.dispatch @[[ATTENTION_MLA]] on @cpu.team(%[[ABSORBED_Q]], %[[VIEW]], %[[LAYER_0_KEYS]], %[[MIXED_LATENT]], %[[POSITIONS]]) writes [3] units 0 per_token 2 {bytes_read = 0 : i64, path = "attn"}
// v_b is quantised: 2 rows of 64 bytes per token.
// CHECK: %[[Q8:.*]] = sched.alloc @act bytes 256 {name = "q8"}
// CHECK: sched.dispatch @[[QUANTIZE]] on @cpu.team(%[[MIXED_LATENT]], %[[Q8]]) writes [1] units 0 per_token 2 {bytes_read = 0 : i64, path = "attn"}
// 2 · 24 / 4 units.
// CHECK: %[[V_B:.*]] = sched.weight @v_b
// CHECK: %[[ATTENTION:.*]] = sched.alloc @act bytes 384 {name = "attention"}
// CHECK: %[[NONE_4:.*]] = sched.none
// CHECK: sched.dispatch @[[LINEAR_KERNEL_2]] on @cpu.team(%[[Q8]], %[[V_B]], %[[ATTENTION]], %[[NONE_4]]) writes [2] units 12 per_token 0 {bytes_read = 1632 : i64, path = "attn"}
