// sched-insert-signals: order between lanes by as few signals as possible, raised early and awaited late.
// RUN: ktc-opt %s -split-input-file -sched-insert-signals | FileCheck %s

// A layer: the GPU chooses, the CPU computes experts, the GPU something else meanwhile, then both are joined.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @mapped "activation" on @cpu bytes 0 mapped
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 0

// CHECK-LABEL: sched.entry @layer
sched.entry @layer capacity 1 {
  %rows = sched.alloc @mapped bytes 64
  %lists = sched.alloc @mapped bytes 64
  %h = sched.alloc @mapped bytes 64
  %y = sched.alloc @mapped bytes 64
  %shared = sched.alloc @act.cuda0 bytes 64
  // Both are read by the CPU: the second signal would cover the first, so there is one.
  // CHECK:      sched.fill %[[ROWS:.*]] with 1 on @gpu
  sched.fill %rows with 1 on @gpu bytes 64 per_token 0
  // CHECK-NEXT: sched.copy {{.*}} on @gpu
  // CHECK-NEXT: sched.signal 0 on @gpu
  sched.copy %rows to %lists on @gpu bytes 64 per_token 0
  // CHECK-NEXT: sched.wait 0 on @team
  // CHECK-NEXT: sched.copy %{{.*}} to %[[H:.*]] on @team
  sched.copy %lists to %h on @team bytes 64 per_token 0
  // What the CPU knows already needs no signal, and neither does order within a lane.
  // CHECK-NEXT: sched.copy %[[ROWS]] to %[[H]] on @team
  sched.copy %rows to %h on @team bytes 64 per_token 0
  // CHECK-NEXT: sched.copy %[[H]] to %[[Y:.*]] on @team
  // CHECK-NEXT: sched.signal 1 on @team
  sched.copy %h to %y on @team bytes 64 per_token 0
  // Nothing of the CPU is needed for this.
  // CHECK-NEXT: sched.fill {{.*}} on @gpu
  sched.fill %shared with 2 on @gpu bytes 64 per_token 0
  // CHECK-NEXT: sched.wait 1 on @gpu
  // CHECK-NEXT: sched.copy %[[Y]] to {{.*}} on @gpu
  sched.copy %y to %shared on @gpu bytes 64 per_token 0
  // The CPU has read the rows before it signalled: they may be written again.
  // CHECK-NEXT: sched.fill %[[ROWS]] with 3 on @gpu
  // CHECK-NOT:  sched.signal
  // CHECK-NOT:  sched.wait
  sched.fill %rows with 3 on @gpu bytes 64 per_token 0
}

// -----

// Reads of one lane are awaited before another writes, and writes before writes.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @mapped "activation" on @cpu bytes 0 mapped
sched.arena @io "io" on @cpu bytes 192 mapped

// CHECK-LABEL: sched.entry @anti
sched.entry @anti capacity 1 {
  %a = sched.fixed @io at 0 bytes 128
  // Overlaps the other range.
  %b = sched.fixed @io at 64 bytes 128
  %x = sched.alloc @mapped bytes 64
  // CHECK:      sched.copy {{.*}} on @team
  // CHECK-NEXT: sched.signal 0 on @team
  sched.copy %a to %x on @team bytes 64 per_token 0
  // CHECK-NEXT: sched.wait 0 on @gpu
  // CHECK-NEXT: sched.fill {{.*}} on @gpu
  // CHECK-NEXT: sched.signal 1 on @gpu
  sched.fill %b with 0 on @gpu bytes 64 per_token 0
  // CHECK-NEXT: sched.wait 1 on @team
  // CHECK-NEXT: sched.fill {{.*}} on @team
  sched.fill %a with 0 on @team bytes 64 per_token 0
}

// -----

// What one lane has learned, those that wait for it know too; two lanes may wait for one signal.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.device @"cuda:1" "cuda" budget 0
sched.lane @gpu1 on @"cuda:1"
sched.arena @mapped "activation" on @cpu bytes 0 mapped

// CHECK-LABEL: sched.entry @three
sched.entry @three capacity 1 {
  %a = sched.alloc @mapped bytes 64
  %b = sched.alloc @mapped bytes 64
  %c = sched.alloc @mapped bytes 64
  %d = sched.alloc @mapped bytes 64
  // CHECK:      sched.fill {{.*}} on @team
  // CHECK-NEXT: sched.signal 0 on @team
  sched.fill %a with 0 on @team bytes 64 per_token 0
  // CHECK-NEXT: sched.wait 0 on @gpu
  // CHECK-NEXT: sched.copy {{.*}} on @gpu
  // CHECK-NEXT: sched.signal 1 on @gpu
  sched.copy %a to %b on @gpu bytes 64 per_token 0
  // By the GPU's signal the fill on the CPU is known to be done.
  // CHECK-NEXT: sched.wait 1 on @gpu1
  // CHECK-NEXT: sched.copy {{.*}} on @gpu1
  sched.copy %b to %c on @gpu1 bytes 64 per_token 0
  // CHECK-NEXT: sched.copy {{.*}} on @gpu1
  sched.copy %a to %c on @gpu1 bytes 64 per_token 0
  // CHECK-NEXT: sched.wait 1 on @team
  // CHECK-NEXT: sched.copy {{.*}} on @team
  sched.copy %b to %d on @team bytes 64 per_token 0
}

// -----

// One lane needs none.
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 0
// CHECK-LABEL: sched.entry @one
// CHECK-NOT: signal
// CHECK-NOT: wait
sched.entry @one capacity 1 {
  %a = sched.alloc @act bytes 64
  sched.fill %a with 0 on @team bytes 64 per_token 0
  sched.fill %a with 1 on @team bytes 64 per_token 0
}
