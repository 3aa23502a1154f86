// Passes from the imported model to the placed model. Descriptions are in Passes.td; order is in
// compiler/pipeline.
#pragma once

#include "dialects/model/Model.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace ktc {

#define GEN_PASS_DECL
#include "ModelToPlacedPasses.h.inc"

#define GEN_PASS_REGISTRATION
#include "ModelToPlacedPasses.h.inc"

} // namespace ktc
