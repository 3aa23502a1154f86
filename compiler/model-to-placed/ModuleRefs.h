// The model as the policy sees it: one ModuleRef per network operation, with its weights and their bytes.
#pragma once

#include "compiler/policy/match.h"
#include "dialects/model/Model.h"

#include <vector>

namespace ktc {

// The network operations of a module in order, residual sums left out (they follow their operands).
struct NetworkOps {
  std::vector<mlir::Operation *> operations;
  std::vector<policy::ModuleRef>
      modules; // the first operations.size() are parallel to `operations`; then containers
};

// Collects them from @body and @head, with the containers of the Hugging Face module tree appended.
NetworkOps collectNetworkOps(mlir::ModuleOp module);

// True for operations that the policy or the operands' placement puts on a device.
bool isNetworkOp(mlir::Operation *op);

} // namespace ktc
