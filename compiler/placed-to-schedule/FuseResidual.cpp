// sched-fuse-residual: the producer of a branch accumulates into the residual stream.
#include "compiler/placed-to-schedule/KernelEdit.h"
#include "compiler/placed-to-schedule/Passes.h"

namespace ktc {

#define GEN_PASS_DEF_SCHEDFUSERESIDUAL
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

constexpr int kAddX = 0, kAddY = 1;

// Operand that a producer writes its result to, or -1 if the family cannot accumulate.
int resultOperand(StringRef family) {
  if (family == "linear")
    return 2;
  if (family == "down")
    return 3;
  if (family == "slot_sum") // a GPU's sum of `down_slots`
    return 2;
  return -1;
}

struct FuseResidual : impl::SchedFuseResidualBase<FuseResidual> {
  void runOnOperation() override {
    KernelEditor kernels(getOperation());
    for (auto entry : getOperation().getOps<sched::EntryOp>())
      for (auto add : llvm::make_early_inc_range(entry.getBody().getOps<sched::DispatchOp>()))
        if (kernels.family(add) == "add")
          fuse(add, kernels);
    kernels.eraseUnused();
  }

  // True if some command strictly between `first` and `last` accesses the buffer that `base` defines.
  static bool touchedBetween(Operation *first, Operation *last, Operation *base) {
    for (Operation *op = first->getNextNode(); op != last; op = op->getNextNode()) {
      sched::Accesses accesses = sched::accessesOf(op);
      for (Value value : llvm::concat<Value>(accesses.reads, accesses.writes))
        if (sched::baseOf(value).op == base)
          return true;
    }
    return false;
  }

  static void fuse(sched::DispatchOp add, KernelEditor &kernels) {
    Value branch = add->getOperand(kAddX), residual = add->getOperand(kAddY);
    auto alloc = branch.getDefiningOp<sched::AllocOp>();
    if (!alloc || std::distance(branch.use_begin(), branch.use_end()) != 2 ||
        !isa_and_nonnull<sched::NoneOp>(add->getOperand(2).getDefiningOp()))
      return;
    sched::DispatchOp producer;
    for (OpOperand &use : branch.getUses()) {
      auto user = dyn_cast<sched::DispatchOp>(use.getOwner());
      if (user && user != add &&
          static_cast<int>(use.getOperandNumber()) == resultOperand(kernels.family(user)))
        producer = user;
    }
    Operation *base = sched::baseOf(residual).op;
    if (!producer || !base || producer.getLane() != add.getLane() || !producer->isBeforeInBlock(add) ||
        kernels.integer(producer, "accumulate") || kernels.integer(producer, "batch") > 1 ||
        kernels.integer(producer, "n") != kernels.integer(add, "k") ||
        kernels.integer(producer, "y_stride") != kernels.integer(add, "y_stride") ||
        touchedBetween(producer, add, base) || !base->isBeforeInBlock(producer))
      return;
    // The producer must not read the residual itself.
    for (Value operand : producer.getOperands())
      if (sched::baseOf(operand).op == base)
        return;
    producer->setOperand(resultOperand(kernels.family(producer)), residual);
    kernels.set(producer, "accumulate", 1);
    add.erase();
    alloc.erase();
  }
};

} // namespace
} // namespace ktc
