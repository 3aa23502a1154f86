// sched-plan-memory: buffers that no barrier group uses together share bytes. Largest first, at the lowest free multiple of 64.
// RUN: ktc-opt %s -split-input-file -sched-plan-memory | FileCheck %s
// What the planner makes, the checker accepts.
// RUN: ktc-opt %s -split-input-file -sched-plan-memory -sched-check-memory

// A chain of copies, one group each:
//   group   0    1    2    3
//   a       |---------|
//   b            |---------|
//   c                 |---------|
//   d       |-------------------|
// CHECK-LABEL: sched.arena @act "activation" on @cpu bytes 192
// CHECK:       sched.arena @unused "activation" on @cpu bytes 0
// CHECK:       sched.arena @io "io" on @cpu bytes 128
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 7
sched.arena @unused "activation" on @cpu bytes 4096
sched.arena @io "io" on @cpu bytes 128

sched.entry @chain capacity 1 {
  %in = sched.fixed @io at 0 bytes 64
  %out = sched.fixed @io at 64 bytes 64
  // All of one size, so in order: a (groups 0-1) at 0,
  // CHECK: sched.alloc @act bytes 64 at 0 {name = "a"}
  %a = sched.alloc @act bytes 64 {name = "a"}
  // b (1-2) beside a,
  // CHECK: sched.alloc @act bytes 64 at 64 {name = "b"}
  %b = sched.alloc @act bytes 64 {name = "b"}
  // c (2-3) in place of a,
  // CHECK: sched.alloc @act bytes 64 at 0 {name = "c"}
  %c = sched.alloc @act bytes 64 {name = "c"}
  // d (0-3) lives as long as all of them.
  // CHECK: sched.alloc @act bytes 64 at 128 {name = "d"}
  %d = sched.alloc @act bytes 64 {name = "d"}
  // Nobody uses e.
  // CHECK-NOT: name = "e"
  %e = sched.alloc @act bytes 1024 {name = "e"}
  sched.copy %in to %a on @team bytes 64 per_token 0
  sched.copy %in to %d on @team bytes 64 per_token 0
  sched.copy %a to %b on @team bytes 64 per_token 0 barrier
  sched.copy %b to %c on @team bytes 64 per_token 0 barrier
  sched.copy %c to %out on @team bytes 64 per_token 0 barrier
  sched.copy %d to %out on @team bytes 64 per_token 0
}

// -----

// The largest is placed first, wherever it is declared; a later small one goes into the gap that it leaves.
// CHECK-LABEL: sched.arena @act "activation" on @cpu bytes 384
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 0

sched.entry @gap capacity 1 {
  // 256 bytes in groups 0-1, first: at 0.
  // CHECK-DAG: sched.alloc @act bytes 256 at 0 {name = "large"}
  // 128 bytes in groups 1-2, second: behind large.
  // CHECK-DAG: sched.alloc @act bytes 128 at 256 {name = "middle"}
  // 64 bytes in group 2, third: large is gone, so at 0.
  // CHECK-DAG: sched.alloc @act bytes 64 at 0 {name = "small"}
  // 32 bytes in group 2, last: behind small.
  // CHECK-DAG: sched.alloc @act bytes 32 at 64 {name = "tiny"}
  %small = sched.alloc @act bytes 64 {name = "small"}
  %tiny = sched.alloc @act bytes 32 {name = "tiny"}
  %middle = sched.alloc @act bytes 128 {name = "middle"}
  %large = sched.alloc @act bytes 256 {name = "large"}
  sched.fill %large with 0 on @team bytes 256 per_token 0
  sched.copy %large to %middle on @team bytes 128 per_token 0 barrier
  sched.copy %middle to %small on @team bytes 64 per_token 0 barrier
  sched.copy %middle to %tiny on @team bytes 32 per_token 0
}

// -----

// Commands of one group may run at the same time: nothing is shared without a barrier.
// CHECK-LABEL: sched.arena @act "activation" on @cpu bytes 192
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 0

