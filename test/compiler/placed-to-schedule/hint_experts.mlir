// sched-hint-experts: in the shadow of a layer's experts the GPU applies the next layer's norm and router.
// RUN: ktc-opt %s -sched-hint-experts=least-bytes=1000 | FileCheck %s
// Work of the CPU that is too short casts no shadow.
// RUN: ktc-opt %s -sched-hint-experts | FileCheck %s --check-prefix=SHORT --implicit-check-not=shadow --implicit-check-not=@hints
// SHORT: sched.entry @decode_1
// Nothing else orders the lanes by it, and it begins behind what the CPU waits for.
// RUN: ktc-opt %s -sched-hint-experts=least-bytes=1000 -sched-place-buffers -sched-insert-signals -sched-insert-barriers -sched-plan-memory -sched-check-memory -sched-order-graph \
// RUN:   | FileCheck %s --check-prefix=ORDER

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @act "activation" on @cpu bytes 0
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 0
// CHECK: sched.arena @hints "io" on @cpu bytes 128 mapped
model.weight @norm.0 : tensor<256xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @norm.1 : tensor<256xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @norm.2 : tensor<256xf32> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
model.weight @router.0 : tensor<8x256xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
model.weight @router.1 : tensor<8x256xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
model.weight @router.2 : tensor<8x256xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
model.weight @bias.1 : tensor<8xf32> {file = 0 : i32, offset = 0 : i64, bytes = 32 : i64}
model.weight @both.0 : tensor<8x64x256x!kt.q4_k> {file = 0 : i32, offset = 0 : i64, bytes = 73728 : i64}
model.weight @gate.1 : tensor<8x32x256x!kt.q4_k> {file = 0 : i32, offset = 0 : i64, bytes = 36864 : i64}
model.weight @up.1 : tensor<8x32x256xf16> {file = 0 : i32, offset = 0 : i64, bytes = 131072 : i64}

// What the norm adds first has been added already, and no lists are needed.
// CHECK-DAG: sched.kernel @[[NORM:rms_norm.*]] "rms_norm" {k = 256 : i64, m = 1 : i64, row_offset = 0 : i64, rows = 1 : i64, x_stride = 256 : i64}
// CHECK-DAG: sched.kernel @[[TOPK:router_topk.*]] "router_topk" {bias = 1 : i64, experts = 8 : i64, m = 1 : i64, top_k = 2 : i64}
sched.kernel @norm "rms_norm" {adds = 1 : i64, group = 256 : i64, k = 256 : i64, m = 1 : i64, rows = 1 : i64, row_offset = 0 : i64, x_stride = 256 : i64}
sched.kernel @router "linear" {format = "f32", k = 256 : i64, m = 1 : i64, n = 8 : i64}
sched.kernel @topk "router_topk" {bias = 1 : i64, experts = 8 : i64, lists = 1 : i64, m = 1 : i64, top_k = 2 : i64}
sched.kernel @gate_up "gate_up" {format_gate = "q4_k", format_up = "f16", n = 32 : i64, k = 256 : i64, experts = 8 : i64, top_k = 2 : i64, dense = 0 : i64, gate_expert_rows = 32 : i64, up_expert_rows = 32 : i64}
sched.kernel @fused "gate_up" {format_gate = "q4_k", format_up = "q4_k", n = 32 : i64, k = 256 : i64, experts = 8 : i64, top_k = 2 : i64, dense = 0 : i64, gate_expert_rows = 64 : i64, up_expert_rows = 64 : i64}
sched.kernel @down "down" {format = "f16", n = 256 : i64, k = 32 : i64, experts = 8 : i64, top_k = 2 : i64, dense = 0 : i64}

