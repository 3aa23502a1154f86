// sched-fuse-norm-quantize: rms_norm writes q8 or q8k rows itself.
#include "compiler/placed-to-schedule/KernelEdit.h"
#include "compiler/placed-to-schedule/Passes.h"

namespace ktc {

#define GEN_PASS_DEF_SCHEDFUSENORMQUANTIZE
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

constexpr int kNormF32 = 2, kNormQ8 = 3; // operands of rms_norm
constexpr int kQuantizeX = 0, kQuantizeQ8 = 1;

struct FuseNormQuantize : impl::SchedFuseNormQuantizeBase<FuseNormQuantize> {
  void runOnOperation() override {
    KernelEditor kernels(getOperation());
    for (auto entry : getOperation().getOps<sched::EntryOp>())
      for (auto quantize : llvm::make_early_inc_range(entry.getBody().getOps<sched::DispatchOp>()))
        if (kernels.family(quantize) == "quantize")
          fuse(quantize, kernels);
    kernels.eraseUnused();
  }

  // True if the quantize reads exactly the rows that the norm writes: same width, same count, same spacing.
  static bool sameRows(sched::DispatchOp norm, sched::DispatchOp quantize, KernelEditor &kernels) {
    return kernels.integer(norm, "k") == kernels.integer(quantize, "k") &&
           kernels.integer(norm, "rows") == kernels.integer(quantize, "rows") &&
           kernels.integer(norm, "y_stride") == kernels.integer(quantize, "x_stride") &&
           kernels.integer(norm, "y_row_stride") == kernels.integer(quantize, "x_row_stride");
  }

  static void fuse(sched::DispatchOp quantize, KernelEditor &kernels) {
    Value rows = quantize->getOperand(kQuantizeX);
    auto alloc = rows.getDefiningOp<sched::AllocOp>();
    if (!alloc)
      return;
    sched::DispatchOp norm;
    bool otherReaders = false;
    for (OpOperand &use : rows.getUses()) {
      auto user = dyn_cast<sched::DispatchOp>(use.getOwner());
      if (!user)
        return; // a view or copy: not the plain case
      if (user == quantize)
        continue;
      if (llvm::is_contained(user.getWrites(), static_cast<int32_t>(use.getOperandNumber()))) {
        if (norm || kernels.family(user) != "rms_norm" || use.getOperandNumber() != kNormF32)
          return;
        norm = user;
      } else {
        otherReaders = true;
      }
    }
    if (!norm || norm.getLane() != quantize.getLane() || !sameRows(norm, quantize, kernels) ||
        !isa_and_nonnull<sched::NoneOp>(norm->getOperand(kNormQ8).getDefiningOp()))
      return;

    // The norm writes the q8 rows earlier than the quantize did: nobody may use them before.
    Value q8 = quantize->getOperand(kQuantizeQ8);
    auto q8Alloc = q8.getDefiningOp<sched::AllocOp>();
    if (!q8Alloc || !norm->isBeforeInBlock(quantize) ||
        llvm::any_of(q8.getUsers(), [&](Operation *user) { return user->isBeforeInBlock(quantize); }))
      return;
    if (!q8Alloc->isBeforeInBlock(norm))
      q8Alloc->moveBefore(norm);
    Value none = norm->getOperand(kNormQ8);
    norm->setOperand(kNormQ8, q8);
    SmallVector<int32_t> writes(norm.getWrites());
    if (!otherReaders) {
      norm->setOperand(kNormF32, none);
      llvm::erase(writes, kNormF32);
    }
    writes.insert(llvm::upper_bound(writes, kNormQ8), kNormQ8);
    norm.setWrites(writes);
    if (int64_t group = kernels.integer(quantize, "group"))
      kernels.set(norm, "group", group);
    quantize.erase();
    if (!otherReaders)
      alloc.erase();
  }
};

} // namespace
} // namespace ktc
