// Attributes by which passes say what changes results on request.
#pragma once

#include "llvm/ADT/StringRef.h"

namespace ktc::model::attr {

// On the module, array of strings: what was asked for, as the plan names it.
inline constexpr llvm::StringLiteral kTransforms = "model.transforms";
// On a router and its experts, i64: how many of a token's last choices are added one layer later, in entries
// for an exact number of tokens (model-defer-experts).
inline constexpr llvm::StringLiteral kDeferred = "model.deferred";
// On experts: they begin with what those of the layer before have deferred.
inline constexpr llvm::StringLiteral kTakesDeferred = "model.takes_deferred";

} // namespace ktc::model::attr