// CHECK-LABEL: sched.entry @decode_1
// CHECK:       %[[IDS2:.*]] = sched.fixed @hints at 64 bytes 8 {role = "expert hint"}
// CHECK-NEXT:  %[[IDS1:.*]] = sched.fixed @hints at 0 bytes 8 {role = "expert hint"}
// CHECK:       %[[X:.*]] = sched.alloc {{.*}} {name = "x"}
// The first layer has nobody who could have guessed.
// CHECK:       sched.dispatch @topk on @gpu
// CHECK:       %[[ROWS:.*]] = sched.alloc @act bytes 512 {name = "guessed rows"}
// CHECK:       %[[W:.*]] = sched.weight @norm.1
// CHECK:       sched.dispatch @[[NORM]] on @gpu(%[[X]], %[[W]], %[[NONE:.*]], %[[NONE]], %[[ROWS]]) writes [4] {{.*}}path = "norm.1 (guess)", shadow}
// CHECK:       %[[LOGITS:.*]] = sched.alloc @act bytes 32 {name = "guessed logits"}
// CHECK:       %[[R:.*]] = sched.weight @router.1
// CHECK:       sched.dispatch @router on @gpu(%[[ROWS]], %[[R]], %[[LOGITS]], %{{.*}}) writes [2] {{.*}}shadow}
// CHECK:       %[[B:.*]] = sched.weight @bias.1
// CHECK:       sched.dispatch @[[TOPK]] on @gpu(%[[LOGITS]], %[[B]], %[[IDS1]], %{{.*}}) writes [2, 3] {{.*}}shadow}
// CHECK:       sched.dispatch @fused on @team
// CHECK-NOT:   hint =
// CHECK:       sched.dispatch @gate_up on @team({{.*}}, %[[IDS1]]) writes [4] {{.*}}expert_bytes = array<i64: 4608, 16384>, hint = array<i64: 7, 2, 8, 5>, {{.*}}streams = array<i64: 2, 576, 3, 2048>}
// Behind it the experts are known, and `down` reads ahead by the lists themselves.
// CHECK:       %[[LISTED:.*]] = sched.view %[[LISTS:.*]] at 64
// CHECK-NEXT:  sched.dispatch @down on @team({{.*}}, %[[LISTS]], %{{.*}}, %[[LISTED]]) writes [3] {{.*}}expert_bytes = array<i64: 16384>, hint = array<i64: 6, 2, 8, 4>, {{.*}}streams = array<i64: 2, 256>}
// CHECK:       sched.dispatch @fused on @team({{.*}}, %[[IDS2]]) writes [4] {{.*}}expert_bytes = array<i64: 9216, 9216>, hint = array<i64: 7, 2, 8, 5>, {{.*}}streams = array<i64: 2, 576, 3, 576>}

// ORDER-LABEL: sched.entry @decode_1
// ORDER:       sched.dispatch @topk on @gpu
// ORDER-NEXT:  sched.signal 0 on @gpu {after = array<i32: 3>}
// ORDER:       sched.dispatch @rms_norm.{{.*}} on @gpu({{.*}}after = array<i32: 4>, {{.*}}shadow}
// ORDER:       sched.dispatch @router on @gpu({{.*}}after = array<i32: 5>, {{.*}}shadow}
// ORDER:       sched.dispatch @router_topk.{{.*}} on @gpu({{.*}}after = array<i32: 6>, {{.*}}shadow}
// ORDER:       sched.wait 0 on @team
// ORDER:       sched.wait 1 on @gpu
// ORDER:       sched.dispatch @topk on @gpu
// ORDER-NEXT:  sched.signal 2 on @gpu
// ORDER:       sched.wait 2 on @team
// ORDER-NEXT:  sched.dispatch @gate_up on @team
sched.entry @decode_1 capacity 1 {
  %x = sched.alloc @act bytes 1024 {name = "x"}
  %a = sched.alloc @act bytes 1024 {name = "a"}
  %q = sched.alloc @act bytes 304 {name = "q"}
  %rows = sched.alloc @act bytes 512 {name = "rows"}
  %logits = sched.alloc @act bytes 32 {name = "logits"}
  %ids = sched.alloc @act bytes 8 {name = "ids"}
  %weights = sched.alloc @act bytes 8 {name = "weights"}
  %lists = sched.alloc @act bytes 256 {name = "lists"}
  %h = sched.alloc @act bytes 256 {name = "h"}
  %none = sched.none
  %n0 = sched.weight @norm.0
  %r0 = sched.weight @router.0
  %b = sched.weight @bias.1
  %both = sched.weight @both.0
  %second = sched.view %both at 4608
  sched.fill %x with 0 on @gpu bytes 1024 per_token 0
  sched.dispatch @norm on @gpu(%x, %n0, %none, %q, %rows) writes [0, 3, 4] units 0 per_token 1 {path = "norm.0", bytes_read = 0 : i64}
  sched.dispatch @router on @gpu(%rows, %r0, %logits, %none) writes [2] units 2 per_token 0 {path = "router.0", bytes_read = 0 : i64}
  sched.dispatch @topk on @gpu(%logits, %b, %ids, %weights, %lists) writes [2, 3, 4] units 0 per_token 1 {path = "router.0", bytes_read = 0 : i64}
  sched.dispatch @fused on @team(%none, %none, %both, %second, %h, %lists, %q) writes [4] units 8 per_token 0 {path = "experts.0", bytes_read = 1000 : i64}
  sched.dispatch @down on @team(%h, %none, %both, %a, %lists, %weights) writes [3] units 64 per_token 0 {path = "experts.0", bytes_read = 1000 : i64}
  %n1 = sched.weight @norm.1
  %r1 = sched.weight @router.1
  %b1 = sched.weight @bias.1
  %g1 = sched.weight @gate.1
  %u1 = sched.weight @up.1
  sched.dispatch @norm on @gpu(%x, %n1, %none, %q, %rows, %a) writes [0, 3, 4] units 0 per_token 1 {path = "norm.1", bytes_read = 0 : i64}
  sched.dispatch @router on @gpu(%rows, %r1, %logits, %none) writes [2] units 2 per_token 0 {path = "router.1", bytes_read = 0 : i64}
  sched.dispatch @topk on @gpu(%logits, %b1, %ids, %weights, %lists) writes [2, 3, 4] units 0 per_token 1 {path = "router.1", bytes_read = 0 : i64}
  sched.dispatch @gate_up on @team(%none, %none, %g1, %u1, %h, %lists, %q) writes [4] units 8 per_token 0 {path = "experts.1", bytes_read = 1000 : i64}
  sched.dispatch @down on @team(%h, %none, %both, %a, %lists, %weights) writes [3] units 64 per_token 0 {path = "experts.1", bytes_read = 1000 : i64}
  %n2 = sched.weight @norm.2
  %r2 = sched.weight @router.2
  sched.dispatch @norm on @gpu(%x, %n2, %none, %q, %rows, %a) writes [0, 3, 4] units 0 per_token 1 {path = "norm.2", bytes_read = 0 : i64}
  sched.dispatch @router on @gpu(%rows, %r2, %logits, %none) writes [2] units 2 per_token 0 {path = "router.2", bytes_read = 0 : i64}
  sched.dispatch @topk on @gpu(%logits, %b, %ids, %weights, %lists) writes [2, 3, 4] units 0 per_token 1 {path = "router.2", bytes_read = 0 : i64}
  sched.dispatch @fused on @team(%none, %none, %both, %second, %h, %lists, %q) writes [4] units 8 per_token 0 {path = "experts.2", bytes_read = 0 : i64}
}

