// One layer from model to schedule: latent attention of an older file and routed experts with a shared one, all quantised.
// RUN: ktc-opt %s -model-to-placed | FileCheck %s --check-prefix=PLACED
// RUN: ktc-opt %s -model-to-placed -placed-to-schedule | FileCheck %s
// The result is complete: checking it again finds nothing.
// RUN: ktc-opt %s -model-to-placed -placed-to-schedule | ktc-opt -sched-check-memory

model.weight @token_embd.weight : tensor<64x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 2176 : i64}
model.weight @norm : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @kv_norm : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @q : tensor<80x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 2720 : i64}
model.weight @kv_a : tensor<40x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 1360 : i64}
model.weight @kv_b : tensor<96x32x!kt.q4_0> {file = 0 : i32, offset = 0 : i64, bytes = 1728 : i64}
model.weight @o : tensor<32x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 1088 : i64}
model.weight @router : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @exps : tensor<8x32x32x!kt.q4_0> {file = 0 : i32, offset = 0 : i64, bytes = 4608 : i64}
model.weight @shexp : tensor<32x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 1088 : i64}

func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  %x = model.embed %tokens {path = "model.embed_tokens", weight = @token_embd.weight} : (tensor<?xi32>) -> tensor<?x32xf32>
  %n = model.rms_norm %x {path = "model.layers.0.input_layernorm", weight = @norm, eps = 1.0e-6 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %q = model.linear %n {path = "model.layers.0.self_attn.q_proj", weight = @q} : (tensor<?x32xf32>) -> tensor<?x80xf32>
  %kv = model.linear %n {path = "model.layers.0.self_attn.kv_a_proj_with_mqa", weight = @kv_a} : (tensor<?x32xf32>) -> tensor<?x40xf32>
  %a = model.mla_attention %q, %kv, %positions {path = "model.layers.0.self_attn", layer = 0 : i64, heads = 2 : i64,
    nope = 32 : i64, rope_dims = 8 : i64, v_dim = 16 : i64, latent = 32 : i64, scale = 0.25 : f64,
    rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @kv_norm, norm_eps = 1.0e-6 : f64, kv_b = @kv_b}
    : (tensor<?x80xf32>, tensor<?x40xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  %o = model.linear %a {path = "model.layers.0.self_attn.o_proj", weight = @o} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %y = model.add %x, %o {path = "model.layers.0"} : tensor<?x32xf32>
  %m = model.rms_norm %y {path = "model.layers.0.post_attention_layernorm", weight = @norm, eps = 1.0e-6 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %ids, %w = model.router %m {path = "model.layers.0.mlp.gate", weight = @router, experts = 8 : i64, top_k = 2 : i64, gating = "softmax"}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  %e = model.experts %m, %ids, %w {path = "model.layers.0.mlp.experts", gate = @exps, up = @exps, down = @exps}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  %s = model.ffn %m {path = "model.layers.0.mlp.shared_experts", gate = @shexp, up = @shexp, down = @shexp} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %es = model.add %e, %s {path = "model.layers.0.mlp"} : tensor<?x32xf32>
  %z = model.add %y, %es {path = "model.layers.0"} : tensor<?x32xf32>
  return %z : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  %n = model.rms_norm %x {path = "model.norm", weight = @norm, eps = 1.0e-6 : f64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %l = model.lm_head %n {path = "lm_head", weight = @token_embd.weight} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// The joint projection is split, the form is chosen, and the branches join the residual one by one.
// PLACED-DAG:   model.derived_weight @kv_b.k_b from @kv_b "mla_k_b"
// PLACED-DAG:   model.derived_weight @kv_b.v_b from @kv_b "mla_v_b"
// PLACED-LABEL: func.func @body
// PLACED:       model.mla_attention {{.*}}form = "absorbed", {{.*}}k_b = @kv_b.k_b, {{.*}}v_b = @kv_b.v_b
// PLACED:       %[[Y:.*]] = model.add {{.*}}path = "model.layers.0"
// PLACED:       %[[E:.*]] = model.experts
// PLACED:       %[[S:.*]] = model.ffn
// PLACED-NEXT:  %[[YE:.*]] = model.add %[[Y]], %[[E]] {path = "model.layers.0", placement
// PLACED-NEXT:  model.add %[[YE]], %[[S]] {path = "model.layers.0", placement

// Three products accumulate into the residual: the output projection, the experts and the shared expert.
// CHECK-NOT: "add"
// CHECK-DAG: sched.kernel @[[OUT:linear.[0-9]+]] "linear" {accumulate = 1 : i64, {{.*}} dynamic = 0 : i64, {{.*}} m = 1 : i64
// CHECK-DAG: sched.kernel @[[EXPERTS:down.[0-9]+]] "down" {accumulate = 1 : i64, dense = 0 : i64, dynamic = 0 : i64, {{.*}} m = 1 : i64, {{.*}} quantize = 1 : i64
// CHECK-DAG: sched.kernel @[[SHARED:down.[0-9]+]] "down" {accumulate = 1 : i64, dense = 1 : i64, dynamic = 0 : i64, {{.*}} m = 1 : i64
// 4096 positions of 32 + 8 elements of 2 bytes.
// CHECK: sched.arena @kv "kv_cache" on @cpu bytes 327680

// CHECK-LABEL: sched.entry @decode_1 capacity 1 {
// CHECK: %[[X:.*]] = sched.alloc @act bytes 128 at {{[0-9]+}} {name = "residual"}
// The norm writes q8 rows only: nobody reads its floats.
// CHECK: %[[NONE:.*]] = sched.none
// CHECK: %[[Q8:.*]] = sched.alloc @act bytes 64 at {{[0-9]+}} {name = "q8"}
// CHECK-NEXT: sched.dispatch @rms_norm.{{.*}}(%[[X]], %{{.*}}, %[[NONE]], %[[Q8]]) writes [3] {{.*}} path = "model.layers.0.input_layernorm"
// CHECK: sched.dispatch @linear.{{.*}}(%[[Q8]], {{.*}} path = "model.layers.0.self_attn.q_proj"
// CHECK: sched.dispatch @attention_mla.{{.*}} barrier
// CHECK: sched.dispatch @[[OUT]] on @cpu.team(%{{.*}}, %{{.*}}, %[[X]], %{{.*}}) writes [2] {{.*}} path = "model.layers.0.self_attn.o_proj"
// Here the router, which is F32, reads them.
// CHECK: %[[M:.*]] = sched.alloc @act bytes 128 at {{[0-9]+}} {name = "norm"}
// CHECK: %[[M8:.*]] = sched.alloc @act bytes 64 at {{[0-9]+}} {name = "q8"}
// CHECK-NEXT: sched.dispatch @rms_norm.{{.*}}(%[[X]], %{{.*}}, %[[M]], %[[M8]]) writes [2, 3] {{.*}} path = "model.layers.0.post_attention_layernorm"
// CHECK: sched.dispatch @linear.{{.*}}(%[[M]], {{.*}} path = "model.layers.0.mlp.gate"
// CHECK: sched.dispatch @gate_up.{{.*}}(%{{.*}}, %[[M8]], {{.*}} path = "model.layers.0.mlp.experts"
// One meeting inside: down quantises its rows itself.
// CHECK-NOT: sched.dispatch
// CHECK: sched.dispatch @[[EXPERTS]] on @cpu.team({{.*}}, %[[X]], %{{.*}}, %{{.*}}) writes [3] {{.*}} barrier
// The shared expert begins without a meeting.
// CHECK: sched.dispatch @gate_up.{{.*}}(%{{.*}}, %[[M8]], {{.*}} per_token 0 {{{.*}} path = "model.layers.0.mlp.shared_experts"
// CHECK: sched.dispatch @[[SHARED]] on @cpu.team({{.*}}, %[[X]], %{{.*}}, %{{.*}}) writes [3] {{.*}} barrier
// CHECK: sched.dispatch {{.*}} path = "lm_head"{{.*}}}
// CHECK-NEXT: }

// Its own norm makes the q8 rows of the head, from the row that is asked for.
// CHECK-LABEL: sched.entry @head capacity 16 dynamic {
// CHECK: sched.alloc @act bytes 1024 at 8448 {name = "q8"}
// CHECK: sched.dispatch @rms_norm.{{.*}} writes [3]
// CHECK: sched.dispatch @linear.{{.*}} path = "lm_head"{{.*}}}
// CHECK-NEXT: }
