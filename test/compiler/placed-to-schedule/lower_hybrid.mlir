// Lowering of a layer with its experts on the CPU and all else on a GPU: lanes, the devices of caches, bf16 rows between
// GPU kernels, and what is made for the CPU.
// RUN: ktc-opt %s -sched-lower-entries="decode=2 chunk=4 head-rows=1 context=2048" | FileCheck %s

// CHECK-DAG: sched.kernel @[[BF16:linear.[0-9]+]] "linear" {{{.*}}m = 2 : i64, n = 32 : i64, {{.*}}x_type = "bf16", {{.*}}y_type = "f32"}
// CHECK-DAG: sched.kernel @[[F32:linear.[0-9]+]] "linear" {{{.*}}format = "f32", {{.*}}m = 2 : i64, {{.*}}x_type = "f32", {{.*}}y_type = "f32"}
// 2 groups of heads and 16 splits of the 2048 positions; a head of the CPU lane would have 8.
// CHECK-DAG: sched.kernel @[[ATTENTION:attention_gqa.[0-9]+]] "attention_gqa" {{{.*}}m = 2 : i64, merge = 1 : i64, {{.*}}split_positions = 128 : i64, splits = 16 : i64, {{.*}}y_type = "bf16"
// The kernels of the two lanes differ in what is said about rows and prefetching.
// CHECK-DAG: sched.kernel @[[ROUTED:gate_up.[0-9]+]] "gate_up" {{{.*}}experts = 8 : i64, {{.*}}m = 2 : i64, {{.*}}prefetch = 1 : i64
// CHECK-DAG: sched.kernel @[[SHARED:gate_up.[0-9]+]] "gate_up" {{{.*}}dense = 1 : i64, {{.*}}m = 2 : i64, {{.*}}x_type = "bf16", y_type = "bf16"}

// CHECK: sched.lane @cpu.team on @cpu
// Nothing attends on the CPU.
// CHECK: sched.arena @kv "kv_cache" on @cpu bytes 0
// CHECK: sched.device @"cuda:0" "cuda" budget 0
// CHECK: sched.lane @gpu.stream on @"cuda:0"
// CHECK: sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 0
// 2048 positions of 2 heads of 8 elements of 2 bytes, keys and values.
// CHECK: sched.arena @kv.cuda0 "kv_cache" on @"cuda:0" bytes 147456
// CHECK: sched.arena @io.cuda0 "io" on @"cuda:0" bytes 512

