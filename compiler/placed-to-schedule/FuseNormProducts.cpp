// sched-fuse-norm-products: on a GPU, a router's product becomes part of the norm before it.
#include "compiler/placed-to-schedule/KernelEdit.h"
#include "compiler/placed-to-schedule/LaneTable.h"
#include "compiler/placed-to-schedule/Passes.h"
#include "templates/specs.h"

#include "mlir/IR/Builders.h"

namespace ktc {

#define GEN_PASS_DEF_SCHEDFUSENORMPRODUCTS
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

// Operands of rms_norm and of linear.
constexpr int kNormRows = 2, kNormProductW = 8, kNormProductY = 9;
constexpr int kX = 0, kW = 1, kY = 2;
constexpr int64_t kLaneElements = 8; // of a row (templates/cuda/rms_norm.cpp)

struct FuseNormProducts : impl::SchedFuseNormProductsBase<FuseNormProducts> {
  void runOnOperation() override {
    KernelEditor kernels(getOperation());
    const LaneTable lanes(getOperation());
    for (auto entry : getOperation().getOps<sched::EntryOp>()) {
      SmallVector<sched::DispatchOp> linears;
      for (auto dispatch : entry.getBody().getOps<sched::DispatchOp>())
        if (lanes.isGpu(dispatch) && canJoin(dispatch, kernels))
          linears.push_back(dispatch);
      for (sched::DispatchOp linear : linears)
        if (sched::DispatchOp norm = normBefore(linear, kernels))
          fuse(norm, linear, kernels);
    }
    kernels.eraseUnused();
  }

  static bool canJoin(sched::DispatchOp linear, KernelEditor &kernels) {
    const int64_t k = kernels.integer(linear, "k"), n = kernels.integer(linear, "n");
    auto isOr = [&](StringRef name, int64_t value) {
      const int64_t found = kernels.integer(linear, name);
      return found == 0 || found == value;
    };
    return kernels.family(linear) == "linear" && kernels.text(linear, "format") == "f32" &&
           kernels.integer(linear, "dynamic") == 0 && kernels.integer(linear, "m") <= mostStreamTokens &&
           kernels.integer(linear, "bias") == 0 && kernels.integer(linear, "accumulate") == 0 &&
           kernels.text(linear, "x_type") != "bf16" && kernels.text(linear, "y_type") != "bf16" &&
           isOr("batch", 1) && isOr("x_stride", k) && isOr("y_stride", n) && k <= mostNormProductElements &&
           k % kLaneElements == 0;
  }

  static bool takesProducts(sched::DispatchOp norm, sched::DispatchOp linear, KernelEditor &kernels) {
    const int64_t k = kernels.integer(linear, "k");
    return kernels.family(norm) == "rms_norm" && norm.getLane() == linear.getLane() &&
           norm.getShadow() == linear.getShadow() && kernels.integer(norm, "k") == k &&
           kernels.integer(norm, "adds") == 0 && kernels.integer(norm, "products") == 0 &&
           kernels.integer(norm, "rows") == 1 && kernels.integer(norm, "row_offset") == 0 &&
           kernels.integer(norm, "x_stride") == k && kernels.integer(norm, "y_stride") == k &&
           kernels.integer(norm, "m") == kernels.integer(linear, "m") &&
           norm->getOperand(kNormRows) == linear->getOperand(kX);
  }

  // The norm that makes the rows of `linear` and can multiply them; null if there is none.
  static sched::DispatchOp normBefore(sched::DispatchOp linear, KernelEditor &kernels) {
    auto touches = [&](ValueRange values, int operand) {
      Operation *buffer = sched::baseOf(linear->getOperand(operand)).op;
      return llvm::any_of(values, [&](Value value) { return sched::baseOf(value).op == buffer; });
    };
    for (Operation *op = linear->getPrevNode(); op; op = op->getPrevNode()) {
      if (!sched::isCommand(op))
        continue;
      const sched::Accesses accesses = sched::accessesOf(op);
      if (touches(accesses.writes, kY) || touches(accesses.reads, kY))
        return {};
      if (!touches(accesses.writes, kX))
        continue;
      auto norm = dyn_cast<sched::DispatchOp>(op);
      return norm && takesProducts(norm, linear, kernels) ? norm : sched::DispatchOp();
    }
    return {};
  }

  // True if anything but `linear` and the norm accesses the rows.
  static bool isReadElsewhere(sched::DispatchOp norm, sched::DispatchOp linear) {
    Operation *rows = sched::baseOf(linear->getOperand(kX)).op;
    for (Operation &op : *norm->getBlock()) {
      if (!sched::isCommand(&op) || &op == norm || &op == linear)
        continue;
      const sched::Accesses accesses = sched::accessesOf(&op);
      auto isOfRows = [&](Value value) { return sched::baseOf(value).op == rows; };
      if (llvm::any_of(accesses.reads, isOfRows) || llvm::any_of(accesses.writes, isOfRows))
        return true;
    }
    return false;
  }

  static void fuse(sched::DispatchOp norm, sched::DispatchOp linear, KernelEditor &kernels) {
    SmallVector<Value> operands(norm->getOperands());
    OpBuilder builder(norm);
    Value none = builder.create<sched::NoneOp>(norm.getLoc(), linear->getOperand(kX).getType());
    operands.resize(kNormProductY + 1, none);
    SmallVector<int32_t> writes(norm.getWrites());
    if (!isReadElsewhere(norm, linear)) {
      operands[kNormRows] = none;
      llvm::erase(writes, kNormRows);
    }
    defineBefore(linear->getOperand(kW), norm);
    defineBefore(linear->getOperand(kY), norm);
    operands[kNormProductW] = linear->getOperand(kW);
    operands[kNormProductY] = linear->getOperand(kY);
    writes.push_back(kNormProductY);
    kernels.set(norm, "products", kernels.integer(linear, "n"));
    norm.getOperands_Mutable().assign(operands);
    norm.setWrites(writes);
    norm.setBytesRead(norm.getBytesRead() + linear.getBytesRead());
    const StringRef path = linear.getPath();
    norm.setPath((norm.getPath() + "+" + path.substr(path.rfind('.') + 1)).str());
    linear.erase();
  }
};

} // namespace
} // namespace ktc
