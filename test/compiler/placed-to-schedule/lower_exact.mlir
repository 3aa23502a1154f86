// Models of Q8_0 weights keep their precision in prefill; a weight of fewer bits anywhere means that panels may round others.
// RUN: ktc-opt %s -sched-lower-entries="decode=1" | FileCheck %s
// RUN: sed 's/q8_0/q4_0/; s/bytes = 2176/bytes = 1152/' %s | ktc-opt -sched-lower-entries="decode=1" | FileCheck %s --check-prefix=LESS

model.weight @w : tensor<64x32x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 2176 : i64}
model.weight @embd : tensor<64x32xf16> {file = 0 : i32, offset = 4096 : i64, bytes = 4096 : i64}
func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  %x = model.embed %tokens {path = "embed", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
  return %x : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
  %l = model.lm_head %x {path = "lm_head", weight = @w} : (tensor<?x32xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}
// CHECK: sched.kernel {{.*}} "linear" {{.*}}exact = 1 : i64, format = "q8_0"
// LESS: sched.kernel {{.*}} "linear" {{.*}}format = "q4_0"
// LESS-NOT: exact
