// Round trip of the type of the schedule dialect.
// RUN: ktc-opt %s | ktc-opt | FileCheck %s

// CHECK-LABEL: func.func private @buffer(!sched.buffer) -> !sched.buffer
func.func private @buffer(!sched.buffer) -> !sched.buffer
