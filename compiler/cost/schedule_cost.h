// Predicts decode and prefill rates from a schedule: every command of every entry, priced on a described
// machine.
#pragma once

#include "compiler/policy/cost.h"
#include "templates/x64/x64.h"

#include "mlir/IR/BuiltinOps.h"

namespace ktc {

struct ScheduleCostOptions {
  x64::Isa isa = x64::Isa::Avx2;
  int64_t promptTokens = 512; // that the prefill rate is predicted for
  int64_t depth = 0;          // tokens in the KV cache before either
};

// Predicts the rates of a complete schedule, with a thread of the CPU on every core. Unknown rates are assumed,
// and said. `prediction.devices` stays as it is.
//
// On a CPU lane commands follow each other: each takes reading or computing, whichever is longer, plus the
// barrier that the schedule puts before it. A wait takes until the other lane has raised the signal. The step's
// time is that of the lane that ends last. It is a straight line in the number of cached positions, apart from
// attention windows.
void predictSchedule(mlir::ModuleOp module, const policy::Machine &machine, const ScheduleCostOptions &options,
                     policy::Prediction &prediction);

} // namespace ktc
