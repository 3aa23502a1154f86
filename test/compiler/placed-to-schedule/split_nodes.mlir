// sched-split-nodes: the bytes of one matrix, for weights whose rows the threads share.
// RUN: ktc-opt %s -sched-split-nodes=nodes=2 | FileCheck %s
// RUN: ktc-opt %s -sched-split-nodes | FileCheck %s --check-prefix=ONE --implicit-check-not=split_bytes

// ONE: model.weight @q

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 0
// One matrix: all of it.
// CHECK: model.weight @q {{.*}}sched.split_bytes = 4608 : i64
model.weight @q : tensor<32x256x!kt.q4_k> {file = 0 : i32, offset = 0 : i64, bytes = 4608 : i64}
// Four experts of eight rows.
// CHECK: model.weight @down {{.*}}sched.split_bytes = 1152 : i64
model.weight @down : tensor<4x8x256x!kt.q4_k> {file = 0 : i32, offset = 4608 : i64, bytes = 4608 : i64}
// Two experts with eight rows of gate and eight of up each.
// CHECK: model.weight @gate_up {{.*}}sched.split_bytes = 4096 : i64
model.weight @gate_up : tensor<2x16x256xf16> {file = 0 : i32, offset = 9216 : i64, bytes = 16384 : i64}
// Read as matrices of different sizes; from the middle; as batches with gaps; never as a matrix.
// CHECK-NOT: split_bytes
model.weight @twice : tensor<8x256xf16> {file = 0 : i32, offset = 25600 : i64, bytes = 4096 : i64}
model.weight @middle : tensor<8x256xf16> {file = 0 : i32, offset = 29696 : i64, bytes = 4096 : i64}
model.weight @gaps : tensor<16x256xf16> {file = 0 : i32, offset = 33792 : i64, bytes = 8192 : i64}
model.weight @other : tensor<256xf32> {file = 0 : i32, offset = 41984 : i64, bytes = 1024 : i64}

sched.kernel @linear "linear" {format = "q4_k", n = 32 : i64, k = 256 : i64}
sched.kernel @linear.f16 "linear" {format = "f16", n = 8 : i64, k = 256 : i64}
sched.kernel @linear.half "linear" {format = "f16", n = 4 : i64, k = 256 : i64}
sched.kernel @apart "linear" {format = "f16", n = 4 : i64, k = 256 : i64, batch = 2 : i64, w_batch_rows = 8 : i64}
sched.kernel @routed.gate_up "gate_up" {format_gate = "f16", format_up = "f16", n = 8 : i64, k = 256 : i64}
sched.kernel @routed.down "down" {format = "q4_k", n = 8 : i64, k = 256 : i64}
sched.kernel @norm "rms_norm" {k = 256 : i64}

sched.entry @decode capacity 1 {
  %x = sched.alloc @act bytes 1024
  %y = sched.alloc @act bytes 1024
  %q = sched.weight @q
  %down = sched.weight @down
  %gate = sched.weight @gate_up
  %up = sched.view %gate at 4096
  %twice = sched.weight @twice
  %middle = sched.weight @middle
  %part = sched.view %middle at 512
  %gaps = sched.weight @gaps
  %other = sched.weight @other
  %none = sched.none
  sched.dispatch @linear on @team(%x, %q, %y, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  sched.dispatch @routed.gate_up on @team(%none, %x, %gate, %up, %y, %x) writes [4] units 2 per_token 0 {path = "p", bytes_read = 0 : i64}
  sched.dispatch @routed.down on @team(%none, %x, %down, %y, %x, %x) writes [3] units 2 per_token 0 {path = "p", bytes_read = 0 : i64}
  sched.dispatch @linear.f16 on @team(%x, %twice, %y, %none) writes [2] units 2 per_token 0 {path = "p", bytes_read = 0 : i64}
  sched.dispatch @linear.half on @team(%x, %twice, %y, %none) writes [2] units 1 per_token 0 {path = "p", bytes_read = 0 : i64}
  sched.dispatch @linear.half on @team(%x, %part, %y, %none) writes [2] units 1 per_token 0 {path = "p", bytes_read = 0 : i64}
  sched.dispatch @apart on @team(%x, %gaps, %y, %none) writes [2] units 2 per_token 0 {path = "p", bytes_read = 0 : i64}
  sched.dispatch @norm on @team(%x, %other, %y, %none) writes [2] units 1 per_token 0 {path = "p", bytes_read = 0 : i64}
}
