// sched-fuse-norm-products: a router's product on a GPU becomes part of the norm before it.
// RUN: ktc-opt %s -sched-fuse-norm-products | FileCheck %s

// CHECK-DAG: sched.kernel @[[BOTH:rms_norm.[0-9]+]] "rms_norm" {eps = {{[^,]*}}, k = 256 : i64, m = 2 : i64, products = 16 : i64, row_offset = 0 : i64, rows = 1 : i64, x_stride = 256 : i64, y_stride = 256 : i64}
sched.kernel @norm "rms_norm" {eps = 1.0e-6, k = 256 : i64, m = 2 : i64, row_offset = 0 : i64, rows = 1 : i64, x_stride = 256 : i64, y_stride = 256 : i64}
sched.kernel @adds "rms_norm" {adds = 1 : i64, eps = 1.0e-6, k = 256 : i64, m = 2 : i64, row_offset = 0 : i64, rows = 1 : i64, x_stride = 256 : i64, y_stride = 256 : i64}
sched.kernel @router "linear" {format = "f32", k = 256 : i64, m = 2 : i64, n = 16 : i64, x_stride = 256 : i64, y_stride = 16 : i64}
sched.kernel @biased "linear" {bias = 1 : i64, format = "f32", k = 256 : i64, m = 2 : i64, n = 16 : i64}
sched.kernel @quantized "linear" {format = "q4_k", k = 256 : i64, m = 2 : i64, n = 16 : i64}
sched.kernel @dynamic "linear" {dynamic = 1 : i64, format = "f32", k = 256 : i64, m = 2 : i64, n = 16 : i64}
sched.kernel @gate "linear" {format = "f32", k = 256 : i64, m = 2 : i64, n = 1 : i64}
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 0
model.weight @w : tensor<16x256xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16384 : i64}
model.weight @n : tensor<256xf32> {file = 0 : i32, offset = 16384 : i64, bytes = 1024 : i64}

// Nobody else reads the rows as float32: they are not written. The norm still makes bfloat16 rows.
// CHECK-LABEL: sched.entry @alone
// CHECK: %[[X:.*]] = sched.alloc {{.*}} {name = "x"}
// CHECK: %[[B:.*]] = sched.alloc {{.*}} {name = "bf16"}
// CHECK: %[[NONE:.*]] = sched.none
// CHECK: %[[W:.*]] = sched.weight @w
// CHECK: %[[Y:.*]] = sched.alloc {{.*}} {name = "y"}
// CHECK-NEXT: sched.dispatch @[[BOTH]] on @gpu(%[[X]], %{{.*}}, %[[NONE]], %{{.*}}, %[[B]], %[[NONE]], %[[NONE]], %[[NONE]], %[[W]], %[[Y]]) writes [4, 9] units 0 per_token 1 {bytes_read = 30 : i64, path = "layer.norm+gate"}
// CHECK-NOT: sched.dispatch
sched.entry @alone capacity 2 {
  %none = sched.none
  %x = sched.alloc @act.cuda0 bytes 2048 {name = "x"}
  %n = sched.weight @n
  %rows = sched.alloc @act.cuda0 bytes 2048 {name = "rows"}
  %bf16 = sched.alloc @act.cuda0 bytes 1024 {name = "bf16"}
  sched.dispatch @norm on @gpu(%x, %n, %rows, %none, %bf16) writes [2, 4] units 0 per_token 1 {path = "layer.norm", bytes_read = 10 : i64}
  %w = sched.weight @w
  %y = sched.alloc @act.cuda0 bytes 128 {name = "y"}
  sched.dispatch @router on @gpu(%rows, %w, %y, %none) writes [2] units 4 per_token 0 {path = "layer.mlp.gate", bytes_read = 20 : i64}
}

