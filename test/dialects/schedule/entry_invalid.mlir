// Every check of sched.entry: capacity, and which operations it may hold.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{'sched.entry' op capacity must be positive, found 0}}
sched.entry @e capacity 0 {
}

// -----

// expected-error @+1 {{'sched.entry' op capacity must be positive, found -4}}
sched.entry @e capacity -4 {
}

// -----

sched.entry @e capacity 1 {
  // expected-error @+1 {{'sched.device' op is not allowed in an entry}}
  sched.device @cpu "cpu" budget 0
}

// -----

// An entry has no control flow and calls nothing.
func.func private @f()
sched.entry @e capacity 1 {
  // expected-error @+1 {{'func.call' op is not allowed in an entry}}
  func.call @f() : () -> ()
}

// -----

sched.device @cpu "cpu" budget 0
sched.arena @act "activation" on @cpu bytes 64
%b = sched.none
sched.entry @e capacity 1 {
  // expected-note @-1 {{required by region isolation constraints}}
  // expected-error @+1 {{'sched.view' op using value defined outside the region}}
  %v = sched.view %b at 0
}

// -----

// expected-error @+1 {{'sched.entry' op takes no arguments, found 1}}
sched.entry @e capacity 1 {
^bb0(%a: !sched.buffer):
  %n = sched.none
}

// -----

// expected-error @+1 {{'sched.entry' op capacity 3 does not fall into 2 parts}}
sched.entry @e capacity 3 dynamic parts 2 {
}

// -----

// expected-error @+1 {{'sched.entry' op capacity 3 does not fall into 0 parts}}
sched.entry @e capacity 3 dynamic parts 0 {
}

// -----

// expected-error @+1 {{'sched.entry' op has parts, which only dynamic entries have}}
sched.entry @e capacity 4 parts 2 {
}

// -----

sched.device @cpu "cpu" budget 0
sched.lane @team on @cpu
sched.entry @e capacity 4 dynamic parts 2 {
  // expected-error @+1 {{'sched.signal' op works on part 2 of 2}}
  sched.signal 0 on @team {part = 2 : i64}
}
