// The schedule dialect: where and in what order. Operations are described in ScheduleOps.td.
#pragma once

#include "dialects/model/Model.h"

#include "ScheduleDialect.h.inc"

#define GET_TYPEDEF_CLASSES
#include "ScheduleTypes.h.inc"

#define GET_OP_CLASSES
#include "ScheduleOps.h.inc"

#include <optional>

namespace ktc::sched {

// A command is one of dispatch, copy, fill, signal, wait.
bool isCommand(mlir::Operation *op);

// The buffers that a command reads and writes (a written operand of a dispatch counts as both, one with a hint
// as neither).
struct Accesses {
  llvm::SmallVector<mlir::Value> reads;
  llvm::SmallVector<mlir::Value> writes;
};
Accesses accessesOf(mlir::Operation *command);

// Follows views to the alloc, fixed, weight or none that `buffer` lies in; adds up their offsets.
struct Base {
  mlir::Operation *op = nullptr;
  uint64_t offset = 0;
};
Base baseOf(mlir::Value buffer);

// Arenas, lanes and roles by the names that lowering, memory planning and plan writing share.
namespace names {
inline constexpr llvm::StringLiteral kTokens = "tokens";
inline constexpr llvm::StringLiteral kPositions = "positions";
inline constexpr llvm::StringLiteral kLogits = "logits";
inline constexpr llvm::StringLiteral kHidden = "hidden";
// Of logits on a GPU: the largest of each token with their ids, and the sum of all exponentials.
inline constexpr llvm::StringLiteral kBestIds = "best ids";
inline constexpr llvm::StringLiteral kBestLogits = "best logits";
inline constexpr llvm::StringLiteral kBestSums = "best sums";
// Attribute of a weight's symbol: bytes of one matrix (sched-split-nodes).
inline constexpr llvm::StringLiteral kSplitBytes = "sched.split_bytes";
} // namespace names

} // namespace ktc::sched
