// sched-fuse-add-norm: on a GPU, sums before a norm become part of it.
#include "compiler/placed-to-schedule/KernelEdit.h"
#include "compiler/placed-to-schedule/LaneTable.h"
#include "compiler/placed-to-schedule/Passes.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseSet.h"

namespace ktc {

#define GEN_PASS_DEF_SCHEDFUSEADDNORM
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

constexpr int kAddX = 0, kAddY = 1, kAddGate = 2;
constexpr int kNormX = 0, kNormAdds = 5; // operands of rms_norm; behind the two addends comes the gate
constexpr size_t kMostAdds = 2;

struct FuseAddNorm : impl::SchedFuseAddNormBase<FuseAddNorm> {
  void runOnOperation() override {
    KernelEditor kernels(getOperation());
    LaneTable lanes(getOperation());
    for (auto entry : getOperation().getOps<sched::EntryOp>())
      for (auto norm : entry.getBody().getOps<sched::DispatchOp>())
        if (lanes.isGpu(norm) && kernels.family(norm) == "rms_norm")
          fuse(norm, kernels);
    kernels.eraseUnused();
  }

  // True if the norm reads whole rows of its own token, so that it can update them.
  static bool takesAdds(sched::DispatchOp norm, KernelEditor &kernels) {
    return norm.getNumOperands() == kNormAdds && kernels.integer(norm, "rows") == 1 &&
           kernels.integer(norm, "row_offset") == 0 && kernels.integer(norm, "adds") == 0 &&
           kernels.integer(norm, "x_stride") == kernels.integer(norm, "k");
  }

  static bool isSumOf(sched::DispatchOp add, sched::DispatchOp norm, KernelEditor &kernels) {
    const int64_t k = kernels.integer(norm, "k");
    return kernels.family(add) == "add" && add.getLane() == norm.getLane() &&
           add->getOperand(kAddY) == norm->getOperand(kNormX) && kernels.integer(add, "k") == k &&
           kernels.integer(add, "x_stride") == k && kernels.integer(add, "y_stride") == k;
  }

  static bool isGated(sched::DispatchOp add, KernelEditor &kernels) {
    return kernels.text(add, "gate") == "sigmoid";
  }

  // The sums that the norm can make, in program order: nothing else touches x from the first on, and nothing
  // writes what they add.
  static SmallVector<sched::DispatchOp> sumsBefore(sched::DispatchOp norm, KernelEditor &kernels) {
    Operation *x = sched::baseOf(norm->getOperand(kNormX)).op;
    SmallVector<sched::DispatchOp> sums;
    llvm::DenseSet<Operation *> written; // between the command looked at and the norm
    for (Operation *op = norm->getPrevNode(); op && sums.size() < kMostAdds; op = op->getPrevNode()) {
      if (!sched::isCommand(op))
        continue;
      auto add = dyn_cast<sched::DispatchOp>(op);
      if (add && isSumOf(add, norm, kernels)) {
        const bool second = !sums.empty() && isGated(sums.front(), kernels) && isGated(add, kernels);
        if (second || written.contains(sched::baseOf(add->getOperand(kAddX)).op) ||
            written.contains(sched::baseOf(add->getOperand(kAddGate)).op))
          break;
        sums.insert(sums.begin(), add);
        continue;
      }
      const sched::Accesses accesses = sched::accessesOf(op);
      auto touches = [&](Value value) { return sched::baseOf(value).op == x; };
      if (llvm::any_of(accesses.reads, touches) || llvm::any_of(accesses.writes, touches))
        break;
      for (Value value : accesses.writes)
        written.insert(sched::baseOf(value).op);
    }
    return sums;
  }

  static void fuse(sched::DispatchOp norm, KernelEditor &kernels) {
    if (!takesAdds(norm, kernels))
      return;
    SmallVector<sched::DispatchOp> sums = sumsBefore(norm, kernels);
    if (sums.empty())
      return;
    // The gate belongs to the last.
    if (isGated(sums.front(), kernels))
      std::swap(sums.front(), sums.back());
    SmallVector<Value> added;
    for (sched::DispatchOp add : sums)
      added.push_back(add->getOperand(kAddX));
    if (isGated(sums.back(), kernels)) {
      if (sums.size() < kMostAdds)
        added.push_back(OpBuilder(norm).create<sched::NoneOp>(norm.getLoc(), added.front().getType()));
      added.push_back(sums.back()->getOperand(kAddGate));
      kernels.set(norm, "add_gate", StringRef("sigmoid"));
    }
    norm.getOperands_Mutable().append(added);
    kernels.set(norm, "adds", static_cast<int64_t>(sums.size()));
    SmallVector<int32_t> writes(norm.getWrites());
    writes.insert(writes.begin(), kNormX);
    norm.setWrites(writes);
    for (sched::DispatchOp add : sums)
      add.erase();
  }
};

} // namespace
} // namespace ktc
