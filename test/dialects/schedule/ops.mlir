// Round trip of every operation of the schedule dialect, without and with its optional parts.
// RUN: ktc-opt %s -split-input-file | ktc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: module
// CHECK: sched.device @cpu "cpu" budget 0
sched.device @cpu "cpu" budget 0
// CHECK: sched.device @gpu "cuda" budget 25769803776
sched.device @gpu "cuda" budget 25769803776

// CHECK: sched.lane @cpu.team on @cpu
sched.lane @cpu.team on @cpu
// CHECK: sched.lane @gpu.stream on @gpu
sched.lane @gpu.stream on @gpu

// CHECK: sched.arena @act "activation" on @cpu bytes 0
sched.arena @act "activation" on @cpu bytes 0
// CHECK: sched.arena @kv "kv_cache" on @cpu bytes 1048576
sched.arena @kv "kv_cache" on @cpu bytes 1048576
// CHECK: sched.arena @io "io" on @gpu bytes 128
sched.arena @io "io" on @gpu bytes 128

// 16 positions of 4 pairs of 2 floats.
// CHECK: sched.constant @rope.0 "rope_table" bytes 512 {context = 16 : i64, rope = #model.rope<style = "norm", dims = 8, base = 10000.0>}
sched.constant @rope.0 "rope_table" bytes 512 {rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, context = 16 : i64}

// CHECK: sched.kernel @k0 "expert_group" {}
sched.kernel @k0 "expert_group" {}
// CHECK: sched.kernel @k1 "gate_up" {act = "silu", eps = 1.500000e-05 : f64, k = 256 : i64}
sched.kernel @k1 "gate_up" {k = 256 : i64, eps = 1.5e-5 : f64, act = "silu"}

// -----

sched.device @cpu "cpu" budget 0
sched.arena @act "activation" on @cpu bytes 1024
sched.arena @io "io" on @cpu bytes 128
model.weight @w : tensor<4xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16 : i64}

// CHECK-LABEL: sched.entry @decode_1 capacity 1 {
sched.entry @decode_1 capacity 1 {
  // CHECK: %{{.*}} = sched.alloc @act bytes 100
  %a = sched.alloc @act bytes 100
  // CHECK: %[[B:.*]] = sched.alloc @act bytes 64 at 128 {name = "residual"}
  %b = sched.alloc @act bytes 64 at 128 {name = "residual"}
  // CHECK: sched.view %[[B]] at 32
  %v = sched.view %b at 32
  // CHECK: sched.fixed @io at 64 bytes 64
  %f = sched.fixed @io at 64 bytes 64
  // CHECK: sched.fixed @io at 0 bytes 64 {role = "tokens"}
  %t = sched.fixed @io at 0 bytes 64 {role = "tokens"}
  // CHECK: sched.weight @w
  %w = sched.weight @w
  // CHECK: sched.none
  %n = sched.none
}

// CHECK: sched.entry @prefill capacity 256 dynamic {
sched.entry @prefill capacity 256 dynamic {
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @io "io" on @cpu bytes 256
sched.kernel @k "add" {}

// CHECK-LABEL: sched.entry @commands
sched.entry @commands capacity 2 {
  // CHECK: %[[A:.*]] = sched.fixed @io at 0
  %a = sched.fixed @io at 0 bytes 64
  // CHECK: %[[B:.*]] = sched.fixed @io at 64
  %b = sched.fixed @io at 64 bytes 64

  // CHECK: sched.dispatch @k on @team(%[[A]], %[[B]]) writes [1] units 0 per_token 1 {bytes_read = 16 : i64, path = "model.norm"}
  sched.dispatch @k on @team(%a, %b) writes [1] units 0 per_token 1 {path = "model.norm", bytes_read = 16 : i64}
  // CHECK: sched.dispatch @k on @team() writes [] units 4 per_token 0 barrier {bytes_read = 0 : i64, path = "p"}
  sched.dispatch @k on @team() writes [] units 4 per_token 0 barrier {path = "p", bytes_read = 0 : i64}

  // CHECK: sched.copy %[[A]] to %[[B]] on @team bytes 8 per_token 16
  sched.copy %a to %b on @team bytes 8 per_token 16
  // CHECK: sched.copy %[[A]] to %[[B]] on @team bytes 0 per_token 16 barrier
  sched.copy %a to %b on @team bytes 0 per_token 16 barrier

  // CHECK: sched.fill %[[B]] with 0 on @team bytes 64 per_token 0
  sched.fill %b with 0 on @team bytes 64 per_token 0
  // CHECK: sched.fill %[[B]] with 255 on @team bytes 0 per_token 32 barrier
  sched.fill %b with 255 on @team bytes 0 per_token 32 barrier

  // CHECK: sched.signal 0 on @team
  sched.signal 0 on @team
  // CHECK: sched.signal 1 on @team barrier
  sched.signal 1 on @team barrier

  // CHECK: sched.wait 0 on @team
  sched.wait 0 on @team
  // CHECK: sched.wait 1 on @team barrier
  sched.wait 1 on @team barrier
}
