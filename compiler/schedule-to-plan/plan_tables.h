// PlanTables: the plan under construction, with the symbols of the schedule resolved to indices of its vectors.
#pragma once

#include "compiler/schedule-to-plan/weight_table.h"
#include "compiler/schedule-to-plan/write_plan.h"
#include "plan_generated.h"

#include "llvm/ADT/StringMap.h"

namespace ktc {

struct PlanTables {
  PlanTables(mlir::ModuleOp module, const CodeImage &image, const GgufModel &model, const PlanOptions &options,
             std::string planDirectory)
      : module(module), image(image), model(model), options(options),
        weights(module, model, options.weights, std::move(planDirectory)) {}

  mlir::ModuleOp module;
  const CodeImage &image;
  const GgufModel &model;
  const PlanOptions &options;
  WeightTable weights;
  ktrt::plan::PlanT plan;
  llvm::StringMap<uint32_t> devices, lanes, arenas, kernels; // symbol -> index

  // Index of `symbol` in one of the maps above; `what` names the expected thing in the error.
  static kt::Result<uint32_t> find(const llvm::StringMap<uint32_t> &map, llvm::StringRef symbol,
                                   llvm::StringRef what);

  // Address of `buffer` for a command of lane `lane`. Errors: a temporary without offset (memory is not
  // planned), an arena that is empty, what WeightTable::index says.
  kt::Result<ktrt::plan::Operand> operand(mlir::Value buffer, uint32_t lane);
};

// Fill devices, lanes and arenas, and kernels. The latter expects the code of those segments that are not
// empty, first of CPUs, then of GPUs, in the sections from firstSection on.
kt::Status buildMemoryTables(PlanTables &tables);
void buildKernelTable(PlanTables &tables, uint32_t firstSection);

// Serialises all entries; needs the tables above.
kt::Status buildEntries(PlanTables &tables);

// Fills `model`; needs the entries. Errors: no decode_1 with logits, sizes that do not fit the plan's fields,
// an unknown context.
kt::Status buildModelInfo(PlanTables &tables);

} // namespace ktc
