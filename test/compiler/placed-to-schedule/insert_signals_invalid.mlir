// sched-insert-signals: runs once.
// RUN: ktc-opt %s -verify-diagnostics -sched-insert-signals

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.device @"cuda:0" "cuda" budget 0
sched.lane @gpu on @"cuda:0"
sched.entry @e capacity 1 {
  // expected-error @below {{'sched.signal' op is there before signals are inserted}}
  sched.signal 0 on @gpu
  sched.wait 0 on @team
}
