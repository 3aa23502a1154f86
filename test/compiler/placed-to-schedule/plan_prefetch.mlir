// sched-plan-prefetch: the weights that a waiting thread can prefetch, with the bytes of a unit (four rows).
// RUN: ktc-opt %s -sched-plan-prefetch | FileCheck %s

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 0
model.weight @w : tensor<32x256x!kt.q4_k> {file = 0 : i32, offset = 0 : i64, bytes = 4608 : i64}
model.weight @v : tensor<32x256xf16> {file = 0 : i32, offset = 4608 : i64, bytes = 16384 : i64}

sched.kernel @linear "linear" {format = "q4_k", n = 32 : i64, k = 256 : i64}
sched.kernel @batch "linear" {format = "f16", n = 8 : i64, k = 256 : i64, batch = 4 : i64, w_batch_rows = 8 : i64}
sched.kernel @apart "linear" {format = "f16", n = 8 : i64, k = 256 : i64, batch = 2 : i64, w_batch_rows = 16 : i64}
sched.kernel @partial "linear" {format = "f16", n = 6 : i64, k = 256 : i64, batch = 2 : i64}
sched.kernel @gate_up "gate_up" {format_gate = "q4_k", format_up = "f16", n = 32 : i64, k = 256 : i64, dense = 1 : i64}
sched.kernel @down "down" {format = "q4_k", n = 32 : i64, k = 256 : i64, dense = 1 : i64}
sched.kernel @experts "down" {format = "q4_k", n = 8 : i64, k = 256 : i64, experts = 4 : i64, dense = 0 : i64}
sched.kernel @add "add" {k = 256 : i64}

// CHECK-LABEL: sched.entry @decode
sched.entry @decode capacity 1 {
  %x = sched.alloc @act bytes 1024
  %y = sched.alloc @act bytes 1024
  %w = sched.weight @w
  %v = sched.weight @v
  %part = sched.view %v at 512
  %none = sched.none
  // Four rows of one block of 144 bytes; of 256 halves.
  // CHECK: sched.dispatch @linear {{.*}}streams = array<i64: 1, 576>
  sched.dispatch @linear on @team(%x, %w, %y, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @batch {{.*}}streams = array<i64: 1, 2048>
  sched.dispatch @batch on @team(%x, %part, %y, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // Units of these do not lie one after another.
  // CHECK: sched.dispatch @apart {{.*}}bytes_read = 0 : i64, path = "p"}
  sched.dispatch @apart on @team(%x, %v, %y, %none) writes [2] units 4 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @partial {{.*}}bytes_read = 0 : i64, path = "p"}
  sched.dispatch @partial on @team(%x, %v, %y, %none) writes [2] units 4 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @gate_up {{.*}}streams = array<i64: 2, 576, 3, 2048>
  sched.dispatch @gate_up on @team(%none, %x, %w, %v, %y, %none) writes [4] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @down {{.*}}streams = array<i64: 2, 576>
  sched.dispatch @down on @team(%none, %x, %w, %y, %none, %none) writes [3] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // Known too late, no weight, no matrix.
  // CHECK: sched.dispatch @experts {{.*}}bytes_read = 0 : i64, path = "p"}
  sched.dispatch @experts on @team(%none, %x, %w, %y, %x, %x) writes [3] units 2 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @linear {{.*}}bytes_read = 0 : i64, path = "p"}
  sched.dispatch @linear on @team(%x, %y, %y, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
  // CHECK: sched.dispatch @add {{.*}}bytes_read = 0 : i64, path = "p"}
  sched.dispatch @add on @team(%x, %y, %none) writes [1] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
}

// The share of a thread depends on the number of tokens only in entries that waste no time waiting.
// CHECK-LABEL: sched.entry @prefill
sched.entry @prefill capacity 64 dynamic {
  %x = sched.alloc @act bytes 1024
  %y = sched.alloc @act bytes 1024
  %w = sched.weight @w
  %none = sched.none
  // CHECK: sched.dispatch @linear {{.*}}bytes_read = 0 : i64, path = "p"}
  sched.dispatch @linear on @team(%x, %w, %y, %none) writes [2] units 8 per_token 0 {path = "p", bytes_read = 0 : i64}
}
