// Lowering of model.gqa_attention for 2 tokens: norms and rope in place, both caches, attention.
// 4 heads share 2 key and value heads of 8 elements.
// RUN: ktc-opt %s -sched-lower-entries="decode=2 chunk=4 head-rows=1 context=16" | FileCheck %s
// RUN: ktc-opt %s -sched-lower-entries="decode=2 chunk=4 head-rows=1 context=16 kv-type=f32" | FileCheck %s --check-prefix=F32

// CHECK: sched.kernel @[[RMS_NORM:rms_norm.[0-9]+]] "rms_norm" {dynamic = 0 : i64, eps = 1.500000e-05 : f64, k = 8 : i64, m = 2 : i64, row_offset = 0 : i64, rows = 4 : i64, x_row_stride = 8 : i64, x_stride = 32 : i64, y_row_stride = 8 : i64, y_stride = 32 : i64}
// CHECK: sched.kernel @[[RMS_NORM_KERNEL:rms_norm.[0-9]+]] "rms_norm" {dynamic = 0 : i64, eps = 1.500000e-05 : f64, k = 8 : i64, m = 2 : i64, row_offset = 0 : i64, rows = 2 : i64, x_row_stride = 8 : i64, x_stride = 16 : i64, y_row_stride = 8 : i64, y_stride = 16 : i64}
// CHECK: sched.kernel @[[ROPE:rope.[0-9]+]] "rope" {dims = 4 : i64, dynamic = 0 : i64, m = 2 : i64, rows = 4 : i64, style = "neox", x_row_stride = 8 : i64, x_stride = 32 : i64}
// CHECK: sched.kernel @[[ROPE_KERNEL:rope.[0-9]+]] "rope" {dims = 4 : i64, dynamic = 0 : i64, m = 2 : i64, rows = 2 : i64, style = "neox", x_row_stride = 8 : i64, x_stride = 16 : i64}
// CHECK: sched.kernel @[[KV_STORE:kv_store.[0-9]+]] "kv_store" {cache_stride = 16 : i64, dynamic = 0 : i64, kv_type = "bf16", m = 2 : i64, width = 16 : i64, x_stride = 16 : i64}
// CHECK: sched.kernel @[[ATTENTION_GQA:attention_gqa.[0-9]+]] "attention_gqa" {dynamic = 0 : i64, head_dim = 8 : i64, heads = 4 : i64, kv_heads = 2 : i64, kv_type = "bf16", m = 2 : i64, q_stride = 32 : i64, scale = 2.500000e-01 : f64, v_dim = 8 : i64, window = 5 : i64, y_stride = 32 : i64}

model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
model.weight @k : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @q_norm : tensor<8xf32> {file = 0 : i32, offset = 0 : i64, bytes = 32 : i64}
model.weight @k_norm : tensor<8xf32> {file = 0 : i32, offset = 0 : i64, bytes = 32 : i64}

