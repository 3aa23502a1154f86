// Derived weights: tensors that the compiler computes from a tensor of the model and stores in the plan.
#pragma once

#include "compiler/schedule-to-plan/model_files.h"
#include "compiler/schedule-to-plan/spool_file.h"
#include "dialects/model/Model.h"

namespace ktc {

// Computes `weight` (model.derived_weight describes the transforms) and appends its bytes to `spool`. Runs on
// the threads of the module's context; memory is that of one result. Errors name the weight: a source that is
// no tensor of the file, a type that the compiler cannot write, shapes that do not belong together.
kt::Status appendDerivedWeight(mlir::ModuleOp module, model::DerivedWeightOp weight, ModelFiles &files,
                               SpoolFile &spool);

} // namespace ktc
