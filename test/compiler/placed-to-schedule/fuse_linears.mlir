// sched-fuse-linears: products of the same activations on a GPU become one launch.
// RUN: ktc-opt %s -sched-fuse-linears | FileCheck %s

// CHECK-DAG: sched.kernel @[[PAIR:linear_group.[0-9]+]] "linear_group" {accumulate0 = 0 : i64, accumulate1 = 1 : i64, format0 = "q4_k", format1 = "q6_k", k = 256 : i64, m = 2 : i64, n0 = 16 : i64, n1 = 8 : i64, x_type = "bf16"}
// CHECK-DAG: sched.kernel @[[THREE:linear_group.[0-9]+]] "linear_group" {{.*}}format2 = "q4_k"
sched.kernel @a "linear" {accumulate = 0 : i64, batch = 1 : i64, format = "q4_k", k = 256 : i64, m = 2 : i64, n = 16 : i64, x_type = "bf16"}
sched.kernel @b "linear" {accumulate = 1 : i64, format = "q6_k", k = 256 : i64, m = 2 : i64, n = 8 : i64, x_type = "bf16"}
sched.kernel @wide "linear" {format = "q4_k", k = 256 : i64, m = 2 : i64, n = 16 : i64, x_type = "f32"}
sched.kernel @float "linear" {format = "f32", k = 256 : i64, m = 2 : i64, n = 16 : i64, x_type = "bf16"}
sched.kernel @dynamic "linear" {dynamic = 1 : i64, format = "q4_k", k = 256 : i64, m = 2 : i64, n = 16 : i64, x_type = "bf16"}
sched.kernel @norm "rms_norm" {k = 16 : i64}
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 0
model.weight @w : tensor<16x256xf32> {file = 0 : i32, offset = 0 : i64, bytes = 16384 : i64}
model.weight @v : tensor<16x256xf32> {file = 0 : i32, offset = 16384 : i64, bytes = 16384 : i64}

