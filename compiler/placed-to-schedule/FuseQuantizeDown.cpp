// sched-fuse-quantize-down: in decode, down quantises its rows itself.
//
// Each thread of `down` needs the rows of all slots, so each quantises all of them. For the few rows of a
// decode entry that is cheaper than to share the work and meet.
#include "compiler/placed-to-schedule/KernelEdit.h"
#include "compiler/placed-to-schedule/Passes.h"

namespace ktc {

#define GEN_PASS_DEF_SCHEDFUSEQUANTIZEDOWN
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

constexpr int kQuantizeX = 0, kQuantizeY = 1;
constexpr int kDownF32 = 0, kDownQuantized = 1; // operands of down

// Most elements that every thread quantises anew: eight experts of 2048 for one token. Saved are a barrier,
// about a microsecond on many threads, and a command; a thread on a busy host was seen to quantise 3000 to 7000
// elements in that time with AVX-512.
constexpr int64_t kMostElements = 16384;

struct FuseQuantizeDown : impl::SchedFuseQuantizeDownBase<FuseQuantizeDown> {
  void runOnOperation() override {
    KernelEditor kernels(getOperation());
    for (auto entry : getOperation().getOps<sched::EntryOp>()) {
      if (entry.getDynamic())
        continue;
      for (auto quantize : llvm::make_early_inc_range(entry.getBody().getOps<sched::DispatchOp>()))
        if (kernels.family(quantize) == "quantize")
          fuse(quantize, kernels);
    }
    kernels.eraseUnused();
  }

  // True if the quantize makes of dense rows, few in all, exactly those that `down` reads.
  static bool sameFewRows(sched::DispatchOp quantize, sched::DispatchOp down, KernelEditor &kernels) {
    auto q = [&](StringRef name) { return kernels.integer(quantize, name); };
    auto d = [&](StringRef name) { return kernels.integer(down, name); };
    const int64_t k = q("k"), rows = q("rows"), m = q("m");
    if (q("dynamic") || d("dynamic") || m <= 0 || rows <= 0 || k <= 0 || k > kMostElements / rows / m)
      return false;
    return d("k") == k && d("m") == m && (d("dense") ? 1 : d("top_k")) == rows && q("x_row_stride") == k &&
           q("x_stride") == rows * k;
  }

  // The `down` that alone reads the quantised rows, or null.
  static sched::DispatchOp onlyReader(sched::DispatchOp quantize, Value rows, KernelEditor &kernels) {
    sched::DispatchOp down;
    for (OpOperand &use : rows.getUses()) {
      auto user = dyn_cast<sched::DispatchOp>(use.getOwner());
      if (user && user == quantize && use.getOperandNumber() == kQuantizeY)
        continue;
      if (!user || down || kernels.family(user) != "down" || use.getOperandNumber() != kDownQuantized)
        return {};
      down = user;
    }
    return down;
  }

  // True if some command from `first` to `last` writes to the buffer that `base` defines.
  static bool writtenBetween(Operation *first, Operation *last, Operation *base) {
    for (Operation *op = first;; op = op->getNextNode()) {
      for (Value value : sched::isCommand(op) ? sched::accessesOf(op).writes : SmallVector<Value>())
        if (sched::baseOf(value).op == base)
          return true;
      if (op == last)
        return false;
    }
  }

  static void fuse(sched::DispatchOp quantize, KernelEditor &kernels) {
    Value floats = quantize->getOperand(kQuantizeX), rows = quantize->getOperand(kQuantizeY);
    auto alloc = rows.getDefiningOp<sched::AllocOp>();
    auto h = floats.getDefiningOp<sched::AllocOp>();
    if (!alloc || !h)
      return;
    sched::DispatchOp down = onlyReader(quantize, rows, kernels);
    if (!down || !quantize->isBeforeInBlock(down) || quantize.getLane() != down.getLane() ||
        !isa_and_nonnull<sched::NoneOp>(down->getOperand(kDownF32).getDefiningOp()) ||
        !sameFewRows(quantize, down, kernels) || writtenBetween(quantize, down, h))
      return;
    down->setOperand(kDownQuantized, down->getOperand(kDownF32));
    down->setOperand(kDownF32, floats);
    kernels.set(down, "quantize", 1);
    quantize.erase();
    alloc.erase();
  }
};

} // namespace
} // namespace ktc