sched.entry @one_group capacity 1 {
  // CHECK: sched.alloc @act bytes 64 at 0
  %a = sched.alloc @act bytes 64
  // CHECK: sched.alloc @act bytes 64 at 64
  %b = sched.alloc @act bytes 64
  // CHECK: sched.alloc @act bytes 64 at 128
  %c = sched.alloc @act bytes 64
  sched.fill %a with 0 on @team bytes 64 per_token 0
  sched.fill %b with 0 on @team bytes 64 per_token 0
  sched.fill %c with 0 on @team bytes 64 per_token 0
}

// -----

// Offsets are multiples of 64 even where sizes are not; the arena ends with the last byte.
// CHECK-LABEL: sched.arena @act "activation" on @cpu bytes 165
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 0

sched.entry @alignment capacity 1 {
  // CHECK: sched.alloc @act bytes 37 at 128
  %b = sched.alloc @act bytes 37
  // CHECK: sched.alloc @act bytes 100 at 0
  %a = sched.alloc @act bytes 100
  sched.fill %a with 0 on @team bytes 100 per_token 0
  sched.fill %b with 0 on @team bytes 37 per_token 0
}

// -----

// A view keeps its buffer alive: a may not go to c, which is written before the view is read.
// CHECK-LABEL: sched.arena @act "activation" on @cpu bytes 192
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 0
sched.arena @io "io" on @cpu bytes 64

sched.entry @views capacity 1 {
  %out = sched.fixed @io at 0 bytes 64
  // CHECK: sched.alloc @act bytes 128 at 0 {name = "a"}
  %a = sched.alloc @act bytes 128 {name = "a"}
  %v = sched.view %a at 64
  %vv = sched.view %v at 32
  // CHECK: sched.alloc @act bytes 64 at 128 {name = "c"}
  %c = sched.alloc @act bytes 64 {name = "c"}
  sched.fill %a with 0 on @team bytes 128 per_token 0
  sched.fill %c with 0 on @team bytes 64 per_token 0 barrier
  sched.copy %vv to %out on @team bytes 32 per_token 0 barrier
  sched.copy %c to %out on @team bytes 64 per_token 0 barrier
}

// -----

// All entries share the arena: it is as large as the largest needs. Each arena counts by itself.
// CHECK-LABEL: sched.arena @act "activation" on @cpu bytes 256
// CHECK:       sched.arena @other "activation" on @cpu bytes 128
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 0
sched.arena @other "activation" on @cpu bytes 0

sched.entry @first capacity 1 {
  // CHECK: sched.alloc @act bytes 64 at 0
  %a = sched.alloc @act bytes 64
  // CHECK: sched.alloc @other bytes 128 at 0
  %o = sched.alloc @other bytes 128
  sched.fill %a with 0 on @team bytes 64 per_token 0
  sched.fill %o with 0 on @team bytes 128 per_token 0
}

sched.entry @second capacity 1 {
  // An earlier plan does not count.
  // CHECK: sched.alloc @act bytes 256 at 0
  %a = sched.alloc @act bytes 256 at 1024
  sched.fill %a with 0 on @team bytes 256 per_token 0
}

// -----

// A gap counts from the next multiple of 64: between r, which ends at 190, and q at 320 there are 128 bytes, one too few for s.
//   group   0    1    2
//   p       |---------|
//   q            |---------|
//   r, s              |----|
// CHECK-LABEL: sched.arena @act "activation" on @cpu bytes 705
sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.arena @act "activation" on @cpu bytes 0

sched.entry @gap_of_odd_sizes capacity 1 {
  // CHECK: sched.alloc @act bytes 300 at 0 {name = "p"}
  %p = sched.alloc @act bytes 300 {name = "p"}
  // CHECK: sched.alloc @act bytes 200 at 320 {name = "q"}
  %q = sched.alloc @act bytes 200 {name = "q"}
  // CHECK: sched.alloc @act bytes 190 at 0 {name = "r"}
  %r = sched.alloc @act bytes 190 {name = "r"}
  // CHECK: sched.alloc @act bytes 129 at 576 {name = "s"}
  %s = sched.alloc @act bytes 129 {name = "s"}
  sched.fill %p with 0 on @team bytes 1 per_token 0
  sched.copy %p to %q on @team bytes 1 per_token 0 barrier
  sched.copy %q to %r on @team bytes 1 per_token 0 barrier
  sched.copy %q to %s on @team bytes 1 per_token 0
}
