// sched-plan-memory: static offsets for temporary buffers.
//
// Time is counted in barrier groups: commands of one group may run at the same moment on different threads, so
// two buffers may share bytes only if no group uses both.
//
//   group   0    1    2    3
//   a       |---------|                 a and b overlap in group 1: disjoint bytes
//   b            |---------|
//   c                      |----|       c may take the bytes of a
//
// On a GPU lane every command is a group: edges (sched-order-graph) keep those in order that share bytes.
// Between lanes, only what a signal has made known counts as done (vector clocks).
//
// Placement is greedy by size, largest first (ties: earlier first), at the lowest free offset.
#include "compiler/placed-to-schedule/LaneTable.h"
#include "compiler/placed-to-schedule/Passes.h"

#include "runtime/abi/kt_abi.h"

#include <algorithm>
#include <vector>

namespace ktc {

#define GEN_PASS_DEF_SCHEDPLANMEMORY
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

// GPU kernels that come within this many commands of each other in a decode entry do not share bytes, because
// sharing is an order between them, and so small ones can run side by side.
constexpr int64_t kApart = 12;

// How a buffer is used on one lane.
struct LaneUse {
  int64_t first = -1, last = -1; // barrier groups of a CPU lane, commands of a GPU lane
  int64_t lastCommand = -1;      // number of the last command in its lane
  SmallVector<int64_t, 2> known; // when the first begins: by lane, how many of its commands are done
};

struct Life {
  sched::AllocOp alloc;
  SmallVector<LaneUse, 2> uses; // by lane
  uint64_t offset = 0, bytes = 0;
};

// Where a lane is in the walk over an entry.
struct LaneState {
  int64_t group = 0, commands = 0;
  SmallVector<int64_t, 2> known; // by lane, from the signals waited for
};

struct PlanMemory : impl::SchedPlanMemoryBase<PlanMemory> {
  void runOnOperation() override {
    LaneTable table(getOperation());
    lanes = &table;
    llvm::DenseMap<Attribute, uint64_t> needed; // arena → bytes
    for (auto entry : getOperation().getOps<sched::EntryOp>()) {
      std::vector<Life> lives = findLives(entry);
      place(lives, entry.getDynamic() ? 0 : kApart);
      for (Life &life : lives) {
        life.alloc.setOffset(life.offset);
        uint64_t &bytes = needed[life.alloc.getArenaAttr().getAttr()];
        bytes = std::max(bytes, life.offset + life.bytes);
      }
    }
    for (auto arena : getOperation().getOps<sched::ArenaOp>())
      if (arena.getKind() == "activation")
        arena.setBytes(needed.lookup(arena.getSymNameAttr()));
  }

  std::vector<Life> findLives(sched::EntryOp entry) {
    std::vector<Life> lives;
    llvm::DenseMap<Operation *, size_t> index;
    for (auto alloc : llvm::make_early_inc_range(entry.getBody().getOps<sched::AllocOp>())) {
      if (alloc->use_empty()) {
        alloc.erase();
        continue;
      }
      index[alloc] = lives.size();
      lives.push_back({alloc, SmallVector<LaneUse, 2>(lanes->size()), 0, alloc.getBytes()});
    }
    std::vector<LaneState> states(lanes->size(), {0, 0, SmallVector<int64_t, 2>(lanes->size(), 0)});
    llvm::DenseMap<uint64_t, SmallVector<int64_t, 2>> raised; // by signal: what its lane knew
    for (Operation &op : entry.getBody().front()) {
      if (!sched::isCommand(&op))
        continue;
      LaneState &state = states[lanes->index(&op)];
      state.group += lanes->isGpu(&op) || op.hasAttr("barrier");
      if (auto wait = dyn_cast<sched::WaitOp>(op)) {
        for (auto [known, told] : llvm::zip_first(state.known, raised[wait.getSignal()]))
          known = std::max(known, told);
      } else if (auto signal = dyn_cast<sched::SignalOp>(op)) {
        raised[signal.getSignal()] = state.known;
        raised[signal.getSignal()][lanes->index(&op)] = state.commands;
      }
      sched::Accesses accesses = sched::accessesOf(&op);
      for (Value value : llvm::concat<Value>(accesses.reads, accesses.writes))
        if (auto found = index.find(sched::baseOf(value).op); found != index.end())
          note(lives[found->second].uses[lanes->index(&op)], state);
      ++state.commands;
    }
    return lives;
  }

  static void note(LaneUse &use, const LaneState &state) {
    if (use.first < 0) {
      use.first = state.group;
      use.known = state.known;
    }
    use.last = state.group;
    use.lastCommand = state.commands;
  }

  // True if every use of `a` is done before any of `b` begins.
  static bool isBefore(const Life &a, const Life &b, int64_t gpuApart, ArrayRef<bool> isGpu) {
    for (size_t from = 0; from < a.uses.size(); ++from)
      for (size_t to = 0; to < b.uses.size(); ++to) {
        const LaneUse &last = a.uses[from], &first = b.uses[to];
        if (last.first < 0 || first.first < 0)
          continue;
        const bool ordered = from == to ? last.last + (isGpu[from] ? gpuApart : 0) < first.first
                                        : first.known[from] > last.lastCommand;
        if (!ordered)
          return false;
      }
    return true;
  }

  static uint64_t alignUp(uint64_t offset) {
    return (offset + KT_BUFFER_ALIGNMENT - 1) / KT_BUFFER_ALIGNMENT * KT_BUFFER_ALIGNMENT;
  }

  void place(std::vector<Life> &lives, int64_t gpuApart) {
    SmallVector<bool> isGpu = lanes->gpuFlags();
    std::vector<Life *> order;
    for (Life &life : lives)
      order.push_back(&life);
    std::stable_sort(order.begin(), order.end(), [](Life *a, Life *b) { return a->bytes > b->bytes; });
    std::vector<Life *> placed;
    for (Life *life : order) {
      std::vector<Life *> rivals;
      for (Life *other : placed)
        if (other->alloc.getArena() == life->alloc.getArena() && !isBefore(*other, *life, gpuApart, isGpu) &&
            !isBefore(*life, *other, gpuApart, isGpu))
          rivals.push_back(other);
      std::sort(rivals.begin(), rivals.end(), [](Life *a, Life *b) { return a->offset < b->offset; });
      uint64_t offset = 0;
      for (Life *rival : rivals) {
        if (rival->offset >= offset + life->bytes)
          break;
        offset = std::max(offset, alignUp(rival->offset + rival->bytes));
      }
      life->offset = offset;
      placed.push_back(life);
    }
  }

  const LaneTable *lanes = nullptr;
};

} // namespace
} // namespace ktc
