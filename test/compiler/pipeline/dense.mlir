// One layer from model to schedule: grouped-query attention and a dense feed-forward block, all in F16.
// RUN: ktc-opt %s -model-to-placed | FileCheck %s --check-prefix=PLACED
// RUN: ktc-opt %s -model-to-placed -placed-to-schedule | FileCheck %s
// The result is complete: checking it again finds nothing.
// RUN: ktc-opt %s -model-to-placed -placed-to-schedule | ktc-opt -sched-check-memory

model.weight @token_embd.weight : tensor<64x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @norm : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @square : tensor<32x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @up : tensor<64x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @down : tensor<32x64xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}

func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  %x = model.embed %tokens {path = "model.embed_tokens", weight = @token_embd.weight} : (tensor<?xi32>) -> tensor<?x32xf32>
  %n = model.rms_norm %x {path = "model.layers.0.input_layernorm", weight = @norm, eps = 1.0e-6 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %q = model.linear %n {path = "model.layers.0.self_attn.q_proj", weight = @square} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %k = model.linear %n {path = "model.layers.0.self_attn.k_proj", weight = @square} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %v = model.linear %n {path = "model.layers.0.self_attn.v_proj", weight = @square} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %a = model.gqa_attention %q, %k, %v, %positions {path = "model.layers.0.self_attn", layer = 0 : i64, heads = 4 : i64,
    kv_heads = 4 : i64, head_dim = 8 : i64, v_dim = 8 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>}
    : (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  %o = model.linear %a {path = "model.layers.0.self_attn.o_proj", weight = @square} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %y = model.add %x, %o {path = "model.layers.0"} : tensor<?x32xf32>
  %m = model.rms_norm %y {path = "model.layers.0.post_attention_layernorm", weight = @norm, eps = 1.0e-6 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %f = model.ffn %m {path = "model.layers.0.mlp", gate = @up, up = @up, down = @down} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %z = model.add %y, %f {path = "model.layers.0"} : tensor<?x32xf32>
  return %z : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  %n = model.rms_norm %x {path = "model.norm", weight = @norm, eps = 1.0e-6 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %l = model.lm_head %n {path = "lm_head", weight = @token_embd.weight} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// PLACED-LABEL:     func.func @body
// PLACED-COUNT-11:  placement = #model.placement<device = "cpu", prefill = "cpu", rule = "cpu">
// PLACED-NEXT:      return
// PLACED-LABEL:     func.func @head
// PLACED-COUNT-2:   placement = #model.placement<device = "cpu", prefill = "cpu", rule = "cpu">
// PLACED-NEXT:      return

// Both branches accumulate into the residual stream: no sum is left.
// CHECK-NOT: "add"
// CHECK-DAG: sched.kernel @[[ACCUMULATE:linear.[0-9]+]] "linear" {accumulate = 1 : i64, {{.*}} dynamic = 0 : i64, {{.*}} m = 1 : i64
// CHECK-DAG: sched.kernel @[[DOWN:down.[0-9]+]] "down" {accumulate = 1 : i64, {{.*}} dynamic = 0 : i64, {{.*}} m = 1 : i64

// The arena of temporaries is as large as a chunk of 2048 tokens needs: residual, norm, q, k and v at the same time, 32 floats each.
// CHECK: sched.arena @act "activation" on @cpu bytes 1310720
// Keys and values of 4096 positions of 32 elements of 2 bytes.
// CHECK: sched.arena @kv "kv_cache" on @cpu bytes 524288
// 2048 tokens, 2048 positions, 2048 hidden rows of 128 bytes, 16 rows of 256 bytes of logits.
// CHECK: sched.arena @io "io" on @cpu bytes 282624

// The whole step has 11 meetings. Buffers that live together do not overlap; the partial results of attention take the bytes of the
// first norm, k and v, the merged ones those of q (6272), and the second norm those of v (256).
// CHECK-LABEL: sched.entry @decode_1 capacity 1 {
// CHECK: %[[X:.*]] = sched.alloc @act bytes 128 at 6144 {name = "residual"}
// CHECK: sched.dispatch {{.*}} per_token 1 {bytes_read = 64 : i64, path = "model.embed_tokens"
// CHECK: sched.alloc @act bytes 128 at 0 {name = "norm"}
// One row each: the same thread makes both.
// CHECK: sched.dispatch {{.*}} per_token 1 {bytes_read {{.*}} path = "model.layers.0.input_layernorm"
// CHECK: sched.alloc @act bytes 128 at 6272 {name = "linear"}
// CHECK: sched.dispatch {{.*}} barrier {{.*}} path = "model.layers.0.self_attn.q_proj"
// k and v are computed together with q.
// CHECK: sched.alloc @act bytes 128 at 128 {name = "linear"}
// CHECK: sched.dispatch {{.*}} per_token 0 {bytes_read = 2048 : i64, path = "model.layers.0.self_attn.k_proj"
// CHECK: sched.alloc @act bytes 128 at 256 {name = "linear"}
// CHECK: sched.dispatch {{.*}} per_token 0 {bytes_read = 2048 : i64, path = "model.layers.0.self_attn.v_proj"
// CHECK: sched.dispatch @rope.{{.*}} per_token 4 barrier
// CHECK: sched.dispatch @rope.{{.*}} per_token 4 {
// CHECK: sched.dispatch @kv_store.{{.*}} per_token 1 barrier
// CHECK: sched.dispatch @kv_store.{{.*}} per_token 1 {
// CHECK: sched.alloc @act bytes 128 at 6272 {name = "attention"}
// 4 heads, 16 splits, 8 + 16 floats each.
// CHECK: sched.alloc @act bytes 6144 at 0 {name = "attention partials"}
// CHECK: sched.dispatch @attention_gqa.{{.*}} writes [6] {{.*}} per_token 64 barrier
// CHECK: sched.dispatch @attention_merge.{{.*}} writes [1] {{.*}} per_token 4 barrier
// CHECK: sched.dispatch @[[ACCUMULATE]] on @cpu.team(%{{.*}}, %{{.*}}, %[[X]], %{{.*}}) writes [2] {{.*}} barrier {{.*}} path = "model.layers.0.self_attn.o_proj"
// CHECK: sched.alloc @act bytes 128 at 256 {name = "norm"}
// CHECK: sched.dispatch {{.*}} barrier {{.*}} path = "model.layers.0.post_attention_layernorm"
// CHECK: sched.alloc @act bytes 256 at 0 {name = "gate up"}
// CHECK: sched.dispatch @gate_up.{{.*}} barrier
// CHECK: sched.dispatch @[[DOWN]] on @cpu.team(%{{.*}}, %{{.*}}, %{{.*}}, %[[X]], %{{.*}}, %{{.*}}) writes [3] {{.*}} barrier
// CHECK: sched.dispatch {{.*}} barrier {{.*}} path = "model.norm"
// CHECK: sched.dispatch {{.*}} barrier {{.*}} path = "lm_head"{{.*}}}
// CHECK-NEXT: }

// CHECK-LABEL: sched.entry @decode_2 capacity 2 {
// CHECK-LABEL: sched.entry @decode_4 capacity 4 {
// CHECK-LABEL: sched.entry @decode_8 capacity 8 {
// CHECK-LABEL: sched.entry @decode_16 capacity 16 {
// CHECK-LABEL: sched.entry @prefill capacity 2048 dynamic {
// CHECK: sched.copy {{.*}} bytes 0 per_token 128 barrier
// CHECK-LABEL: sched.entry @head capacity 16 dynamic {
// CHECK-NOT: sched.alloc {{.*}}bytes {{[0-9]+}} {name
