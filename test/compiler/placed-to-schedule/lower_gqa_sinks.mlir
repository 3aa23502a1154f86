// Lowering of model.gqa_attention with sinks: one more operand, after the positions, and its parameter.
// RUN: ktc-opt %s -sched-lower-entries="decode=2 chunk=4 head-rows=1 context=16" | FileCheck %s

// CHECK: sched.kernel @[[ATTENTION:attention_gqa.[0-9]+]] "attention_gqa" {{{.*}}sinks = 1 : i64{{.*}}window = 5 : i64

model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
model.weight @k : tensor<16x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @s : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}

func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  %q = model.embed %tokens {path = "embed", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
  %k = model.linear %q {path = "k_proj", weight = @k} : (tensor<?x32xf32>) -> tensor<?x16xf32>
  %v = model.linear %q {path = "v_proj", weight = @k} : (tensor<?x32xf32>) -> tensor<?x16xf32>
  %y = model.gqa_attention %q, %k, %v, %positions {path = "attn", layer = 0 : i64, heads = 4 : i64, kv_heads = 2 : i64,
    head_dim = 8 : i64, v_dim = 8 : i64, scale = 0.25 : f64, sinks = @s, window = 5 : i64}
    : (tensor<?x32xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  %l = model.lm_head %x {path = "lm_head", weight = @embd} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// CHECK-LABEL: sched.entry @decode_2 capacity 2 {
// CHECK: %[[POSITIONS:.*]] = sched.fixed @io at 64 bytes 8 {role = "positions"}
// CHECK: %[[SINKS:.*]] = sched.weight @s
// CHECK: sched.dispatch @[[ATTENTION]] on @cpu.team({{.*}}, %[[POSITIONS]], %[[SINKS]]) writes [3]