// More tokens choose most experts anyway.
// CHECK-LABEL: sched.entry @decode_2
// CHECK-NOT:   shadow
// CHECK-NOT:   hint =
sched.entry @decode_2 capacity 2 {
  %x = sched.alloc @act bytes 2048
  %rows = sched.alloc @act bytes 1024
  %logits = sched.alloc @act bytes 64
  %ids = sched.alloc @act bytes 16
  %weights = sched.alloc @act bytes 16
  %lists = sched.alloc @act bytes 256
  %h = sched.alloc @act bytes 512
  %none = sched.none
  %n = sched.weight @norm.0
  %r = sched.weight @router.0
  %b = sched.weight @bias.1
  %both = sched.weight @both.0
  %second = sched.view %both at 4608
  sched.fill %x with 0 on @gpu bytes 2048 per_token 0
  sched.dispatch @norm on @gpu(%x, %n, %none, %none, %rows) writes [4] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
  sched.dispatch @router on @gpu(%rows, %r, %logits, %none) writes [2] units 2 per_token 0 {path = "router", bytes_read = 0 : i64}
  sched.dispatch @topk on @gpu(%logits, %b, %ids, %weights, %lists) writes [2, 3, 4] units 0 per_token 1 {path = "router", bytes_read = 0 : i64}
  sched.dispatch @fused on @team(%x, %none, %both, %second, %h, %lists) writes [4] units 8 per_token 0 {path = "experts", bytes_read = 0 : i64}
  sched.dispatch @norm on @gpu(%x, %n, %none, %none, %rows) writes [4] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
  sched.dispatch @router on @gpu(%rows, %r, %logits, %none) writes [2] units 2 per_token 0 {path = "router", bytes_read = 0 : i64}
  sched.dispatch @topk on @gpu(%logits, %b, %ids, %weights, %lists) writes [2, 3, 4] units 0 per_token 1 {path = "router", bytes_read = 0 : i64}
  sched.dispatch @fused on @team(%x, %none, %both, %second, %h, %lists) writes [4] units 8 per_token 0 {path = "experts", bytes_read = 0 : i64}
}
