// sched-plan-memory with several lanes: bytes are shared only where signals put one buffer's uses before the other's.
// RUN: ktc-opt %s -split-input-file -sched-plan-memory | FileCheck %s
// What the planner makes, the checker accepts.
// RUN: ktc-opt %s -split-input-file -sched-plan-memory -sched-check-memory

// Hand-overs there and back in two layers: rows go to the CPU, sums come back. After the second signal of the CPU the
// GPU knows that the rows were read, and after its own next signal the CPU knows that the sum was.
// CHECK-LABEL: sched.arena @mapped "activation" on @cpu bytes 192 mapped
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @mapped "activation" on @cpu bytes 4096 mapped
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 4096

sched.entry @ordered capacity 8 dynamic {
  // CHECK: sched.alloc @mapped bytes 128 at 0 {name = "rows 0"}
  %rows0 = sched.alloc @mapped bytes 128 {name = "rows 0"}
  // The CPU reads rows 0 while it writes this.
  // CHECK: sched.alloc @mapped bytes 64 at 128 {name = "sum 0"}
  %sum0 = sched.alloc @mapped bytes 64 {name = "sum 0"}
  // CHECK: sched.alloc @mapped bytes 128 at 0 {name = "rows 1"}
  %rows1 = sched.alloc @mapped bytes 128 {name = "rows 1"}
  // CHECK: sched.alloc @mapped bytes 64 at 128 {name = "sum 1"}
  %sum1 = sched.alloc @mapped bytes 64 {name = "sum 1"}
  %x = sched.alloc @act.cuda0 bytes 64 {name = "x"}
  sched.fill %rows0 with 0 on @gpu bytes 128 per_token 0
  sched.signal 0 on @gpu
  sched.wait 0 on @team
  sched.copy %rows0 to %sum0 on @team bytes 64 per_token 0
  sched.signal 1 on @team barrier
  sched.wait 1 on @gpu
  sched.copy %sum0 to %x on @gpu bytes 64 per_token 0
  sched.fill %rows1 with 0 on @gpu bytes 128 per_token 0
  sched.signal 2 on @gpu
  sched.wait 2 on @team barrier
  sched.copy %rows1 to %sum1 on @team bytes 64 per_token 0
  sched.signal 3 on @team barrier
  sched.wait 3 on @gpu
  sched.copy %sum1 to %x on @gpu bytes 64 per_token 0
}

// -----

// The same without the way back: the GPU does not know when the CPU has read the first rows.
// CHECK-LABEL: sched.arena @mapped "activation" on @cpu bytes 192 mapped
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @mapped "activation" on @cpu bytes 4096 mapped
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 4096

sched.entry @unordered capacity 8 dynamic {
  // CHECK: sched.alloc @mapped bytes 64 at 0 {name = "rows 0"}
  %rows0 = sched.alloc @mapped bytes 64 {name = "rows 0"}
  // CHECK: sched.alloc @mapped bytes 64 at 64 {name = "rows 1"}
  %rows1 = sched.alloc @mapped bytes 64 {name = "rows 1"}
  // CHECK: sched.alloc @mapped bytes 64 at 128 {name = "y"}
  %y = sched.alloc @mapped bytes 64 {name = "y"}
  sched.fill %rows0 with 0 on @gpu bytes 64 per_token 0
  sched.signal 0 on @gpu
  sched.wait 0 on @team
  sched.copy %rows0 to %y on @team bytes 64 per_token 0
  sched.fill %rows1 with 0 on @gpu bytes 64 per_token 0
  sched.signal 1 on @gpu
  sched.wait 1 on @team barrier
  sched.copy %rows1 to %y on @team bytes 64 per_token 0
}

// -----

// Within a GPU lane every command is a group; edges will keep a and c in order.
// CHECK-LABEL: sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 128
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @mapped "activation" on @cpu bytes 4096 mapped
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 4096

sched.entry @stream capacity 8 dynamic {
  // CHECK: sched.alloc @act.cuda0 bytes 64 at 0 {name = "a"}
  %a = sched.alloc @act.cuda0 bytes 64 {name = "a"}
  // CHECK: sched.alloc @act.cuda0 bytes 64 at 64 {name = "b"}
  %b = sched.alloc @act.cuda0 bytes 64 {name = "b"}
  // CHECK: sched.alloc @act.cuda0 bytes 64 at 0 {name = "c"}
  %c = sched.alloc @act.cuda0 bytes 64 {name = "c"}
  sched.fill %a with 0 on @gpu bytes 64 per_token 0
  sched.copy %a to %b on @gpu bytes 64 per_token 0
  sched.copy %b to %c on @gpu bytes 64 per_token 0
}

// -----

// In an entry for an exact number of tokens neighbours share nothing, so that they could run side by side.
// CHECK-LABEL: sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 192
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @mapped "activation" on @cpu bytes 4096 mapped
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 4096

sched.entry @apart capacity 1 {
  %a = sched.alloc @act.cuda0 bytes 64 {name = "a"}
  %b = sched.alloc @act.cuda0 bytes 64 {name = "b"}
  // CHECK: sched.alloc @act.cuda0 bytes 64 at 128 {name = "c"}
  %c = sched.alloc @act.cuda0 bytes 64 {name = "c"}
  sched.fill %a with 0 on @gpu bytes 64 per_token 0
  sched.copy %a to %b on @gpu bytes 64 per_token 0
  sched.copy %b to %c on @gpu bytes 64 per_token 0
}
