// sched-stage-transfers: large rows pass between host and GPU in one piece.
#include "compiler/placed-to-schedule/KernelEdit.h"
#include "compiler/placed-to-schedule/LaneTable.h"
#include "compiler/placed-to-schedule/Passes.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/SetVector.h"

namespace ktc {

#define GEN_PASS_DEF_SCHEDSTAGETRANSFERS
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

constexpr int64_t kWordBytes = 16; // that copy_rows moves

// The commands that access a buffer or a view of it.
struct Users {
  Operation *firstOnGpu = nullptr, *lastOnGpu = nullptr, *firstOnCpu = nullptr, *lastOnCpu = nullptr;
  bool gpuWrites = false, cpuWrites = false;
  llvm::SmallSetVector<Attribute, 2> gpuLanes;
  SmallVector<OpOperand *> gpuUses; // by commands
};

struct StageTransfers : impl::SchedStageTransfersBase<StageTransfers> {
  using SchedStageTransfersBase::SchedStageTransfersBase;

  void runOnOperation() override {
    const LaneTable table(getOperation());
    lanes = &table;
    for (auto entry : getOperation().getOps<sched::EntryOp>()) {
      if (!entry.getDynamic())
        continue;
      SmallVector<sched::AllocOp> allocs(entry.getBody().getOps<sched::AllocOp>());
      for (sched::AllocOp alloc : allocs)
        if (static_cast<int64_t>(alloc.getBytes()) >= leastBytes)
          stage(alloc, entry.partCapacity());
    }
  }

  void collect(Value buffer, Users &users) const {
    for (OpOperand &use : buffer.getUses()) {
      Operation *op = use.getOwner();
      if (auto view = dyn_cast<sched::ViewOp>(op)) {
        collect(view.getResult(), users);
        continue;
      }
      const bool isGpu = lanes->isGpu(op);
      Operation *&first = isGpu ? users.firstOnGpu : users.firstOnCpu;
      Operation *&last = isGpu ? users.lastOnGpu : users.lastOnCpu;
      if (!first || op->isBeforeInBlock(first))
        first = op;
      if (!last || last->isBeforeInBlock(op))
        last = op;
      const bool writes = llvm::is_contained(sched::accessesOf(op).writes, buffer);
      (isGpu ? users.gpuWrites : users.cpuWrites) |= writes;
      if (isGpu) {
        users.gpuLanes.insert(op->getAttr("lane"));
        users.gpuUses.push_back(&use);
      }
    }
  }

  void stage(sched::AllocOp alloc, int64_t capacity) {
    Users users;
    collect(alloc.getResult(), users);
    const int64_t bytes = static_cast<int64_t>(alloc.getBytes());
    if (!users.firstOnGpu || !users.firstOnCpu || users.gpuLanes.size() != 1 ||
        users.gpuWrites == users.cpuWrites || bytes % (capacity * kWordBytes) != 0)
      return;
    if (llvm::all_of(users.gpuUses, [](OpOperand *use) { return isa<sched::CopyOp>(use->getOwner()); }))
      return; // that is what a copy does
    // All of the one side comes before all of the other.
    Operation *lastOfMaker = users.gpuWrites ? users.lastOnGpu : users.lastOnCpu;
    Operation *firstOfReader = users.gpuWrites ? users.firstOnCpu : users.firstOnGpu;
    if (users.gpuWrites)
      lastOfMaker = lastWriter(users);
    if (!lastOfMaker->isBeforeInBlock(firstOfReader))
      return;
    OpBuilder builder(alloc);
    Value own = builder.create<sched::AllocOp>(alloc.getLoc(), alloc.getResult().getType(), alloc.getArena(),
                                               alloc.getBytes(), IntegerAttr(), alloc.getNameAttr());
    for (OpOperand *use : users.gpuUses)
      use->set(sameIn(own, alloc.getResult(), use->get()));
    Operation *neighbour = users.gpuWrites ? lastOfMaker : firstOfReader;
    builder.setInsertionPoint(neighbour);
    if (users.gpuWrites)
      builder.setInsertionPointAfter(neighbour);
    Value from = users.gpuWrites ? own : alloc.getResult(), to = users.gpuWrites ? alloc.getResult() : own;
    emitCopy(builder, neighbour, from, to, bytes / capacity, capacity);
  }

  // The last command of the GPU that writes the buffer.
  Operation *lastWriter(const Users &users) const {
    Operation *last = nullptr;
    for (OpOperand *use : users.gpuUses)
      if (llvm::is_contained(sched::accessesOf(use->getOwner()).writes, use->get()) &&
          (!last || last->isBeforeInBlock(use->getOwner())))
        last = use->getOwner();
    return last;
  }

  // `used`, which is `buffer` or a view of it, in `own`.
  static Value sameIn(Value own, Value buffer, Value used) {
    if (used == buffer)
      return own;
    auto view = used.getDefiningOp<sched::ViewOp>();
    Value source = sameIn(own, buffer, view.getSource());
    return OpBuilder(view).create<sched::ViewOp>(view.getLoc(), source.getType(), source, view.getOffset());
  }

  // A copy on the lane of `neighbour`, at the builder's place.
  void emitCopy(OpBuilder &builder, Operation *neighbour, Value from, Value to, int64_t bytes,
                int64_t capacity) {
    NamedAttribute params[] = {builder.getNamedAttr("bytes", builder.getI64IntegerAttr(bytes)),
                               builder.getNamedAttr("dynamic", builder.getI64IntegerAttr(1)),
                               builder.getNamedAttr("m", builder.getI64IntegerAttr(capacity))};
    auto dispatch = dyn_cast<sched::DispatchOp>(neighbour);
    KernelEditor kernels(getOperation());
    builder.create<sched::DispatchOp>(
        neighbour->getLoc(), cast<FlatSymbolRefAttr>(neighbour->getAttr("lane")).getValue(),
        kernels.make("copy_rows", builder.getDictionaryAttr(params)), ValueRange{from, to},
        ArrayRef<int32_t>{1}, 0, 1, dispatch ? dispatch.getPath() : StringRef(), 0, DenseI64ArrayAttr(),
        DenseI64ArrayAttr(), DenseI64ArrayAttr(), false, IntegerAttr(), false, DenseI32ArrayAttr(),
        IntegerAttr());
  }

  const LaneTable *lanes = nullptr;
};

} // namespace
} // namespace ktc
