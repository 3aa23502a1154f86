// Lowering of model.router for 2 tokens: logits, choice, and the lists that the kernels of the experts read.
// RUN: ktc-opt %s -sched-lower-entries="decode=2 chunk=4 head-rows=1 context=16" | FileCheck %s

// CHECK: sched.kernel @[[QUANTIZE:quantize.[0-9]+]] "quantize" {dynamic = 0 : i64, k = 32 : i64, m = 2 : i64, rows = 1 : i64, x_row_stride = 32 : i64, x_stride = 32 : i64}
// CHECK: sched.kernel @[[LINEAR:linear.[0-9]+]] "linear" {batch = 1 : i64, bias = 0 : i64, dynamic = 0 : i64, exact = 1 : i64, format = "q8_0", k = 32 : i64, m = 2 : i64, n = 8 : i64, prefetch = 1 : i64, y_batch_stride = 0 : i64, y_stride = 8 : i64}
// CHECK: sched.kernel @[[ROUTER_TOPK:router_topk.[0-9]+]] "router_topk" {bias = 1 : i64, dynamic = 0 : i64, experts = 8 : i64, gating = "sigmoid", groups = 4 : i64, groups_used = 2 : i64, m = 2 : i64, norm = 1 : i64, scale = 2.500000e+00 : f64, top_k = 2 : i64}
// CHECK: sched.kernel @[[EXPERT_GROUP:expert_group.[0-9]+]] "expert_group" {dynamic = 0 : i64, experts = 8 : i64, m = 2 : i64, top_k = 2 : i64}

model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
model.weight @router : tensor<8x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 272 : i64}
model.weight @bias : tensor<8xf32> {file = 0 : i32, offset = 0 : i64, bytes = 32 : i64}

func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  %x = model.embed %tokens {path = "embed", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
  %ids, %w = model.router %x {path = "gate", weight = @router, bias = @bias, experts = 8 : i64, top_k = 2 : i64, gating = "sigmoid",
    groups = 4 : i64, groups_used = 2 : i64, norm = true, scale = 2.5 : f64} : (tensor<?x32xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>)  return %x : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  %l = model.lm_head %x {path = "lm_head", weight = @embd} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// CHECK-LABEL: sched.entry @decode_2 capacity 2 {
// CHECK: %[[RESIDUAL:.*]] = sched.alloc @act bytes 256 {name = "residual"}
// The router is quantised here, so it reads q8 rows.
// CHECK: %[[Q8:.*]] = sched.alloc @act bytes 128 {name = "q8"}
// CHECK: sched.dispatch @[[QUANTIZE]] on @cpu.team(%[[RESIDUAL]], %[[Q8]]) writes [1] units 0 per_token 1 {bytes_read = 0 : i64, path = "gate"}
// 8 experts: 2 units.
// CHECK: %[[ROUTER:.*]] = sched.weight @router
// 8 floats for 2 tokens.
// CHECK: %[[ROUTER_LOGITS:.*]] = sched.alloc @act bytes 64 {name = "router logits"}
// CHECK: %[[NONE:.*]] = sched.none
// CHECK: sched.dispatch @[[LINEAR]] on @cpu.team(%[[Q8]], %[[ROUTER]], %[[ROUTER_LOGITS]], %[[NONE]]) writes [2] units 2 per_token 0 {bytes_read = 272 : i64, path = "gate"}
// 2 choices for 2 tokens: 16 bytes, rounded up.
// CHECK: %[[EXPERT_IDS:.*]] = sched.alloc @act bytes 64 {name = "expert ids"}
// CHECK: %[[EXPERT_WEIGHTS:.*]] = sched.alloc @act bytes 64 {name = "expert weights"}
// CHECK: %[[BIAS:.*]] = sched.weight @bias
// CHECK: sched.dispatch @[[ROUTER_TOPK]] on @cpu.team(%[[ROUTER_LOGITS]], %[[BIAS]], %[[EXPERT_IDS]], %[[EXPERT_WEIGHTS]]) writes [2, 3] units 0 per_token 1 {bytes_read = 32 : i64, path = "gate"}
// Header, starts and slots of 8 experts and 4 slots, each part rounded up to 16 integers.
// CHECK: %[[EXPERT_LISTS:.*]] = sched.alloc @act bytes 256 {name = "expert lists"}
// CHECK: sched.dispatch @[[EXPERT_GROUP]] on @cpu.team(%[[EXPERT_IDS]], %[[EXPERT_LISTS]]) writes [1] units 1 per_token 0 {bytes_read = 0 : i64, path = "gate"}
