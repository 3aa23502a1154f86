// sched-plan-prefetch: which weights a thread can prefetch while it waits for the others.
//
// A matrix is split over the threads by rows, so where a thread's share begins follows from the number of
// units alone. Waiting at a barrier, a thread can load the beginning of its next share: memory stays busy
// while one thread works, and the share starts at full speed. What is needed for that goes into `streams`.
#include "compiler/placed-to-schedule/KernelEdit.h"
#include "compiler/placed-to-schedule/Passes.h"

#include "runtime/abi/kt_abi.h"

#include "mlir/IR/Builders.h"

namespace ktc {

#define GEN_PASS_DEF_SCHEDPLANPREFETCH
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

// Operands of the families (templates/README.md).
constexpr int64_t kLinearW = 1, kGate = 2, kUp = 3, kDownW = 2;

// Bytes of a row of `k` weights of the format `name`; 0 if there is no such format.
int64_t rowBytes(StringRef name, int64_t k) {
  for (uint32_t id = 0; id < 64; ++id)
    if (const KtTypeInfo *info = ktTypeInfo(id); info && name == info->name)
      return k / info->blockElements * info->blockBytes;
  return 0;
}

struct PlanPrefetch : impl::SchedPlanPrefetchBase<PlanPrefetch> {
  void runOnOperation() override {
    KernelEditor kernels(getOperation());
    for (auto entry : getOperation().getOps<sched::EntryOp>())
      if (!entry.getDynamic())
        for (auto dispatch : entry.getBody().getOps<sched::DispatchOp>())
          annotate(dispatch, kernels);
  }

  static void annotate(sched::DispatchOp dispatch, KernelEditor &kernels) {
    SmallVector<int64_t> streams;
    auto add = [&](int64_t operand, StringRef format) {
      int64_t row = rowBytes(kernels.text(dispatch, format), kernels.integer(dispatch, "k"));
      // Weights in a temporary buffer are nothing to prefetch.
      if (row > 0 && isa_and_nonnull<sched::WeightOp>(
                         sched::baseOf(dispatch->getOperand(static_cast<unsigned>(operand))).op))
        streams.append({operand, KT_ROWS_PER_UNIT * row});
    };
    const StringRef family = kernels.family(dispatch);
    const bool dense = kernels.integer(dispatch, "dense") != 0;
    if (family == "linear" && isContiguous(dispatch, kernels)) {
      add(kLinearW, "format");
    } else if (family == "gate_up" && dense) {
      add(kGate, "format_gate");
      add(kUp, "format_up");
    } else if (family == "down" && dense) {
      add(kDownW, "format");
    }
    if (!streams.empty())
      dispatch.setStreamsAttr(DenseI64ArrayAttr::get(dispatch.getContext(), streams));
  }

  // True if unit u begins at u times the bytes of a unit: one batch, or batches of whole units one after
  // another.
  static bool isContiguous(sched::DispatchOp dispatch, KernelEditor &kernels) {
    if (kernels.integer(dispatch, "batch") <= 1)
      return true;
    const int64_t n = kernels.integer(dispatch, "n"), rows = kernels.integer(dispatch, "w_batch_rows");
    return n % KT_ROWS_PER_UNIT == 0 && (rows == 0 || rows == n);
  }
};

} // namespace
} // namespace ktc