func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  %q = model.embed %tokens {path = "embed", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
  %k = model.linear %q {path = "k_proj", weight = @k} : (tensor<?x32xf32>) -> tensor<?x16xf32>
  %v = model.linear %q {path = "v_proj", weight = @k} : (tensor<?x32xf32>) -> tensor<?x16xf32>
  %y = model.gqa_attention %q, %k, %v, %positions {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 8 : i64, scale = 0.25 : f64, q_norm = @q_norm, k_norm = @k_norm, norm_eps = 1.5e-5 : f64,
    rope = #model.rope<style = "neox", dims = 4, base = 1.0e4>, window = 5 : i64}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  %l = model.lm_head %x {path = "lm_head", weight = @embd} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// CHECK-LABEL: sched.entry @decode_2 capacity 2 {
// CHECK: %[[POSITIONS:.*]] = sched.fixed @io at 64 bytes 8 {role = "positions"}
// CHECK: %[[RESIDUAL:.*]] = sched.alloc @act bytes 256 {name = "residual"}
// CHECK: %[[LINEAR:.*]] = sched.alloc @act bytes 128 {name = "linear"}
// CHECK: %[[LINEAR_2:.*]] = sched.alloc @act bytes 128 {name = "linear"}
// Norms of the heads, in place: 4 rows per token in q, 2 in k.
// CHECK: %[[Q_NORM:.*]] = sched.weight @q_norm
// CHECK: %[[NONE_3:.*]] = sched.none
// CHECK: sched.dispatch @[[RMS_NORM]] on @cpu.team(%[[RESIDUAL]], %[[Q_NORM]], %[[RESIDUAL]], %[[NONE_3]]) writes [2] units 0 per_token 4 {bytes_read = 32 : i64, path = "attn"}
// CHECK: %[[K_NORM:.*]] = sched.weight @k_norm
// CHECK: %[[NONE_4:.*]] = sched.none
// CHECK: sched.dispatch @[[RMS_NORM_KERNEL]] on @cpu.team(%[[LINEAR]], %[[K_NORM]], %[[LINEAR]], %[[NONE_4]]) writes [2] units 0 per_token 2 {bytes_read = 32 : i64, path = "attn"}
// Rope on the first 4 elements of every head, in place.
// CHECK: %[[ROPE_TABLE_0:.*]] = sched.weight @rope_table.0
// CHECK: sched.dispatch @[[ROPE]] on @cpu.team(%[[RESIDUAL]], %[[ROPE_TABLE_0]], %[[POSITIONS]]) writes [0] units 0 per_token 4 {bytes_read = 0 : i64, path = "attn"}
// CHECK: %[[ROPE_TABLE_0_2:.*]] = sched.weight @rope_table.0
// CHECK: sched.dispatch @[[ROPE_KERNEL]] on @cpu.team(%[[LINEAR]], %[[ROPE_TABLE_0_2]], %[[POSITIONS]]) writes [0] units 0 per_token 2 {bytes_read = 0 : i64, path = "attn"}
// 16 positions of 2 heads of 8 elements of 2 bytes.
// CHECK: %[[LAYER_0_KEYS:.*]] = sched.fixed @kv at 0 bytes 512 {role = "layer 0 keys"}
// CHECK: %[[LAYER_0_VALUES:.*]] = sched.fixed @kv at 512 bytes 512 {role = "layer 0 values"}
// CHECK: sched.dispatch @[[KV_STORE]] on @cpu.team(%[[LINEAR]], %[[LAYER_0_KEYS]], %[[POSITIONS]]) writes [1] units 0 per_token 1 {bytes_read = 0 : i64, path = "attn"}
// CHECK: sched.dispatch @[[KV_STORE]] on @cpu.team(%[[LINEAR_2]], %[[LAYER_0_VALUES]], %[[POSITIONS]]) writes [1] units 0 per_token 1 {bytes_read = 0 : i64, path = "attn"}
// 4 heads of 8 floats for 2 tokens.
// CHECK: %[[ATTENTION:.*]] = sched.alloc @act bytes 256 {name = "attention"}
// CHECK: sched.dispatch @[[ATTENTION_GQA]] on @cpu.team(%[[RESIDUAL]], %[[LAYER_0_KEYS]], %[[LAYER_0_VALUES]], %[[ATTENTION]], %[[POSITIONS]]) writes [3] units 0 per_token 4 {bytes_read = 0 : i64, path = "attn"}

// The other entries use the same cache.
// CHECK-LABEL: sched.entry @prefill
// CHECK: sched.fixed @kv at 0 bytes 512 {role = "layer 0 keys"}
// CHECK: sched.fixed @kv at 512 bytes 512 {role = "layer 0 values"}

// Elements of 4 bytes.
// F32: sched.kernel {{.*}} "kv_store" {{{.*}}kv_type = "f32"
// F32: sched.kernel {{.*}} "attention_gqa" {{{.*}}kv_type = "f32"
// F32: sched.arena @kv "kv_cache" on @cpu bytes 2048
// F32: sched.fixed @kv at 1024 bytes 1024 {role = "layer 0 values"}