// One product per norm; the other one still reads the rows.
// CHECK-LABEL: sched.entry @second
// CHECK: %[[ROWS:.*]] = sched.alloc {{.*}} {name = "rows"}
// CHECK: sched.dispatch @[[BOTH]] on @gpu(%{{.*}}, %{{.*}}, %[[ROWS]], {{.*}}) writes [2, 9]
// CHECK-NEXT: sched.dispatch @gate on @gpu(%[[ROWS]]
// CHECK-NOT: sched.dispatch
sched.entry @second capacity 2 {
  %none = sched.none
  %x = sched.alloc @act.cuda0 bytes 2048 {name = "x"}
  %n = sched.weight @n
  %w = sched.weight @w
  %rows = sched.alloc @act.cuda0 bytes 2048 {name = "rows"}
  %y = sched.alloc @act.cuda0 bytes 128 {name = "y"}
  %z = sched.alloc @act.cuda0 bytes 8 {name = "z"}
  sched.dispatch @norm on @gpu(%x, %n, %rows, %none, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 10 : i64}
  sched.dispatch @router on @gpu(%rows, %w, %y, %none) writes [2] units 4 per_token 0 {path = "gate", bytes_read = 20 : i64}
  sched.dispatch @gate on @gpu(%rows, %w, %z, %none) writes [2] units 1 per_token 0 {path = "shared gate", bytes_read = 20 : i64}
}

// Biases, other formats, run-time numbers of tokens, norms that add, other lanes and what touches y stay apart.
// CHECK-LABEL: sched.entry @apart
// CHECK-COUNT-2: sched.dispatch @{{norm|biased}} on
// CHECK-COUNT-2: sched.dispatch @{{norm|quantized}} on
// CHECK-COUNT-2: sched.dispatch @{{norm|dynamic}} on
// CHECK-COUNT-2: sched.dispatch @{{adds|router}} on
// CHECK-COUNT-2: sched.dispatch @{{norm|router}} on @team
// CHECK-COUNT-3: sched.dispatch @{{norm|quantized|router}} on @gpu
// CHECK-NOT: sched.dispatch
sched.entry @apart capacity 2 {
  %none = sched.none
  %x = sched.alloc @act.cuda0 bytes 2048 {name = "x"}
  %n = sched.weight @n
  %w = sched.weight @w
  %rows = sched.alloc @act.cuda0 bytes 2048 {name = "rows"}
  %y = sched.alloc @act.cuda0 bytes 128 {name = "y"}
  sched.dispatch @norm on @gpu(%x, %n, %rows, %none, %none) writes [2] units 0 per_token 1 {path = "a", bytes_read = 10 : i64}
  sched.dispatch @biased on @gpu(%rows, %w, %y, %n) writes [2] units 4 per_token 0 {path = "a", bytes_read = 20 : i64}
  sched.dispatch @norm on @gpu(%x, %n, %rows, %none, %none) writes [2] units 0 per_token 1 {path = "b", bytes_read = 10 : i64}
  sched.dispatch @quantized on @gpu(%rows, %w, %y, %none) writes [2] units 4 per_token 0 {path = "b", bytes_read = 20 : i64}
  sched.dispatch @norm on @gpu(%x, %n, %rows, %none, %none) writes [2] units 0 per_token 1 {path = "c", bytes_read = 10 : i64}
  sched.dispatch @dynamic on @gpu(%rows, %w, %y, %none) writes [2] units 4 per_token 0 {path = "c", bytes_read = 20 : i64}
  sched.dispatch @adds on @gpu(%x, %n, %rows, %none, %none, %x) writes [0, 2] units 0 per_token 1 {path = "d", bytes_read = 10 : i64}
  sched.dispatch @router on @gpu(%rows, %w, %y, %none) writes [2] units 4 per_token 0 {path = "d", bytes_read = 20 : i64}
  sched.dispatch @norm on @team(%x, %n, %rows, %none) writes [2] units 0 per_token 1 {path = "e", bytes_read = 10 : i64}
  sched.dispatch @router on @team(%rows, %w, %y, %none) writes [2] units 4 per_token 0 {path = "e", bytes_read = 20 : i64}
  sched.dispatch @norm on @gpu(%x, %n, %rows, %none, %none) writes [2] units 0 per_token 1 {path = "f", bytes_read = 10 : i64}
  sched.dispatch @quantized on @gpu(%x, %w, %y, %none) writes [2] units 4 per_token 0 {path = "f", bytes_read = 20 : i64}
  sched.dispatch @router on @gpu(%rows, %w, %y, %none) writes [2] units 4 per_token 0 {path = "f", bytes_read = 20 : i64}
}
