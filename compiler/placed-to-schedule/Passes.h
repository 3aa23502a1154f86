// Passes from the placed model to the schedule. Descriptions are in Passes.td; order is in compiler/pipeline.
#pragma once

#include "dialects/schedule/Schedule.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace ktc {

#define GEN_PASS_DECL
#include "PlacedToSchedulePasses.h.inc"

#define GEN_PASS_REGISTRATION
#include "PlacedToSchedulePasses.h.inc"

} // namespace ktc
