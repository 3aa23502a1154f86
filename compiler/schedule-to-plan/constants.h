// Constants of a schedule: computed and appended to the spool of the plan's Constants section.
#pragma once

#include "compiler/schedule-to-plan/model_files.h"
#include "compiler/schedule-to-plan/spool_file.h"
#include "dialects/schedule/Schedule.h"

namespace ktc {

// Computes `constant` and appends its bytes, exactly those that the operation declares. A rope table reads its
// `freq_factors` from the model; errors name the constant and that weight.
kt::Status appendConstant(mlir::ModuleOp module, sched::ConstantOp constant, ModelFiles &files,
                          SpoolFile &spool);

} // namespace ktc
