// Where a session's arenas and weights live: turns operands of the plan into addresses.
#pragma once

#include "runtime/memory/arena.h"
#include "runtime/memory/weights.h"

#include <vector>

namespace ktrt {

// Owns the ordinary memory of a session. Operands have been verified, so resolving cannot fail.
struct AddressSpace {
  std::vector<uint8_t *> arenas;     // first bytes; on a GPU only addresses
  std::vector<ArenaMemory> ordinary; // arenas that no GPU sees
  WeightMap weights;

  // Address of an operand; null for an absent one. Weights are only ever read: constness ends here because
  // kernels take one table for inputs and outputs.
  void *resolve(const plan::Operand *operand) const {
    if (!operand || operand->kind() == plan::OperandKind::None)
      return nullptr;
    if (operand->kind() == plan::OperandKind::Arena)
      return arenas[operand->index()] + operand->offset();
    return const_cast<uint8_t *>(weights.address(operand->index())) + operand->offset();
  }
};

} // namespace ktrt
