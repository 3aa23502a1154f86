// sched-order-graph: needs the memory plan.
// RUN: ktc-opt %s -verify-diagnostics -sched-order-graph

sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.arena @act.cuda0 "activation" on @"cuda:0" bytes 0
sched.entry @e capacity 1 {
  // expected-error @below {{'sched.alloc' op has no offset; run sched-plan-memory first}}
  %a = sched.alloc @act.cuda0 bytes 64
  sched.fill %a with 0 on @gpu bytes 64 per_token 0
}
