// Every check of sched.device.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{'sched.device' op kind must be "cpu" or "cuda", found "tpu"}}
sched.device @d "tpu" budget 0

// -----

// expected-error @+1 {{'sched.device' op budget must not be negative, found -1}}
sched.device @d "cuda" budget -1

// -----

// expected-note @+1 {{see existing symbol definition here}}
sched.device @d "cpu" budget 0
// expected-error @+1 {{redefinition of symbol named 'd'}}
sched.device @d "cuda" budget 0
