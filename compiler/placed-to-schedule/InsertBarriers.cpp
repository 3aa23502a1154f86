// sched-insert-barriers: where the threads of a lane must meet.
#include "compiler/placed-to-schedule/Passes.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseSet.h"

namespace ktc {

#define GEN_PASS_DEF_SCHEDINSERTBARRIERS
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

// What a lane has accessed since its last barrier, by memory identity.
struct LaneGroup {
  llvm::DenseSet<const void *> read, written;
  bool any = false;
};

struct InsertBarriers : impl::SchedInsertBarriersBase<InsertBarriers> {
  void runOnOperation() override {
    for (auto entry : getOperation().getOps<sched::EntryOp>())
      runOnEntry(entry);
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

  static void runOnEntry(sched::EntryOp entry) {
    llvm::DenseMap<Attribute, LaneGroup> lanes;
    for (Operation &op : entry.getBody().front()) {
      if (!sched::isCommand(&op))
        continue;
      LaneGroup &group = lanes[op.getAttr("lane")];
      sched::Accesses accesses = sched::accessesOf(&op);
      bool conflict = isa<sched::SignalOp, sched::WaitOp>(op) && group.any;
      for (Value value : accesses.reads)
        conflict |= group.written.contains(key(value));
      for (Value value : accesses.writes)
        conflict |= group.written.contains(key(value)) || group.read.contains(key(value));
      op.removeAttr("barrier");
      if (conflict) {
        op.setAttr("barrier", UnitAttr::get(op.getContext()));
        group = {};
      }
      group.any = true;
      for (Value value : accesses.reads)
        if (const void *memory = key(value))
          group.read.insert(memory);
      for (Value value : accesses.writes)
        if (const void *memory = key(value))
          group.written.insert(memory);
    }
  }
};

} // namespace
} // namespace ktc