// CHECK-LABEL: sched.entry @decode_2 capacity 2 {
// CHECK: %[[POSITIONS_HOST:.*]] = sched.fixed @io {{.*}} {role = "positions"}
// CHECK: %[[POSITIONS:.*]] = sched.alloc @act.cuda0 bytes 64 {name = "input"}
// CHECK: sched.copy %[[POSITIONS_HOST]] to %[[POSITIONS]] on @gpu.stream bytes 0 per_token 4
// Logits stay on the GPU; the largest of them, here all 64, are for the host.
// CHECK: %[[LOGITS:.*]] = sched.fixed @io.cuda0 at 0 bytes 512 {role = "logits"}
// CHECK: %[[IDS:.*]] = sched.fixed @io at [[#%d,IDS_AT:]] bytes 512 {role = "best ids"}
// CHECK: %[[BEST:.*]] = sched.fixed @io at [[#IDS_AT+512]] bytes 512 {role = "best logits"}
// CHECK: %[[SUMS:.*]] = sched.fixed @io at [[#IDS_AT+1024]] bytes 8 {role = "best sums"}
// CHECK: %[[EMBEDDED:.*]] = sched.alloc @act bytes 256 {name = "residual"}
// CHECK: sched.dispatch @embed.0 on @cpu.team
// The GPU reads the residual stream often, so it has its own.
// CHECK: %[[X:.*]] = sched.alloc @act.cuda0 bytes 256 {name = "copy"}
// CHECK: sched.copy %[[EMBEDDED]] to %[[X]] on @gpu.stream bytes 0 per_token 128
// Nobody wants the norm as float32.
// CHECK: %[[NORM:.*]] = sched.alloc @act.cuda0 bytes 128 {name = "norm bf16"}
// CHECK: sched.dispatch @rms_norm.0 on @gpu.stream(%[[X]], %{{.*}}, %{{.*}}, %{{.*}}, %[[NORM]]) writes [4]
// CHECK: sched.dispatch @[[BF16]] on @gpu.stream(%[[NORM]]
// CHECK: sched.dispatch @linear.{{[0-9]+}} on @gpu.stream(%[[NORM]]
// CHECK: sched.dispatch @linear.{{[0-9]+}} on @gpu.stream(%[[NORM]]
// CHECK: %[[KEYS:.*]] = sched.fixed @kv.cuda0 at 0 bytes 65536 {role = "layer 0 keys"}
// CHECK: %[[VALUES:.*]] = sched.fixed @kv.cuda0 at 65536 bytes 65536 {role = "layer 0 values"}
// CHECK: %[[Q_NORM:.*]] = sched.weight @head_norm
// CHECK: %[[NO_K_NORM:.*]] = sched.none
// CHECK: %[[ROPE:.*]] = sched.weight @rope_table.0
// CHECK: sched.dispatch @gqa_prepare.0 on @gpu.stream(%{{.*}}, %{{.*}}, %{{.*}}, %[[Q_NORM]], %[[NO_K_NORM]], %[[ROPE]], %[[POSITIONS]], %[[KEYS]], %[[VALUES]]) writes [0, 1, 2, 7, 8]
// CHECK: %[[ATTENDED:.*]] = sched.alloc @act.cuda0 bytes 128 {name = "attention"}
// The last block merges the splits; it is found by counts that lie beside the cache.
// CHECK: %[[PARTIALS:.*]] = sched.alloc @act.cuda0 bytes {{.*}} {name = "attention partials"}
// CHECK: %[[COUNTS:.*]] = sched.fixed @kv.cuda0 at 131072 bytes 16384 {role = "counters"}
// CHECK: sched.dispatch @[[ATTENTION]] on @gpu.stream(%{{.*}}, %[[KEYS]], %[[VALUES]], %[[ATTENDED]], %[[POSITIONS]], %{{.*}}, %[[PARTIALS]], %[[COUNTS]]) writes [3, 6, 7]
// CHECK: sched.dispatch @[[BF16]] on @gpu.stream(%[[ATTENDED]]
// CHECK: sched.dispatch @add.0 on @gpu.stream(%{{.*}}, %[[X]], %{{.*}}) writes [1]
// The router is float32 and reads float32 rows, the shared expert bf16 rows.
// CHECK: %[[FFN_NORM:.*]] = sched.alloc @act.cuda0 bytes 256 {name = "norm"}
// CHECK: %[[FFN_NORM_BF16:.*]] = sched.alloc @act.cuda0 bytes 128 {name = "norm bf16"}
// CHECK: sched.dispatch @rms_norm.0 on @gpu.stream(%[[X]], %{{.*}}, %[[FFN_NORM]], %{{.*}}, %[[FFN_NORM_BF16]]) writes [2, 4]
// CHECK: sched.dispatch @[[F32]] on @gpu.stream(%[[FFN_NORM]]
// CHECK: %[[WEIGHTS:.*]] = sched.alloc @act.cuda0 bytes 64 {name = "expert weights"}
// CHECK: %[[LISTS:.*]] = sched.alloc @act.cuda0 bytes 256 {name = "expert lists"}
// CHECK: sched.dispatch @router_topk.0 on @gpu.stream({{.*}}, %[[WEIGHTS]], %[[LISTS]]) writes [2, 3, 4]
// The GPU makes the quantised rows of the CPU.
// CHECK: %[[Q8:.*]] = sched.alloc @act.cuda0 bytes 128 {name = "q8"}
// CHECK: sched.dispatch @quantize.0 on @gpu.stream(%[[FFN_NORM]], %[[Q8]]) writes [1]
// CHECK: sched.dispatch @[[ROUTED]] on @cpu.team(%{{.*}}, %[[Q8]], {{.*}}, %[[LISTS]], %{{.*}}) writes [4]
// CHECK: %[[ROUTED_SUM:.*]] = sched.alloc @act bytes 256 {name = "ffn"}
// CHECK: sched.dispatch @down.0 on @cpu.team({{.*}}, %[[ROUTED_SUM]], %[[LISTS]], %[[WEIGHTS]]) writes [3]
// CHECK: sched.dispatch @[[SHARED]] on @gpu.stream(%[[FFN_NORM_BF16]]
// CHECK: sched.dispatch @[[BF16]] on @gpu.stream
// What is read once is read where it is.
// CHECK: sched.dispatch @add.0 on @gpu.stream(%[[ROUTED_SUM]], %[[X]], %{{.*}}) writes [1]
// CHECK: sched.dispatch @add.0 on @gpu.stream(%{{.*}}, %[[X]], %{{.*}}) writes [1]
// CHECK: sched.dispatch @linear.{{[0-9]+}} on @gpu.stream(%{{.*}}, %{{.*}}, %[[LOGITS]], %{{.*}}) writes [2] {{.*}}path = "lm_head"
// CHECK: %[[SUMMARIES:.*]] = sched.alloc @act.cuda0 bytes 64 {name = "summaries of logits"}
// CHECK: %[[COUNTS:.*]] = sched.fixed @kv.cuda0 at 131072 bytes 16384 {role = "counters"}
// CHECK: sched.dispatch @top_logits.0 on @gpu.stream(%[[LOGITS]], %[[IDS]], %[[BEST]], %[[SUMS]], %[[SUMMARIES]], %[[COUNTS]]) writes [1, 2, 3, 4, 5] {{.*}}path = "lm_head"

