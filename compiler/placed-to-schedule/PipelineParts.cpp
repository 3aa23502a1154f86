// sched-pipeline-parts: the parts of a prefill chunk, written out so that lanes work on different ones.
//
// Lowering writes the commands for one part of an entry's tokens. Each further part gets a copy of them with
// buffers of its own; weights and the KV cache are shared. The commands of a part fall into stages, which are
// longest runs of commands on the same lane, and stages of all parts follow each other:
//
//   gpu   A0 B0          A1 B1          A2 B2
//   cpu          A0 B0          A1 B1
//
// A lane runs its commands in this order, and between lanes only dependencies count (sched-insert-signals). So
// while the CPU has the experts of part A of a layer, the GPU has the attention of part B, and then that of A
// in the next layer. Part B attends to keys of part A: its stages come after those of A on every lane.
#include "compiler/placed-to-schedule/Passes.h"

#include "dialects/schedule/Schedule.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"

#include <vector>

namespace ktc {

#define GEN_PASS_DEF_SCHEDPIPELINEPARTS
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

using Stage = std::vector<Operation *>;

struct PipelineParts : impl::SchedPipelinePartsBase<PipelineParts> {
  void runOnOperation() override {
    for (auto entry : getOperation().getOps<sched::EntryOp>())
      if (entry.partCount() > 1 && failed(runOnEntry(entry)))
        return signalPassFailure();
  }

  static LogicalResult runOnEntry(sched::EntryOp entry) {
    Block &block = entry.getBody().front();
    SmallVector<Operation *> first;
    for (Operation &op : block) {
      if (isa<sched::SignalOp, sched::WaitOp>(op))
        return op.emitOpError() << "is there before parts are pipelined";
      first.push_back(&op);
    }
    std::vector<std::vector<Stage>> parts = {stagesOf(first)};
    for (int64_t part = 1; part < entry.partCount(); ++part)
      parts.push_back(stagesOf(clonePart(first, part, block)));
    for (size_t stage = 0; stage < parts.front().size(); ++stage)
      for (const std::vector<Stage> &part : parts)
        for (Operation *command : part[stage])
          command->moveBefore(&block, block.end());
    return success();
  }

  // Copies `ops` to the end of the block, for part number `part`. Returns the copies.
  static SmallVector<Operation *> clonePart(ArrayRef<Operation *> ops, int64_t part, Block &block) {
    OpBuilder builder = OpBuilder::atBlockEnd(&block);
    IRMapping mapping;
    SmallVector<Operation *> copies;
    for (Operation *op : ops) {
      auto fixed = dyn_cast<sched::FixedOp>(op);
      if (isa<sched::WeightOp, sched::NoneOp>(op) || (fixed && !isOfRows(fixed)))
        continue; // the same for all parts
      Operation *copy = builder.clone(*op, mapping);
      if (fixed)
        cast<sched::FixedOp>(copy).setOffset(fixed.getOffset() +
                                             static_cast<uint64_t>(part) * fixed.getBytes());
      if (sched::isCommand(copy))
        copy->setAttr("part", builder.getI64IntegerAttr(part));
      copies.push_back(copy);
    }
    return copies;
  }

  // Whether a range holds rows of the tokens, of which the part's are the first ones.
  static bool isOfRows(sched::FixedOp fixed) {
    const StringRef role = fixed.getRole().value_or("");
    return role == sched::names::kTokens || role == sched::names::kPositions || role == sched::names::kHidden;
  }

  static std::vector<Stage> stagesOf(ArrayRef<Operation *> ops) {
    std::vector<Stage> stages;
    Attribute lane;
    for (Operation *op : ops) {
      if (!sched::isCommand(op))
        continue;
      if (stages.empty() || op->getAttr("lane") != lane)
        stages.emplace_back();
      lane = op->getAttr("lane");
      stages.back().push_back(op);
    }
    return stages;
  }
};

} // namespace
} // namespace ktc
