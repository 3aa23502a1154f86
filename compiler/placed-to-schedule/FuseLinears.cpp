// sched-fuse-linears: products of a GPU that read the same activations become one launch.
#include "compiler/placed-to-schedule/KernelEdit.h"
#include "compiler/placed-to-schedule/LaneTable.h"
#include "compiler/placed-to-schedule/Passes.h"
#include "templates/specs.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseSet.h"

namespace ktc {

#define GEN_PASS_DEF_SCHEDFUSELINEARS
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

constexpr int kX = 0, kY = 2; // operands of linear
constexpr size_t kMostParts = 4;
constexpr StringLiteral kCommon[] = {"k", "m", "dynamic", "x_stride", "x_type"};
constexpr StringLiteral kOfPart[] = {"format", "n", "y_stride", "y_type", "bias", "accumulate"};

struct FuseLinears : impl::SchedFuseLinearsBase<FuseLinears> {
  void runOnOperation() override {
    KernelEditor kernels(getOperation());
    const LaneTable lanes(getOperation());
    for (auto entry : getOperation().getOps<sched::EntryOp>()) {
      SmallVector<sched::DispatchOp> linears; // that are alone so far
      for (auto dispatch : entry.getBody().getOps<sched::DispatchOp>())
        if (lanes.isGpu(dispatch) && canJoin(dispatch, kernels))
          linears.push_back(dispatch);
      while (!linears.empty()) {
        const SmallVector<sched::DispatchOp> parts = collect(linears.front(), kernels);
        llvm::erase_if(linears, [&](sched::DispatchOp linear) { return llvm::is_contained(parts, linear); });
        fuse(parts, kernels);
      }
    }
    kernels.eraseUnused();
  }

  static bool canJoin(sched::DispatchOp dispatch, KernelEditor &kernels) {
    return kernels.family(dispatch) == "linear" && kernels.integer(dispatch, "dynamic") == 0 &&
           kernels.integer(dispatch, "m") <= mostStreamTokens && kernels.integer(dispatch, "batch") <= 1 &&
           kernels.text(dispatch, "format") != "f32";
  }

  static bool isAlike(sched::DispatchOp first, sched::DispatchOp other, KernelEditor &kernels) {
    if (first.getLane() != other.getLane() || first->getOperand(kX) != other->getOperand(kX))
      return false;
    return llvm::all_of(kCommon, [&](StringRef name) {
      return kernels.params(first).get(name) == kernels.params(other).get(name);
    });
  }

  // What commands between the first product and the one looked at access.
  struct Touched {
    llvm::DenseSet<Operation *> read, written;
    void add(Operation *command) {
      const sched::Accesses accesses = sched::accessesOf(command);
      for (Value value : accesses.reads)
        read.insert(sched::baseOf(value).op);
      for (Value value : accesses.writes)
        written.insert(sched::baseOf(value).op);
    }
    // True if `linear` gives the same before all of them.
    bool allows(sched::DispatchOp linear) const {
      Operation *y = sched::baseOf(linear->getOperand(kY)).op;
      return !read.contains(y) && llvm::none_of(linear.getOperands(), [&](Value value) {
        return written.contains(sched::baseOf(value).op);
      });
    }
  };

  // The products that can run with `first`, in program order.
  static SmallVector<sched::DispatchOp> collect(sched::DispatchOp first, KernelEditor &kernels) {
    SmallVector<sched::DispatchOp> parts = {first};
    Touched touched;
    touched.add(first);
    for (Operation *op = first->getNextNode(); op && parts.size() < kMostParts; op = op->getNextNode()) {
      if (!sched::isCommand(op))
        continue;
      auto linear = dyn_cast<sched::DispatchOp>(op);
      if (linear && canJoin(linear, kernels) && isAlike(first, linear, kernels) && touched.allows(linear))
        parts.push_back(linear);
      touched.add(op);
      if (touched.written.contains(sched::baseOf(first->getOperand(kX)).op))
        break;
    }
    return parts;
  }

  // layer.q and layer.k as layer.q+k.
  static std::string joined(SmallVector<sched::DispatchOp> parts) {
    std::string path = parts.front().getPath().str();
    for (sched::DispatchOp part : llvm::drop_begin(parts))
      path += "+" + part.getPath().substr(part.getPath().rfind('.') + 1).str();
    return path;
  }

  static void fuse(SmallVector<sched::DispatchOp> parts, KernelEditor &kernels) {
    if (parts.size() < 2)
      return;
    sched::DispatchOp first = parts.front();
    OpBuilder builder(first);
    NamedAttrList params;
    for (StringRef name : kCommon)
      if (Attribute value = kernels.params(first).get(name))
        params.set(name, value);
    SmallVector<Value> operands = {first->getOperand(kX)};
    SmallVector<int32_t> writes;
    int64_t bytes = 0, units = 0, unitsPerToken = 0;
    for (auto [i, part] : llvm::enumerate(parts)) {
      for (StringRef name : kOfPart)
        if (Attribute value = kernels.params(part).get(name))
          params.set((name + Twine(i)).str(), value);
      writes.push_back(static_cast<int32_t>(operands.size() + kY - 1));
      for (Value operand : part->getOperands().drop_front()) {
        defineBefore(operand, first);
        operands.push_back(operand);
      }
      bytes += part.getBytesRead();
      units += part.getUnits();
      unitsPerToken += part.getUnitsPerToken();
    }
    const std::string path = joined(parts);
    first.setKernel(kernels.make("linear_group", params.getDictionary(builder.getContext())));
    first.getOperands_Mutable().assign(operands);
    first.setWrites(writes);
    first.setBytesRead(bytes);
    first.setUnits(units);
    first.setUnitsPerToken(unitsPerToken);
    first.setPath(path);
    for (sched::DispatchOp part : llvm::drop_begin(parts))
      part.erase();
  }
};

} // namespace
} // namespace ktc
