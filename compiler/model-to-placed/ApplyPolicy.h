// Applies a placement policy to a module of the model dialect.
#pragma once

#include "compiler/policy/match.h"

#include "mlir/IR/BuiltinOps.h"

namespace ktc {

// Sets the placement attribute of every network operation and returns the table that `explain` shows.
// Diagnostics of rules are added to `diagnostics`; fails as policy::applyPolicy does.
kt::Result<policy::PlacementTable> applyPolicyToModule(mlir::ModuleOp module, const policy::Policy &policy,
                                                       const policy::Machine &machine,
                                                       policy::Diagnostics &diagnostics);

} // namespace ktc
