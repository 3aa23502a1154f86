// Symbols and buffers to indices and addresses; see the header.
#include "compiler/schedule-to-plan/plan_tables.h"

using namespace mlir;
using namespace ktrt::plan;

namespace ktc {

kt::Result<uint32_t> PlanTables::find(const llvm::StringMap<uint32_t> &map, StringRef symbol, StringRef what) {
  auto found = map.find(symbol);
  if (found == map.end())
    return kt::Error{"there is no " + what.str() + " @" + symbol.str()};
  return found->second;
}

kt::Result<Operand> PlanTables::operand(Value buffer, uint32_t lane) {
  sched::Base base = sched::baseOf(buffer);
  if (isa_and_nonnull<sched::NoneOp>(base.op))
    return Operand(OperandKind::None, 0, 0);
  if (auto weight = dyn_cast_or_null<sched::WeightOp>(base.op)) {
    kt::Result<uint32_t> index = weights.index(weight.getSymbol(), plan.lanes[lane]->device);
    if (!index)
      return index.error();
    return Operand(OperandKind::Weight, *index, base.offset);
  }
  StringRef arena;
  if (auto alloc = dyn_cast_or_null<sched::AllocOp>(base.op)) {
    if (!alloc.getOffset())
      return kt::Error{"a buffer of " + std::to_string(alloc.getBytes()) +
                       " bytes has no offset; run sched-plan-memory first"};
    base.offset += *alloc.getOffset();
    arena = alloc.getArena();
  } else if (auto fixed = dyn_cast_or_null<sched::FixedOp>(base.op)) {
    base.offset += fixed.getOffset();
    arena = fixed.getArena();
  } else {
    return kt::Error{"an operand is no buffer of the schedule"};
  }
  kt::Result<uint32_t> index = find(arenas, arena, "non-empty arena");
  if (!index)
    return index.error();
  return Operand(OperandKind::Arena, *index, base.offset);
}

} // namespace ktc
