// A name that is no type of the schedule dialect.
// RUN: ktc-opt %s -verify-diagnostics

// expected-error @+1 {{unknown  type `tensor` in dialect `sched`}}
func.func private @unknown(!sched.tensor)
