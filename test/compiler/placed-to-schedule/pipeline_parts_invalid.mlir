// sched-pipeline-parts: comes before signals.
// RUN: ktc-opt %s -verify-diagnostics -sched-pipeline-parts

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.entry @e capacity 2 dynamic parts 2 {
  // expected-error @below {{'sched.signal' op is there before parts are pipelined}}
  sched.signal 0 on @team
}
