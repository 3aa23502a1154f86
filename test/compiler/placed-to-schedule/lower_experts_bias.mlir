// Lowering of gpt-oss's experts and router: biases of the logits and of every expert, and their bytes.
// RUN: ktc-opt %s -sched-lower-entries="decode=2 chunk=4 head-rows=1 context=16" | FileCheck %s

// CHECK: sched.kernel @[[LINEAR:linear.[0-9]+]] "linear" {{.*}}bias = 1 : i64
// CHECK: sched.kernel @[[GATE_UP_KERNEL:gate_up.[0-9]+]] "gate_up" {act = "swiglu_oai", bias = 1 : i64, dense = 0 : i64
// CHECK: sched.kernel @[[DOWN_KERNEL:down.[0-9]+]] "down" {accumulate = 0 : i64, bias = 1 : i64, dense = 0 : i64

model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
model.weight @router : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @router_bias : tensor<8xf32> {file = 0 : i32, offset = 0 : i64, bytes = 32 : i64}
model.weight @gate : tensor<8x64x32x!kt.mxfp4> {file = 0 : i32, offset = 0 : i64, bytes = 8704 : i64}
model.weight @up : tensor<8x64x32x!kt.mxfp4> {file = 0 : i32, offset = 0 : i64, bytes = 8704 : i64}
model.weight @down : tensor<8x32x64x!kt.mxfp4> {file = 0 : i32, offset = 0 : i64, bytes = 8704 : i64}
model.weight @gate_bias : tensor<8x64xf32> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @up_bias : tensor<8x64xf32> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @down_bias : tensor<8x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}

func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  %x = model.embed %tokens {path = "embed", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
  %ids, %w = model.router %x {path = "router", weight = @router, logit_bias = @router_bias, experts = 8 : i64,
    top_k = 2 : i64, gating = "topk_softmax"} : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)
  %y = model.experts %x, %ids, %w {path = "experts", gate = @gate, up = @up, down = @down, gate_bias = @gate_bias,
    up_bias = @up_bias, down_bias = @down_bias, act = "swiglu_oai"}
    : (tensor<?x32xf32>, tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  %l = model.lm_head %x {path = "lm_head", weight = @embd} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// CHECK-LABEL: sched.entry @decode_2 capacity 2 {
// CHECK: %[[ROUTER_BIAS:.*]] = sched.weight @router_bias
// CHECK: sched.dispatch @[[LINEAR]] on @cpu.team({{.*}}, %[[ROUTER_BIAS]]) writes [2]
// CHECK-DAG: %[[GATE_BIAS:.*]] = sched.weight @gate_bias
// CHECK-DAG: %[[UP_BIAS:.*]] = sched.weight @up_bias
// CHECK-DAG: %[[DOWN_BIAS:.*]] = sched.weight @down_bias
// At most 4 experts are active: 4 · 64 rows of 17 bytes, twice, and 4 · 64 floats, twice.
// CHECK: sched.dispatch @[[GATE_UP_KERNEL]] on @cpu.team({{.*}}, %[[GATE_BIAS]], %[[UP_BIAS]]) writes [4] units 16 per_token 0 {bytes_read = 10752 : i64, path = "experts"}
// 4 · 32 rows of 34 bytes, and 4 · 32 floats.
// CHECK: sched.dispatch @[[DOWN_KERNEL]] on @cpu.team({{.*}}, %[[DOWN_BIAS]]) writes [3] units 8 per_token 0 {bytes_read = 4864 : i64, path = "experts"}
