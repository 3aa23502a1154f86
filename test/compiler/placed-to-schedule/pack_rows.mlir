// sched-pack-rows: in dynamic entries quantised rows are packed once for all matrices of a CPU that read them.
// RUN: ktc-opt %s -sched-pack-rows | FileCheck %s

sched.device @cpu "cpu" budget 0
sched.device @gpu "cuda" budget 0
sched.lane @team on @cpu
sched.lane @stream on @gpu
sched.arena @act "activation" on @cpu bytes 0
sched.arena @io "io" on @cpu bytes 262144
model.weight @w : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}

// CHECK-DAG: sched.kernel @[[Q:linear.*]] "linear" {dynamic = 1 : i64, format = "q4_k", k = 512 : i64, m = 64 : i64, n = 8 : i64, packed = 1 : i64}
// CHECK-DAG: sched.kernel @[[D:down.*]] "down" {dynamic = 1 : i64, experts = 4 : i64, format = "q5_0", k = 288 : i64, m = 64 : i64, n = 8 : i64, packed = 1 : i64, top_k = 2 : i64}
// CHECK-DAG: sched.kernel @[[S:down.*]] "down" {dense = 1 : i64, dynamic = 1 : i64, experts = 4 : i64, format = "q5_0", k = 288 : i64, m = 64 : i64, n = 8 : i64, packed = 1 : i64, top_k = 1 : i64}
// CHECK-DAG: sched.kernel @[[PACK:pack.*]] "pack" {dynamic = 1 : i64, group = 256 : i64, k = 512 : i64, m = 64 : i64}
// CHECK-DAG: sched.kernel @[[SLOTS:pack.*]] "pack" {dynamic = 1 : i64, experts = 4 : i64, group = 32 : i64, k = 288 : i64, m = 64 : i64, top_k = 2 : i64}
// CHECK-DAG: sched.kernel @[[ROWS:pack.*]] "pack" {dynamic = 1 : i64, group = 32 : i64, k = 288 : i64, m = 64 : i64}
sched.kernel @norm "rms_norm" {dynamic = 1 : i64, group = 256 : i64, k = 512 : i64, m = 64 : i64}
sched.kernel @quantize "quantize" {dynamic = 1 : i64, k = 288 : i64, m = 64 : i64, rows = 2 : i64}
sched.kernel @linear "linear" {dynamic = 1 : i64, format = "q4_k", k = 512 : i64, m = 64 : i64, n = 8 : i64}
sched.kernel @linear.f32 "linear" {dynamic = 1 : i64, format = "f32", k = 512 : i64, m = 64 : i64, n = 8 : i64}
sched.kernel @linear.exact "linear" {dynamic = 1 : i64, exact = 1 : i64, format = "q4_k", k = 512 : i64, m = 64 : i64, n = 8 : i64}
sched.kernel @linear.batch "linear" {batch = 2 : i64, dynamic = 1 : i64, format = "q4_k", k = 512 : i64, m = 64 : i64, n = 8 : i64}
sched.kernel @down "down" {dynamic = 1 : i64, experts = 4 : i64, format = "q5_0", k = 288 : i64, m = 64 : i64, n = 8 : i64, top_k = 2 : i64}
sched.kernel @down.dense "down" {dense = 1 : i64, dynamic = 1 : i64, experts = 4 : i64, format = "q5_0", k = 288 : i64, m = 64 : i64, n = 8 : i64, top_k = 1 : i64}

// Two readers of the same rows, one with a bias.
// CHECK-LABEL: sched.entry @tokens
sched.entry @tokens capacity 64 dynamic {
  %w = sched.weight @w
  %none = sched.none
  %y = sched.fixed @io at 0 bytes 2048
  %z = sched.fixed @io at 2048 bytes 2048
  // CHECK: %[[X:.*]] = sched.alloc @act bytes 36864
  %x = sched.alloc @act bytes 36864 {name = "q8k"}
  // CHECK: sched.dispatch @norm
  sched.dispatch @norm on @team(%y, %w, %none, %x) writes [3] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // Four blocks and one behind them, two spans of 4224 bytes each.
  // CHECK: %[[P:.*]] = sched.alloc @act bytes 42240 {name = "packed"}
  // CHECK-NEXT: sched.dispatch @[[PACK]] on @team(%[[X]], %[[P]]) writes [1] units 0 per_token 1 {bytes_read = 0 : i64, path = "q"}
  // CHECK-NEXT: %[[NO:.*]] = sched.none
  // CHECK-NEXT: sched.dispatch @[[Q]] on @team(%[[X]], %{{.*}}, %{{.*}}, %[[NO]], %[[P]]) writes [2] units 2 per_token 0 {bytes_read = 0 : i64, grain = 1 : i64, path = "q"}
  sched.dispatch @linear on @team(%x, %w, %y) writes [2] units 2 per_token 0 {path = "q", bytes_read = 0 : i64}
  // CHECK-NEXT: sched.dispatch @[[Q]] on @team(%[[X]], %[[W:.*]], %{{.*}}, %[[W]], %[[P]]) writes [2]
  sched.dispatch @linear on @team(%x, %w, %z, %w) writes [2] units 2 per_token 0 {path = "k", bytes_read = 0 : i64}
}

