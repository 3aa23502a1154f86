// Every check of sched.kernel: parameters are i64, f64 or strings.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{'sched.kernel' op parameter "m" must be i64, f64 or string, found 1 : i32}}
sched.kernel @k "linear" {m = 1 : i32}

// -----

// expected-error @+1 {{'sched.kernel' op parameter "eps" must be i64, f64 or string, found 1.500000e-05 : f32}}
sched.kernel @k "rms_norm" {k = 32 : i64, eps = 1.5e-5 : f32}

// -----

// expected-error @+1 {{'sched.kernel' op parameter "dense" must be i64, f64 or string, found true}}
sched.kernel @k "down" {dense = true}

// -----

// expected-error @+1 {{'sched.kernel' op parameter "bias" must be i64, f64 or string, found unit}}
sched.kernel @k "linear" {bias}
