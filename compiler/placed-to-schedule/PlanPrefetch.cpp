// sched-plan-prefetch: which weights a thread can prefetch while it waits for the others.
//
// A matrix is split over the threads by rows, so where a thread's share begins follows from the number of
// units alone. Waiting at a barrier, a thread can load the beginning of its next share: memory stays busy
// while one thread works, and the share starts at full speed. What is needed for that goes into `streams`.
#include "compiler/placed-to-schedule/LaneTable.h"
#include "compiler/placed-to-schedule/MatrixOperands.h"
#include "compiler/placed-to-schedule/Passes.h"

#include "runtime/abi/kt_abi.h"

#include "mlir/IR/Builders.h"

namespace ktc {

#define GEN_PASS_DEF_SCHEDPLANPREFETCH
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

struct PlanPrefetch : impl::SchedPlanPrefetchBase<PlanPrefetch> {
  void runOnOperation() override {
    KernelEditor kernels(getOperation());
    const LaneTable lanes(getOperation());
    for (auto entry : getOperation().getOps<sched::EntryOp>())
      if (!entry.getDynamic())
        for (auto dispatch : entry.getBody().getOps<sched::DispatchOp>())
          if (!lanes.isGpu(dispatch))
            annotate(dispatch, kernels);
  }

  static void annotate(sched::DispatchOp dispatch, KernelEditor &kernels) {
    SmallVector<int64_t> streams;
    for (const MatrixOperand &matrix : matrixOperands(dispatch, kernels))
      // Weights in a temporary buffer are nothing to prefetch.
      if (!matrix.isRouted && matrix.rows > 0 && matrix.rowBytes > 0 &&
          isa_and_nonnull<sched::WeightOp>(sched::baseOf(dispatch->getOperand(matrix.operand)).op))
        streams.append({matrix.operand, KT_ROWS_PER_UNIT * matrix.rowBytes});
    if (!streams.empty())
      dispatch.setStreamsAttr(DenseI64ArrayAttr::get(dispatch.getContext(), streams));
  }
};

} // namespace
} // namespace ktc
