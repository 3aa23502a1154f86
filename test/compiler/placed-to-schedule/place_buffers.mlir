// sched-place-buffers: a buffer lies on the device that uses it; one of several devices lies in mapped memory.
// RUN: ktc-opt %s -sched-place-buffers | FileCheck %s

// CHECK: sched.arena @act "activation" on @cpu bytes 0{{$}}
// The host's inputs are read by the GPU, so all of the arena is mapped.
// CHECK: sched.arena @io "io" on @cpu bytes 128 mapped
// CHECK: sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 0
// CHECK: sched.arena @kv.cuda0 "kv_cache" on @"cuda:0" bytes 64{{$}}
// CHECK: sched.arena @mapped "activation" on @cpu bytes 0 mapped
sched.device @cpu "cpu" budget 0
sched.lane @cpu.team on @cpu
sched.arena @act "activation" on @cpu bytes 0
sched.arena @io "io" on @cpu bytes 128
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu.stream on @"cuda:0"
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 0
sched.arena @kv.cuda0 "kv_cache" on @"cuda:0" bytes 64

// CHECK-LABEL: sched.entry @e
sched.entry @e capacity 1 {
  %in = sched.fixed @io at 0 bytes 64
  %cache = sched.fixed @kv.cuda0 at 0 bytes 64
  // CHECK: sched.alloc @act bytes 64 {name = "host"}
  %host = sched.alloc @act.cuda0 bytes 64 {name = "host"}
  // CHECK: sched.alloc @act.cuda0 bytes 64 {name = "device"}
  %device = sched.alloc @act bytes 64 {name = "device"}
  // CHECK: sched.alloc @mapped bytes 64 {name = "both"}
  %both = sched.alloc @act bytes 64 {name = "both"}
  // One device uses the buffer, another only a part of it.
  // CHECK: sched.alloc @mapped bytes 64 {name = "viewed"}
  %viewed = sched.alloc @act.cuda0 bytes 64 {name = "viewed"}
  %part = sched.view %viewed at 32
  sched.copy %in to %device on @gpu.stream bytes 64 per_token 0
  sched.copy %device to %cache on @gpu.stream bytes 64 per_token 0
  sched.copy %device to %both on @gpu.stream bytes 64 per_token 0
  sched.copy %device to %viewed on @gpu.stream bytes 64 per_token 0
  sched.copy %both to %host on @cpu.team bytes 64 per_token 0
  sched.copy %part to %host on @cpu.team bytes 32 per_token 0
}
