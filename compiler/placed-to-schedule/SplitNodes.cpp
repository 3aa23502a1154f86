// sched-split-nodes: which weights can be split over memory nodes.
#include "compiler/placed-to-schedule/LaneTable.h"
#include "compiler/placed-to-schedule/MatrixOperands.h"
#include "compiler/placed-to-schedule/Passes.h"

#include "mlir/IR/Builders.h"

namespace ktc {

#define GEN_PASS_DEF_SCHEDSPLITNODES
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

struct SplitNodes : impl::SchedSplitNodesBase<SplitNodes> {
  using SchedSplitNodesBase::SchedSplitNodesBase;

  void runOnOperation() override {
    if (nodes <= 1)
      return;
    KernelEditor kernels(getOperation());
    const LaneTable lanes(getOperation());
    llvm::MapVector<StringRef, int64_t> matrixBytes; // by weight; 0: used in ways that do not fit together
    for (auto entry : getOperation().getOps<sched::EntryOp>())
      for (auto dispatch : entry.getBody().getOps<sched::DispatchOp>()) {
        if (lanes.isGpu(dispatch))
          continue;
        for (const MatrixOperand &matrix : matrixOperands(dispatch, kernels))
          collect(sched::baseOf(dispatch->getOperand(matrix.operand)), matrix, matrixBytes);
      }
    for (auto [symbol, bytes] : matrixBytes)
      if (bytes > 0)
        SymbolTable::lookupSymbolIn(getOperation(), symbol)
            ->setAttr(sched::names::kSplitBytes, Builder(&getContext()).getI64IntegerAttr(bytes));
  }

  // Matrices follow each other without gaps from the start of a weight; a view that begins elsewhere than at
  // one of them would be split differently.
  static void collect(sched::Base base, const MatrixOperand &matrix,
                      llvm::MapVector<StringRef, int64_t> &matrixBytes) {
    auto weight = dyn_cast_or_null<sched::WeightOp>(base.op);
    if (!weight)
      return;
    const int64_t bytes = matrix.rows * matrix.rowBytes;
    const bool fits = bytes > 0 && base.offset % static_cast<uint64_t>(bytes) == 0;
    auto [known, isNew] = matrixBytes.insert({weight.getSymbol(), fits ? bytes : 0});
    if (!isNew && known->second != bytes)
      known->second = 0;
  }
};

} // namespace
} // namespace ktc