// CHECK-LABEL: sched.entry @experts
sched.entry @experts capacity 64 dynamic {
  %w = sched.weight @w
  %none = sched.none
  %y = sched.fixed @io at 0 bytes 2048
  %h = sched.fixed @io at 4096 bytes 147456
  // CHECK: %[[LISTS:.*]] = sched.alloc @act bytes 1024
  %lists = sched.alloc @act bytes 1024 {name = "lists"}
  %rows = sched.alloc @act bytes 65536 {name = "q8"}
  sched.dispatch @quantize on @team(%h, %rows) writes [1] units 0 per_token 2 {path = "p", bytes_read = 0 : i64}
  // CHECK: %[[P:.*]] = sched.alloc @act bytes 109824 {name = "packed"}
  // CHECK-NEXT: sched.dispatch @[[SLOTS]] on @team(%[[H:.*]], %[[P]], %[[LISTS]]) writes [1] units 0 per_token 2
  // CHECK-NEXT: %[[NO:.*]] = sched.none
  // CHECK-NEXT: sched.dispatch @[[D]] on @team(%{{.*}}, %[[H]], %{{.*}}, %{{.*}}, %[[LISTS]], %{{.*}}, %[[NO]], %[[P]]) writes [3] units 2 per_token 0 {bytes_read = 0 : i64, grain = 8 : i64, path = "d"}
  sched.dispatch @down on @team(%none, %rows, %w, %y, %lists, %none) writes [3] units 2 per_token 0 {path = "d", bytes_read = 0 : i64}
  // The same rows by tokens are packed in another order.
  // CHECK: %[[P2:.*]] = sched.alloc @act bytes 42240 {name = "packed"}
  // CHECK-NEXT: sched.dispatch @[[ROWS]] on @team(%[[H]], %[[P2]]) writes [1] units 0 per_token 1
  // CHECK: sched.dispatch @[[S]] on @team({{.*}}, %[[P2]]) writes [3]
  sched.dispatch @down.dense on @team(%none, %rows, %w, %y, %none, %none) writes [3] units 2 per_token 0 {path = "d", bytes_read = 0 : i64}
}

// CHECK-LABEL: sched.entry @others
// CHECK-NOT: "packed"
// CHECK-NOT: sched.dispatch @pack
sched.entry @others capacity 64 dynamic {
  %w = sched.weight @w
  %none = sched.none
  %y = sched.fixed @io at 0 bytes 2048
  %given = sched.fixed @io at 65536 bytes 36864
  %x = sched.alloc @act bytes 36864 {name = "q8k"}
  %late = sched.alloc @act bytes 36864 {name = "late"}
  sched.dispatch @norm on @team(%y, %w, %none, %x) writes [3] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  // Float weights, no panels, batches, the lane of a GPU.
  sched.dispatch @linear.f32 on @team(%x, %w, %y) writes [2] units 2 per_token 0 {path = "q", bytes_read = 0 : i64}
  sched.dispatch @linear.exact on @team(%x, %w, %y) writes [2] units 2 per_token 0 {path = "q", bytes_read = 0 : i64}
  sched.dispatch @linear.batch on @team(%x, %w, %y) writes [2] units 2 per_token 0 {path = "q", bytes_read = 0 : i64}
  sched.dispatch @linear on @stream(%x, %w, %y) writes [2] units 2 per_token 0 {path = "q", bytes_read = 0 : i64}
  // No buffer of the entry, written later, written twice.
  sched.dispatch @linear on @team(%given, %w, %y) writes [2] units 2 per_token 0 {path = "q", bytes_read = 0 : i64}
  sched.dispatch @linear on @team(%late, %w, %y) writes [2] units 2 per_token 0 {path = "q", bytes_read = 0 : i64}
  sched.dispatch @norm on @team(%y, %w, %none, %late) writes [3] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  %twice = sched.alloc @act bytes 36864 {name = "twice"}
  sched.dispatch @norm on @team(%y, %w, %none, %twice) writes [3] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  sched.dispatch @norm on @team(%y, %w, %none, %twice) writes [3] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  sched.dispatch @linear on @team(%twice, %w, %y) writes [2] units 2 per_token 0 {path = "q", bytes_read = 0 : i64}
}

// CHECK-LABEL: sched.entry @exact
// CHECK-NOT: "packed"
sched.entry @exact capacity 64 {
  %w = sched.weight @w
  %none = sched.none
  %y = sched.fixed @io at 0 bytes 2048
  %x = sched.alloc @act bytes 36864 {name = "q8k"}
  sched.dispatch @norm on @team(%y, %w, %none, %x) writes [3] units 0 per_token 1 {path = "p", bytes_read = 0 : i64}
  sched.dispatch @linear on @team(%x, %w, %y) writes [2] units 2 per_token 0 {path = "q", bytes_read = 0 : i64}
}
