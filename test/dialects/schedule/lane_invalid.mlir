// Every check of sched.lane.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{'sched.lane' op @cpu is not a device}}
sched.lane @team on @cpu

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
// expected-error @+1 {{'sched.lane' op @team is not a device}}
sched.lane @other on @team
