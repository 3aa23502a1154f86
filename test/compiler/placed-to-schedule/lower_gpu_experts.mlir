// Lowering of routed experts on a GPU: one kernel for down in decode, two for many tokens.
// RUN: ktc-opt %s -sched-lower-entries="decode=2 chunk=4 head-rows=1 context=2048" | FileCheck %s

// CHECK-DAG: sched.kernel @[[DOWN:down.[0-9]+]] "down" {accumulate = 0 : i64, dense = 0 : i64, dynamic = 0 : i64, experts = 8 : i64, format = "q8_0", k = 32 : i64, m = 2 : i64, n = 32 : i64, top_k = 2 : i64, x_type = "bf16", y_stride = 32 : i64}
// CHECK-DAG: sched.kernel @[[SLOTS:down_slots.[0-9]+]] "down_slots" {dynamic = 1 : i64, experts = 8 : i64, format = "q8_0", k = 32 : i64, m = 4 : i64, n = 32 : i64, top_k = 2 : i64, x_type = "bf16"}
// CHECK-DAG: sched.kernel @[[SUM:slot_sum.[0-9]+]] "slot_sum" {accumulate = 0 : i64, dynamic = 1 : i64, m = 4 : i64, n = 32 : i64, top_k = 2 : i64, y_stride = 32 : i64}

// CHECK-LABEL: sched.entry @decode_2 capacity 2 {
// CHECK: %[[LISTS:.*]] = sched.alloc @act.cuda0 bytes 256 {name = "expert lists"}
// 32 inner features of 2 bytes for 4 slots.
// CHECK: %[[H:.*]] = sched.alloc @act.cuda0 bytes 256 {name = "gate up"}
// CHECK: sched.dispatch @gate_up.{{[0-9]+}} on @gpu.stream({{.*}}, %[[H]], %[[LISTS]], %{{.*}}) writes [4]
// CHECK: %[[Y:.*]] = sched.alloc @act.cuda0 bytes 256 {name = "ffn"}
// CHECK: sched.dispatch @[[DOWN]] on @gpu.stream(%[[H]], %{{.*}}, %{{.*}}, %[[Y]], %[[LISTS]], %{{.*}}) writes [3]

// CHECK-LABEL: sched.entry @prefill
// CHECK: %[[WEIGHTS:.*]] = sched.alloc @act.cuda0 bytes 64 {name = "expert weights"}
// CHECK: %[[Y:.*]] = sched.alloc @act.cuda0 bytes 512 {name = "ffn"}
// A float32 row for each of 8 slots.
// CHECK: %[[Z:.*]] = sched.alloc @act.cuda0 bytes 1024 {name = "down slots"}
// CHECK: sched.dispatch @[[SLOTS]] on @gpu.stream({{.*}}, %[[Z]], %{{.*}}) writes [3]
// CHECK: sched.dispatch @[[SUM]] on @gpu.stream(%[[Z]], %[[WEIGHTS]], %[[Y]]) writes [2]

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
  %e = model.experts %m, %ids, %w {path = "experts", gate = @experts, up = @experts, down = @experts, placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "r:1">}
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
