// K-quants take q8k rows, other quantised formats q8 rows: each kind is made once, on first demand, for all its readers.
// RUN: ktc-opt %s -sched-lower-entries="decode=2 chunk=4 head-rows=1 context=16" | FileCheck %s

// CHECK-DAG: sched.kernel @[[Q8K_KERNEL:quantize.[0-9]+]] "quantize" {dynamic = 0 : i64, group = 256 : i64, k = 256 : i64, m = 2 : i64, rows = 1 : i64, x_row_stride = 256 : i64, x_stride = 256 : i64}
// CHECK-DAG: sched.kernel @[[Q8_KERNEL:quantize.[0-9]+]] "quantize" {dynamic = 0 : i64, k = 256 : i64, m = 2 : i64, rows = 1 : i64, x_row_stride = 256 : i64, x_stride = 256 : i64}
// CHECK-DAG: sched.kernel @[[H_KERNEL:quantize.[0-9]+]] "quantize" {dynamic = 0 : i64, group = 256 : i64, k = 512 : i64, m = 2 : i64, rows = 1 : i64, x_row_stride = 512 : i64, x_stride = 512 : i64}

model.weight @embd : tensor<64x256xf32> {file = 0 : i32, offset = 0 : i64, bytes = 65536 : i64}
model.weight @q4k : tensor<256x256x!kt.q4_k> {file = 0 : i32, offset = 0 : i64, bytes = 36864 : i64}
model.weight @gate : tensor<512x256x!kt.q6_k> {file = 0 : i32, offset = 0 : i64, bytes = 107520 : i64}
model.weight @up : tensor<512x256x!kt.q8_0> {file = 0 : i32, offset = 0 : i64, bytes = 139264 : i64}
model.weight @down : tensor<256x512x!kt.q4_k> {file = 0 : i32, offset = 0 : i64, bytes = 73728 : i64}
func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x256xf32> {
  %x = model.embed %tokens {path = "embed", weight = @embd} : (tensor<?xi32>) -> tensor<?x256xf32>
  %q = model.linear %x {path = "first", weight = @q4k} : (tensor<?x256xf32>) -> tensor<?x256xf32>
  %y = model.ffn %x {path = "mlp", gate = @gate, up = @up, down = @down, act = "silu"} : (tensor<?x256xf32>) -> tensor<?x256xf32>
  %z = model.add %q, %y {path = "sum"} : tensor<?x256xf32>
  return %z : tensor<?x256xf32>
}
func.func @head(%x: tensor<?x256xf32>) -> tensor<?x64xf32> {
  %l = model.lm_head %x {path = "lm_head", weight = @embd} : (tensor<?x256xf32>) -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// CHECK-LABEL: sched.entry @decode_2 capacity 2 {
// CHECK: %[[X:.*]] = sched.alloc @act bytes 2048 {name = "residual"}
// A q8k row of 256 elements: 256 + 2 · 16 + 4 bytes, rounded up to 320.
// CHECK: %[[Q8K:.*]] = sched.alloc @act bytes 640 {name = "q8k"}
// CHECK: sched.dispatch @[[Q8K_KERNEL]] on @cpu.team(%[[X]], %[[Q8K]]) writes [1] units 0 per_token 1 {bytes_read = 0 : i64, path = "first"}
// CHECK: sched.dispatch @linear.{{[0-9]+}} on @cpu.team(%[[Q8K]],
// A q8 row: 256 + 4 · 8 + 4 · 16 bytes, rounded up to 384. The gate takes the q8k rows that are there.
// CHECK-NOT: name = "q8k"
// CHECK: %[[Q8:.*]] = sched.alloc @act bytes 768 {name = "q8"}
// CHECK: sched.dispatch @[[Q8_KERNEL]] on @cpu.team(%[[X]], %[[Q8]])
// CHECK: sched.dispatch @gate_up.{{[0-9]+}} on @cpu.team(%{{[^,]*}}, %[[Q8]], %{{.*}}, %{{.*}}, %[[H:[^,]*]], %{{[^,]*}}, %[[Q8K]]) writes [4]
// 512 + 2 · 32 + 4 · 2 bytes, rounded up to 640.
// CHECK: %[[H8K:.*]] = sched.alloc @act bytes 1280 {name = "q8k"}
// CHECK: sched.dispatch @[[H_KERNEL]] on @cpu.team(%[[H]], %[[H8K]])
// CHECK: sched.dispatch @down.{{[0-9]+}} on @cpu.team(%{{[^,]*}}, %[[H8K]],
