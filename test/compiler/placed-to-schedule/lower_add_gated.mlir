// Lowering of model.add with a gated block in front: the sum is made in the other operand, because the kernel gates what it adds.
// RUN: ktc-opt %s -sched-lower-entries="decode=2 chunk=4 head-rows=1 context=16" | FileCheck %s

// CHECK: sched.kernel @[[ADD:add.[0-9]+]] "add" {dynamic = 0 : i64, gate = "sigmoid", k = 32 : i64, m = 2 : i64

model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
model.weight @w : tensor<32x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @gate : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}

func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  %x = model.embed %tokens {path = "embed", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
  %f = model.ffn %x {path = "mlp", gate = @w, up = @w, down = @w, output_gate = @gate} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %y = model.add %f, %x {path = "sum"} : tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  %l = model.lm_head %x {path = "lm_head", weight = @embd} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// CHECK-LABEL: sched.entry @decode_2
// CHECK: %[[X:.*]] = sched.alloc @act bytes 256 {name = "residual"}
// CHECK: %[[F:.*]] = sched.alloc @act bytes 256 {name = "ffn"}
// CHECK: %[[GATE:.*]] = sched.alloc @act bytes 64 {name = "output gate"}
// CHECK-NOT: sched.copy
// CHECK: sched.dispatch @[[ADD]] on @cpu.team(%[[F]], %[[X]], %[[GATE]]) writes [1] {{.*}} path = "sum"}
