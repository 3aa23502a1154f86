// sched-insert-signals: order between lanes where they touch the same memory.
//
// Walks the commands in program order with one clock per lane (vector clocks): what a lane knows to be done on
// every lane. A command that depends on one of another lane that its lane does not know about waits, right
// before it, for a signal that is raised right after the other. Both lanes then know what the signalling lane
// knew.
//
//   gpu   norm  router  raise 0  shared …         wait 1  norm
//   cpu                 wait 0   gate_up  down  raise 1
#include "compiler/placed-to-schedule/LaneTable.h"
#include "compiler/placed-to-schedule/Passes.h"

#include "mlir/IR/Builders.h"

#include <algorithm>
#include <map>

namespace ktc {

#define GEN_PASS_DEF_SCHEDINSERTSIGNALS
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

// By lane: how many of its commands are done.
using Clock = SmallVector<int64_t, 2>;

void join(Clock &clock, const Clock &other) {
  for (size_t lane = 0; lane < clock.size(); ++lane)
    clock[lane] = std::max(clock[lane], other[lane]);
}

// Numbers for pieces of memory: buffers, and ranges of persistent arenas, of which overlapping ones are one.
class Memories {
public:
  explicit Memories(sched::EntryOp entry) {
    std::vector<sched::FixedOp> ranges(entry.getBody().getOps<sched::FixedOp>().begin(),
                                       entry.getBody().getOps<sched::FixedOp>().end());
    std::stable_sort(ranges.begin(), ranges.end(), [](sched::FixedOp a, sched::FixedOp b) {
      return std::make_pair(a.getArena(), a.getOffset()) < std::make_pair(b.getArena(), b.getOffset());
    });
    sched::FixedOp last;
    uint64_t end = 0;
    for (sched::FixedOp range : ranges) {
      const bool overlaps = last && last.getArena() == range.getArena() && range.getOffset() < end;
      numbers[range] = overlaps ? count - 1 : count++;
      end =
          overlaps ? std::max(end, range.getOffset() + range.getBytes()) : range.getOffset() + range.getBytes();
      last = range;
    }
    for (auto alloc : entry.getBody().getOps<sched::AllocOp>())
      numbers[alloc] = count++;
  }

  // -1: read-only memory, or none.
  int64_t of(Value buffer) const {
    auto found = numbers.find(sched::baseOf(buffer).op);
    return found == numbers.end() ? -1 : found->second;
  }

private:
  llvm::DenseMap<Operation *, int64_t> numbers;
  int64_t count = 0;
};

// Who has accessed a piece of memory last: its last writer, and its readers since.
struct LastAccesses {
  Operation *writer = nullptr;
  SmallVector<Operation *, 2> readers; // the last of every lane
};

struct InsertSignals : impl::SchedInsertSignalsBase<InsertSignals> {
  void runOnOperation() override {
    LaneTable table(getOperation());
    lanes = &table;
    if (table.size() > 1)
      for (auto entry : getOperation().getOps<sched::EntryOp>())
        if (failed(runOnEntry(entry)))
          return signalPassFailure();
  }

  LogicalResult runOnEntry(sched::EntryOp entry) {
    const Memories memories(entry);
    std::map<int64_t, LastAccesses> accesses;
    std::vector<Clock> known(lanes->size(), Clock(lanes->size(), 0));
    after.clear();
    llvm::DenseMap<Operation *, SmallVector<Operation *, 1>> waits; // command → commands it waits for
    for (Operation &op : entry.getBody().front()) {
      if (!sched::isCommand(&op))
        continue;
      if (isa<sched::SignalOp, sched::WaitOp>(op))
        return op.emitOpError() << "is there before signals are inserted";
      Clock &clock = known[lanes->index(&op)];
      for (Operation *source : dependencies(&op, memories, accesses)) {
        if (clock[lanes->index(source)] >= after[source][lanes->index(source)])
          continue;
        waits[&op].push_back(source);
        join(clock, after[source]);
      }
      ++clock[lanes->index(&op)];
      after[&op] = clock;
    }
    insert(entry, waits);
    return success();
  }

  // For every other lane the last command there that `op` must follow; then notes what `op` accesses.
  SmallVector<Operation *> dependencies(Operation *op, const Memories &memories,
                                        std::map<int64_t, LastAccesses> &accesses) {
    SmallVector<Operation *> latest(lanes->size(), nullptr);
    const unsigned lane = lanes->index(op);
    auto follow = [&](Operation *source) {
      if (!source || lanes->index(source) == lane)
        return;
      Operation *&last = latest[lanes->index(source)];
      if (!last || last->isBeforeInBlock(source))
        last = source;
    };
    const sched::Accesses accessed = sched::accessesOf(op);
    for (Value value : accessed.reads)
      follow(accesses[memories.of(value)].writer);
    for (Value value : accessed.writes) {
      LastAccesses &last = accesses[memories.of(value)];
      follow(last.writer);
      for (Operation *reader : last.readers)
        follow(reader);
    }
    for (Value value : accessed.reads)
      if (int64_t memory = memories.of(value); memory >= 0)
        addReader(accesses[memory], op, lane);
    for (Value value : accessed.writes)
      accesses[memories.of(value)] = {op, {}};
    llvm::erase(latest, nullptr);
    // The latest first: what its lane knows may cover the others.
    llvm::sort(latest, [](Operation *a, Operation *b) { return b->isBeforeInBlock(a); });
    return latest;
  }

  void addReader(LastAccesses &last, Operation *op, unsigned lane) {
    llvm::erase_if(last.readers, [&](Operation *reader) { return lanes->index(reader) == lane; });
    last.readers.push_back(op);
  }

  // Signals are numbered in program order of the commands that they follow; several commands may wait for one.
  void insert(sched::EntryOp entry, llvm::DenseMap<Operation *, SmallVector<Operation *, 1>> &waits) {
    llvm::DenseMap<Operation *, int64_t> signals; // by the command that they follow
    for (auto &[op, sources] : waits)
      for (Operation *source : sources)
        signals[source] = 0;
    int64_t count = 0;
    for (Operation &op : entry.getBody().front())
      if (auto found = signals.find(&op); found != signals.end())
        found->second = count++;
    for (Operation &op : llvm::make_early_inc_range(entry.getBody().front())) {
      OpBuilder builder(&op);
      for (Operation *source : waits.lookup(&op))
        builder.create<sched::WaitOp>(op.getLoc(), laneOf(&op), signals[source], false, DenseI32ArrayAttr(),
                                      IntegerAttr());
      if (auto found = signals.find(&op); found != signals.end()) {
        builder.setInsertionPointAfter(&op);
        builder.create<sched::SignalOp>(op.getLoc(), laneOf(&op), found->second, false, DenseI32ArrayAttr(),
                                        IntegerAttr());
      }
    }
  }

  static StringRef laneOf(Operation *op) { return cast<FlatSymbolRefAttr>(op->getAttr("lane")).getValue(); }

  const LaneTable *lanes = nullptr;
  llvm::DenseMap<Operation *, Clock> after; // what is done when the command is
};

} // namespace
} // namespace ktc
