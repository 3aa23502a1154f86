// The schedule dialect: registration and the queries that passes share.
#include "dialects/schedule/Schedule.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#include "ScheduleDialect.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "ScheduleTypes.cpp.inc"

namespace ktc::sched {

void SchedDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "ScheduleTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "ScheduleOps.cpp.inc"
      >();
}

bool isCommand(Operation *op) { return isa<DispatchOp, CopyOp, FillOp, SignalOp, WaitOp>(op); }

Accesses accessesOf(Operation *command) {
  Accesses accesses;
  if (auto dispatch = dyn_cast<DispatchOp>(command)) {
    accesses.reads.assign(dispatch.getOperands().begin(), dispatch.getOperands().end());
    if (auto hint = dispatch.getHint())
      accesses.reads.erase(accesses.reads.begin() + (*hint)[0]);
    for (int32_t index : dispatch.getWrites())
      accesses.writes.push_back(dispatch->getOperand(index));
  } else if (auto copy = dyn_cast<CopyOp>(command)) {
    accesses.reads.push_back(copy.getSource());
    accesses.writes.push_back(copy.getDestination());
  } else if (auto fill = dyn_cast<FillOp>(command)) {
    accesses.writes.push_back(fill.getDestination());
  }
  return accesses;
}

Base baseOf(Value buffer) {
  Base base{buffer.getDefiningOp(), 0};
  while (auto view = dyn_cast_or_null<ViewOp>(base.op)) {
    base.offset += view.getOffset();
    base.op = view.getSource().getDefiningOp();
  }
  return base;
}

} // namespace ktc::sched
