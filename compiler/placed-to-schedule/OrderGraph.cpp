// sched-order-graph: what each command of a GPU lane must follow.
//
// A GPU lane becomes a graph, so that kernels without anything in common run side by side. Edges come from byte
// ranges that are read and written, so buffers that share bytes are ordered like one. Two rules join the graph
// to the other lanes: a signal follows everything before it, and a wait follows everything before it (so that
// it cannot hold the device while the work that its signal depends on has none) and precedes all that touches
// mapped memory after it, which is where other lanes leave things. Work in the shadow of other lanes follows
// the signal before it, so that it takes nothing from what that signal waits for.
#include "compiler/placed-to-schedule/LaneTable.h"
#include "compiler/placed-to-schedule/Passes.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/BitVector.h"
#include "llvm/ADT/StringSet.h"

#include <vector>

namespace ktc {

#define GEN_PASS_DEF_SCHEDORDERGRAPH
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

struct Range {
  uint64_t begin = 0, end = 0;
  bool isWrite = false;
};

struct PastRange {
  Range range;
  int32_t command = 0;
};

// The graph of one lane in one entry, as far as the walk has come.
struct LaneGraph {
  std::vector<llvm::BitVector> ancestors;                 // by command
  llvm::DenseMap<Attribute, std::vector<PastRange>> past; // by arena; what a later write covers is dropped
  int32_t lastWait = -1, lastSignal = -1;
};

struct OrderGraph : impl::SchedOrderGraphBase<OrderGraph> {
  void runOnOperation() override {
    const LaneTable lanes(getOperation());
    mapped.clear();
    for (auto arena : getOperation().getOps<sched::ArenaOp>())
      if (arena.getMapped())
        mapped.insert(arena.getSymName());
    for (auto entry : getOperation().getOps<sched::EntryOp>()) {
      std::vector<LaneGraph> graphs(lanes.size());
      for (Operation &op : entry.getBody().front())
        if (sched::isCommand(&op) && lanes.isGpu(&op) && failed(add(&op, graphs[lanes.index(&op)])))
          return signalPassFailure();
    }
  }

  // The bytes behind `value`: all of a buffer, wherever in it a view begins. None for read-only memory.
  static FailureOr<std::optional<std::pair<Attribute, Range>>> rangeOf(Value value, bool isWrite) {
    Operation *base = sched::baseOf(value).op;
    if (auto alloc = dyn_cast_or_null<sched::AllocOp>(base)) {
      if (!alloc.getOffset())
        return alloc.emitOpError() << "has no offset; run sched-plan-memory first";
      return std::optional(
          std::make_pair(Attribute(alloc.getArenaAttr()),
                         Range{*alloc.getOffset(), *alloc.getOffset() + alloc.getBytes(), isWrite}));
    }
    if (auto fixed = dyn_cast_or_null<sched::FixedOp>(base))
      return std::optional(
          std::make_pair(Attribute(fixed.getArenaAttr()),
                         Range{fixed.getOffset(), fixed.getOffset() + fixed.getBytes(), isWrite}));
    return std::optional<std::pair<Attribute, Range>>();
  }

  LogicalResult add(Operation *op, LaneGraph &graph) {
    const int32_t number = static_cast<int32_t>(graph.ancestors.size());
    llvm::BitVector before(number);
    const bool isHandOver = isa<sched::SignalOp, sched::WaitOp>(op);
    if (isHandOver)
      before.set();
    if (auto dispatch = dyn_cast<sched::DispatchOp>(op);
        dispatch && dispatch.getShadow() && graph.lastSignal >= 0)
      before.set(graph.lastSignal);
    const sched::Accesses accesses = sched::accessesOf(op);
    SmallVector<std::pair<Attribute, Range>> ranges;
    for (const auto &[values, isWrite] : {std::pair(&accesses.reads, false), std::pair(&accesses.writes, true)})
      for (Value value : *values) {
        auto range = rangeOf(value, isWrite);
        if (failed(range))
          return failure();
        if (*range)
          ranges.push_back(**range);
      }
    for (const auto &[arena, range] : ranges) {
      for (const PastRange &earlier : graph.past[arena])
        if ((range.isWrite || earlier.range.isWrite) && earlier.range.begin < range.end &&
            range.begin < earlier.range.end)
          before.set(earlier.command);
      if (graph.lastWait >= 0 && mapped.contains(cast<FlatSymbolRefAttr>(arena).getValue()))
        before.set(graph.lastWait);
    }
    for (const auto &[arena, range] : ranges)
      remember(graph.past[arena], range, number);
    if (isa<sched::WaitOp>(op))
      graph.lastWait = number;
    if (isa<sched::SignalOp>(op))
      graph.lastSignal = number;
    setAfter(op, before, graph);
    return success();
  }

  // Ranges that a write covers need no memory of their own: whatever conflicts with them conflicts with it.
  static void remember(std::vector<PastRange> &past, const Range &range, int32_t number) {
    if (range.isWrite)
      std::erase_if(past, [&](const PastRange &earlier) {
        return range.begin <= earlier.range.begin && earlier.range.end <= range.end;
      });
    past.push_back({range, number});
  }

  // Keeps only edges that do not follow from others.
  static void setAfter(Operation *op, const llvm::BitVector &before, LaneGraph &graph) {
    llvm::BitVector known(before.size());
    SmallVector<int32_t> after;
    for (int command = before.find_last(); command >= 0; command = before.find_prev(command)) {
      if (known.test(command))
        continue;
      after.insert(after.begin(), command);
      known.set(command);
      llvm::BitVector theirs = graph.ancestors[command];
      theirs.resize(known.size());
      known |= theirs;
    }
    graph.ancestors.push_back(std::move(known));
    op->setAttr("after", DenseI32ArrayAttr::get(op->getContext(), after));
  }

  llvm::StringSet<> mapped; // arenas
};

} // namespace
} // namespace ktc
