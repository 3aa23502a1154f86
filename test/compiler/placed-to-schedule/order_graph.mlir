// sched-order-graph: edges from bytes that are read and written, without those that follow from others.
// RUN: ktc-opt %s -split-input-file -sched-order-graph | FileCheck %s

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 512
sched.arena @mapped "activation" on @cpu bytes 512 mapped

// CHECK-LABEL: sched.entry @bytes
sched.entry @bytes capacity 1 {
  %a = sched.alloc @act.cuda0 bytes 64 at 0
  %b = sched.alloc @act.cuda0 bytes 64 at 64
  %c = sched.alloc @act.cuda0 bytes 64 at 128
  // Where b and c lie.
  %d = sched.alloc @act.cuda0 bytes 128 at 64
  // The same bytes of another arena are others.
  %m = sched.alloc @mapped bytes 64 at 0
  // CHECK: sched.fill {{.*}} with 0 on @gpu {{.*}}after = array<i32>
  sched.fill %a with 0 on @gpu bytes 64 per_token 0
  // Both read a and run side by side.
  // CHECK: sched.copy {{.*}} on @gpu {{.*}}after = array<i32: 0>
  sched.copy %a to %b on @gpu bytes 64 per_token 0
  // CHECK: sched.copy {{.*}} on @gpu {{.*}}after = array<i32: 0>
  sched.copy %a to %c on @gpu bytes 64 per_token 0
  // CHECK: sched.fill {{.*}} with 1 on @gpu {{.*}}after = array<i32>
  sched.fill %m with 1 on @gpu bytes 64 per_token 0
  // CPU lanes have barriers instead.
  // CHECK: sched.fill {{.*}} with 2 on @team bytes 64 per_token 0{{$}}
  sched.fill %m with 2 on @team bytes 64 per_token 0
  // Writes b and c, so it follows both; that it follows the first command goes without saying.
  // CHECK: sched.fill {{.*}} with 3 on @gpu {{.*}}after = array<i32: 1, 2>
  sched.fill %d with 3 on @gpu bytes 128 per_token 0
  // Reads b again: the last who wrote there counts.
  // CHECK: sched.copy {{.*}} on @gpu {{.*}}after = array<i32: 4>
  sched.copy %b to %a on @gpu bytes 64 per_token 0
}

// -----

// Signals and waits.
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 512
sched.arena @mapped "activation" on @cpu bytes 512 mapped

// CHECK-LABEL: sched.entry @hand_over
sched.entry @hand_over capacity 1 {
  %a = sched.alloc @act.cuda0 bytes 64 at 0
  %b = sched.alloc @act.cuda0 bytes 64 at 64
  %c = sched.alloc @act.cuda0 bytes 64 at 128
  %m = sched.alloc @mapped bytes 64 at 0
  %n = sched.alloc @mapped bytes 64 at 64
  sched.fill %a with 0 on @gpu bytes 64 per_token 0
  sched.fill %m with 1 on @gpu bytes 64 per_token 0
  // Follows all that was before.
  // CHECK: sched.signal 0 on @gpu {after = array<i32: 0, 1>}
  sched.signal 0 on @gpu
  sched.wait 0 on @team
  // CHECK: sched.fill {{.*}} with 2 on @gpu {{.*}}after = array<i32>
  sched.fill %b with 2 on @gpu bytes 64 per_token 0
  // CHECK: sched.wait 1 on @gpu {after = array<i32: 2, 3>}
  sched.wait 1 on @gpu
  // Touches mapped memory, which another lane may just have written.
  // CHECK: sched.copy {{.*}} on @gpu {{.*}}after = array<i32: 4>
  sched.copy %n to %a on @gpu bytes 64 per_token 0
  // Has nothing to do with other lanes, so it need not wait.
  // CHECK: sched.fill {{.*}} with 3 on @gpu {{.*}}after = array<i32>
  sched.fill %c with 3 on @gpu bytes 64 per_token 0
}
