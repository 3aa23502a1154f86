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
// Placement is greedy by size, largest first (ties: earlier first), at the lowest free offset.
#include "compiler/placed-to-schedule/Passes.h"

#include "runtime/abi/kt_abi.h"

#include <algorithm>
#include <vector>

namespace ktc {

#define GEN_PASS_DEF_SCHEDPLANMEMORY
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

struct Life {
  sched::AllocOp alloc;
  int64_t first = -1, last = -1; // barrier groups
  uint64_t offset = 0, bytes = 0;
};

struct PlanMemory : impl::SchedPlanMemoryBase<PlanMemory> {
  void runOnOperation() override {
    llvm::DenseMap<Attribute, uint64_t> needed; // arena → bytes
    for (auto entry : getOperation().getOps<sched::EntryOp>()) {
      std::vector<Life> lives = findLives(entry);
      place(lives);
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

  static std::vector<Life> findLives(sched::EntryOp entry) {
    std::vector<Life> lives;
    llvm::DenseMap<Operation *, size_t> index;
    for (auto alloc : llvm::make_early_inc_range(entry.getBody().getOps<sched::AllocOp>())) {
      if (alloc->use_empty()) {
        alloc.erase();
        continue;
      }
      index[alloc] = lives.size();
      lives.push_back({alloc, -1, -1, 0, alloc.getBytes()});
    }
    int64_t group = 0;
    for (Operation &op : entry.getBody().front()) {
      if (!sched::isCommand(&op))
        continue;
      group += op.hasAttr("barrier");
      sched::Accesses accesses = sched::accessesOf(&op);
      for (Value value : llvm::concat<Value>(accesses.reads, accesses.writes)) {
        auto found = index.find(sched::baseOf(value).op);
        if (found == index.end())
          continue;
        Life &life = lives[found->second];
        life.first = life.first < 0 ? group : life.first;
        life.last = group;
      }
    }
    return lives;
  }

  static uint64_t alignUp(uint64_t offset) {
    return (offset + KT_BUFFER_ALIGNMENT - 1) / KT_BUFFER_ALIGNMENT * KT_BUFFER_ALIGNMENT;
  }

  static void place(std::vector<Life> &lives) {
    std::vector<Life *> order;
    for (Life &life : lives)
      order.push_back(&life);
    std::stable_sort(order.begin(), order.end(), [](Life *a, Life *b) { return a->bytes > b->bytes; });
    std::vector<Life *> placed;
    for (Life *life : order) {
      std::vector<Life *> rivals;
      for (Life *other : placed)
        if (other->alloc.getArena() == life->alloc.getArena() && other->first <= life->last &&
            life->first <= other->last)
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
};

} // namespace
} // namespace ktc