// Buffers that are defined later come before the group.
// CHECK-LABEL: sched.entry @pair
// CHECK: %[[X:.*]] = sched.alloc {{.*}} {name = "x"}
// CHECK: %[[W:.*]] = sched.weight @w
// CHECK: %[[Y0:.*]] = sched.alloc {{.*}} {name = "y0"}
// CHECK: %[[V:.*]] = sched.weight @v
// CHECK: %[[Y1:.*]] = sched.alloc {{.*}} {name = "y1"}
// CHECK-NEXT: sched.dispatch @[[PAIR]] on @gpu(%[[X]], %[[W]], %[[Y0]], %{{.*}}, %[[V]], %[[Y1]], %{{.*}}) writes [2, 5] units 6 per_token 0 {bytes_read = 30 : i64, path = "attention.q+k"}
// CHECK-NEXT: sched.dispatch @norm
// CHECK-NOT: sched.dispatch
sched.entry @pair capacity 2 {
  %none = sched.none
  %x = sched.alloc @act.cuda0 bytes 1024 {name = "x"}
  %w = sched.weight @w
  %y0 = sched.alloc @act.cuda0 bytes 128 {name = "y0"}
  sched.dispatch @a on @gpu(%x, %w, %y0, %none) writes [2] units 4 per_token 0 {path = "attention.q", bytes_read = 10 : i64}
  sched.dispatch @norm on @gpu(%y0, %w, %y0, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
  %v = sched.weight @v
  %y1 = sched.alloc @act.cuda0 bytes 64 {name = "y1"}
  sched.dispatch @b on @gpu(%x, %v, %y1, %none) writes [2] units 2 per_token 0 {path = "attention.k", bytes_read = 20 : i64}
}

// CHECK-LABEL: sched.entry @three
// CHECK: sched.dispatch @[[THREE]] on @gpu({{.*}}) writes [2, 5, 8]
// CHECK-NOT: sched.dispatch
sched.entry @three capacity 2 {
  %none = sched.none
  %x = sched.alloc @act.cuda0 bytes 1024 {name = "x"}
  %y = sched.alloc @act.cuda0 bytes 128 {name = "y"}
  %z = sched.alloc @act.cuda0 bytes 128 {name = "z"}
  %u = sched.alloc @act.cuda0 bytes 128 {name = "u"}
  %w = sched.weight @w
  sched.dispatch @a on @gpu(%x, %w, %y, %none) writes [2] units 4 per_token 0 {path = "q", bytes_read = 10 : i64}
  sched.dispatch @b on @gpu(%x, %w, %z, %none) writes [2] units 4 per_token 0 {path = "k", bytes_read = 10 : i64}
  sched.dispatch @a on @gpu(%x, %w, %u, %none) writes [2] units 4 per_token 0 {path = "v", bytes_read = 10 : i64}
}

// Other activations, types, lanes, float32 weights and run-time numbers of tokens stay apart.
// CHECK-LABEL: sched.entry @apart
// CHECK-COUNT-6: sched.dispatch @{{a|b|wide|float|dynamic}} on
// CHECK-NOT: sched.dispatch
sched.entry @apart capacity 2 {
  %none = sched.none
  %x = sched.alloc @act.cuda0 bytes 1024 {name = "x"}
  %other = sched.alloc @act.cuda0 bytes 1024 {name = "other"}
  %y = sched.alloc @act.cuda0 bytes 128 {name = "y"}
  %z = sched.alloc @act.cuda0 bytes 128 {name = "z"}
  %w = sched.weight @w
  sched.dispatch @a on @gpu(%x, %w, %y, %none) writes [2] units 4 per_token 0 {path = "q", bytes_read = 10 : i64}
  sched.dispatch @b on @gpu(%other, %w, %z, %none) writes [2] units 4 per_token 0 {path = "k", bytes_read = 10 : i64}
  sched.dispatch @wide on @gpu(%x, %w, %z, %none) writes [2] units 4 per_token 0 {path = "k", bytes_read = 10 : i64}
  sched.dispatch @float on @gpu(%x, %w, %z, %none) writes [2] units 4 per_token 0 {path = "k", bytes_read = 10 : i64}
  sched.dispatch @dynamic on @gpu(%x, %w, %z, %none) writes [2] units 4 per_token 0 {path = "k", bytes_read = 10 : i64}
  sched.dispatch @a on @team(%x, %w, %z, %none) writes [2] units 4 per_token 0 {path = "k", bytes_read = 10 : i64}
}

// The activations change, the result is written twice, or is in use before.
// CHECK-LABEL: sched.entry @conflicts
// CHECK: sched.dispatch @a
// CHECK: sched.dispatch @b
// CHECK: sched.dispatch @norm
// CHECK: sched.dispatch @norm
// CHECK: sched.dispatch @b
// CHECK: sched.dispatch @norm
// CHECK: sched.dispatch @a
sched.entry @conflicts capacity 2 {
  %none = sched.none
  %x = sched.alloc @act.cuda0 bytes 1024 {name = "x"}
  %y = sched.alloc @act.cuda0 bytes 128 {name = "y"}
  %z = sched.alloc @act.cuda0 bytes 128 {name = "z"}
  %u = sched.alloc @act.cuda0 bytes 128 {name = "u"}
  %w = sched.weight @w
  sched.dispatch @a on @gpu(%x, %w, %y, %none) writes [2] units 4 per_token 0 {path = "q", bytes_read = 10 : i64}
  sched.dispatch @b on @gpu(%x, %w, %y, %none) writes [2] units 4 per_token 0 {path = "k", bytes_read = 10 : i64}
  sched.dispatch @norm on @gpu(%z, %w, %u, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
  sched.dispatch @norm on @gpu(%u, %w, %z, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
  sched.dispatch @b on @gpu(%x, %w, %z, %none) writes [2] units 4 per_token 0 {path = "k", bytes_read = 10 : i64}
  sched.dispatch @norm on @gpu(%u, %w, %x, %none) writes [2] units 0 per_token 1 {path = "norm", bytes_read = 0 : i64}
  sched.dispatch @a on @gpu(%x, %w, %u, %none) writes [2] units 4 per_token 0 {path = "k", bytes_read = 10 : i64}
}
