// Lowering of model.add: in the buffer of the first operand, unless that is read later.
// RUN: ktc-opt %s -sched-lower-entries="decode=2 chunk=4 head-rows=1 context=16" | FileCheck %s

// CHECK: sched.kernel @[[ADD:add.[0-9]+]] "add" {dynamic = 0 : i64, gate = "none", k = 32 : i64, m = 2 : i64, x_stride = 32 : i64, y_stride = 32 : i64}

model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
model.weight @w : tensor<32x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}

func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  %x = model.embed %tokens {path = "embed", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
  %a = model.linear %x {path = "a", weight = @w} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %y = model.add %x, %a {path = "in place"} : tensor<?x32xf32>
  %b = model.linear %y {path = "b", weight = @w} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %z = model.add %y, %b {path = "copied"} : tensor<?x32xf32>
  // y is read once more.
  %s = model.add %z, %y {path = "last"} : tensor<?x32xf32>
  return %s : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  %l = model.lm_head %x {path = "lm_head", weight = @embd} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// CHECK-LABEL: sched.entry @decode_2
// CHECK: %[[X:.*]] = sched.alloc @act bytes 256 {name = "residual"}
// CHECK: %[[A:.*]] = sched.alloc @act bytes 256 {name = "linear"}
// CHECK: sched.dispatch {{.*}} path = "a"
// CHECK: %[[NONE:.*]] = sched.none
// CHECK: sched.dispatch @[[ADD]] on @cpu.team(%[[A]], %[[X]], %[[NONE]]) writes [1] units 0 per_token 1 {bytes_read = 0 : i64, path = "in place"}

// CHECK: %[[B:.*]] = sched.alloc @act bytes 256 {name = "linear"}
// CHECK: sched.dispatch {{.*}}(%[[X]], {{.*}} path = "b"
// CHECK: %[[SUM:.*]] = sched.alloc @act bytes 256 {name = "sum"}
// CHECK: sched.copy %[[X]] to %[[SUM]] on @cpu.team bytes 0 per_token 128
// CHECK: sched.dispatch @[[ADD]] on @cpu.team(%[[B]], %[[SUM]], %{{.*}}) {{.*}} path = "copied"

// CHECK: sched.dispatch @[[ADD]] on @cpu.team(%[[X]], %[[SUM]], %{{.*}}) {{.*}} path = "last"
// CHECK: sched.dispatch {{.*}}(%[[SUM]], {{.*}} path = "lm_head"
