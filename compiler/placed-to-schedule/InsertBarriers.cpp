// sched-insert-barriers: where the threads of a lane must meet.
#include "compiler/placed-to-schedule/LaneTable.h"
#include "compiler/placed-to-schedule/Passes.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseSet.h"

namespace ktc {

#define GEN_PASS_DEF_SCHEDINSERTBARRIERS
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

// What a lane has accessed since its last barrier, by memory identity: by anyone, and by others than the thread
// that runs dispatches of one unit.
struct LaneGroup {
  struct Memories {
    llvm::DenseSet<const void *> byAny, byOthers;
    bool conflicts(const void *memory, bool oneThread) const {
      return (oneThread ? byOthers : byAny).contains(memory);
    }
    void add(const void *memory, bool oneThread) {
      byAny.insert(memory);
      if (!oneThread)
        byOthers.insert(memory);
    }
  };
  Memories read, written;
  bool any = false;
};

struct InsertBarriers : impl::SchedInsertBarriersBase<InsertBarriers> {
  void runOnOperation() override {
    const LaneTable table(getOperation());
    for (auto entry : getOperation().getOps<sched::EntryOp>())
      runOnEntry(entry, table);
  }

  // Identity of the memory behind `value`, or null for weights and absent operands. A fixed range may be
  // declared several times in an entry, so it is known by arena and offset.
  static const void *key(Value value) {
    Operation *base = sched::baseOf(value).op;
    if (isa_and_nonnull<sched::AllocOp>(base))
      return base;
    if (auto fixed = dyn_cast_or_null<sched::FixedOp>(base))
      return ArrayAttr::get(fixed.getContext(), {fixed.getArenaAttr(), fixed.getOffsetAttr()})
          .getAsOpaquePointer();
    return nullptr;
  }

  // True for a dispatch of exactly one unit: the split (kt_abi.h) gives it to the same thread every time.
  static bool isOneUnit(Operation *op, sched::EntryOp entry) {
    auto dispatch = dyn_cast<sched::DispatchOp>(op);
    if (!dispatch)
      return false;
    const uint64_t perToken = dispatch.getUnitsPerToken();
    if (perToken == 0)
      return dispatch.getUnits() == 1;
    return !entry.getDynamic() && entry.getCapacity() == 1 && dispatch.getUnits() + perToken == 1;
  }

  static void runOnEntry(sched::EntryOp entry, const LaneTable &table) {
    llvm::DenseMap<Attribute, LaneGroup> lanes;
    for (Operation &op : entry.getBody().front()) {
      if (!sched::isCommand(&op) || table.isGpu(&op))
        continue;
      LaneGroup &group = lanes[op.getAttr("lane")];
      const sched::Accesses accesses = sched::accessesOf(&op);
      const bool oneThread = isOneUnit(&op, entry);
      bool conflict = isa<sched::SignalOp, sched::WaitOp>(op) && group.any;
      for (Value value : accesses.reads)
        conflict |= group.written.conflicts(key(value), oneThread);
      for (Value value : accesses.writes)
        conflict |=
            group.written.conflicts(key(value), oneThread) || group.read.conflicts(key(value), oneThread);
      op.removeAttr("barrier");
      if (conflict) {
        op.setAttr("barrier", UnitAttr::get(op.getContext()));
        group = {};
      }
      group.any = true;
      for (Value value : accesses.reads)
        if (const void *memory = key(value))
          group.read.add(memory, oneThread);
      for (Value value : accesses.writes)
        if (const void *memory = key(value))
          group.written.add(memory, oneThread);
    }
  }
};

} // namespace
} // namespace ktc
