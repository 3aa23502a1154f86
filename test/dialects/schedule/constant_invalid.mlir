// Every check of sched.constant: its kind, what a rope table needs, its size.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{'sched.constant' op unknown constant kind "ones"}}
sched.constant @c "ones" bytes 4 {}

// -----

// expected-error @+1 {{'sched.constant' op rope_table needs rope and a positive context}}
sched.constant @c "rope_table" bytes 512 {context = 16 : i64}

// -----

// expected-error @+1 {{'sched.constant' op rope_table needs rope and a positive context}}
sched.constant @c "rope_table" bytes 512 {rope = "norm", context = 16 : i64}

// -----

// expected-error @+1 {{'sched.constant' op rope_table needs rope and a positive context}}
sched.constant @c "rope_table" bytes 512 {rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>}

// -----

// expected-error @+1 {{'sched.constant' op rope_table needs rope and a positive context}}
sched.constant @c "rope_table" bytes 0 {rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, context = 0 : i64}

// -----

// 16 positions of 4 pairs of 2 floats of 4 bytes.
// expected-error @+1 {{'sched.constant' op expected 512 bytes, found 256}}
sched.constant @c "rope_table" bytes 256 {rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, context = 16 : i64}