// For many tokens the lists are made by a kernel of their own.
// CHECK-LABEL: sched.entry @prefill
// CHECK: sched.dispatch @router_topk.1 on @gpu.stream({{.*}}) writes [2, 3]
// CHECK: sched.dispatch @expert_group.0 on @gpu.stream
// CHECK: %[[HIDDEN:.*]] = sched.fixed @io {{.*}} {role = "hidden"}
// CHECK: sched.copy %{{.*}} to %[[HIDDEN]] on @gpu.stream bytes 0 per_token 128
// CHECK-LABEL: sched.entry @head
// CHECK: %[[HIDDEN:.*]] = sched.fixed @io {{.*}} {role = "hidden"}
// CHECK: sched.dispatch @rms_norm.{{[0-9]+}} on @gpu.stream(%[[HIDDEN]]

model.weight @embd : tensor<64x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 2176 : i64}
model.weight @norm : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @head_norm : tensor<8xf32> {file = 0 : i32, offset = 0 : i64, bytes = 32 : i64}
model.weight @q : tensor<32x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 1088 : i64}
model.weight @k : tensor<16x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 544 : i64}
model.weight @router : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @experts : tensor<8x32x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 8704 : i64}
model.weight @shared : tensor<32x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 1088 : i64}
model.weight @gate : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  %x = model.embed %tokens {path = "embed", weight = @embd, placement = #model.placement<device = "cpu", prefill = "cpu", rule = "r:2">} : (tensor<?xi32>) -> tensor<?x32xf32>
  %n = model.rms_norm %x {path = "norm", weight = @norm, eps = 1.0e-6 : f64, placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "r:1">} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %q = model.linear %n {path = "q", weight = @q, placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "r:1">} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %k = model.linear %n {path = "k", weight = @k, placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "r:1">} : (tensor<?x32xf32>) -> tensor<?x16xf32>
  %v = model.linear %n {path = "v", weight = @k, placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "r:1">} : (tensor<?x32xf32>) -> tensor<?x16xf32>
  %a = model.gqa_attention %q, %k, %v, %positions {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 8 : i64, scale = 0.25 : f64, q_norm = @head_norm, norm_eps = 1.5e-5 : f64,
    rope = #model.rope<style = "neox", dims = 4, base = 1.0e4>, placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "r:1">}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  %o = model.linear %a {path = "o", weight = @q, placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "r:1">} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %x1 = model.add %x, %o {path = "sum", placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "r:1">} : tensor<?x32xf32>
  %m = model.rms_norm %x1 {path = "ffn_norm", weight = @norm, eps = 1.0e-6 : f64, placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "r:1">} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %ids, %w = model.router %m {path = "gate", weight = @router, experts = 8 : i64, top_k = 2 : i64, gating = "softmax", placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "r:1">}
    : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  %e = model.experts %m, %ids, %w {path = "experts", gate = @experts, up = @experts, down = @experts, placement = #model.placement<device = "cpu", prefill = "cpu", rule = "r:2">}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  %s = model.ffn %m {path = "shared", gate = @shared, up = @shared, down = @shared, placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "r:1">} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %x2 = model.add %x1, %e {path = "sum", placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "r:1">} : tensor<?x32xf32>
  %x3 = model.add %x2, %s {path = "sum", placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "r:1">} : tensor<?x32xf32>
  return %x3 : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  %n = model.rms_norm %x {path = "final", weight = @norm, eps = 1.0e-6 : f64, placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "r:1">} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %l = model.lm_head %n {path = "lm_head", weight = @embd, placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "r:1">} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}
