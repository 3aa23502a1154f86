// sched-check-memory: replays every entry and follows the ownership of bytes. Shares no code with the planner.
#include "compiler/placed-to-schedule/CheckLanes.h"
#include "compiler/placed-to-schedule/Passes.h"

#include "llvm/ADT/DenseSet.h"

#include <map>

namespace ktc {

#define GEN_PASS_DEF_SCHEDCHECKMEMORY
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

// Who owns the bytes of one arena: half-open ranges that cover what has been written so far.
class Ownership {
public:
  void claim(uint64_t begin, uint64_t end, sched::AllocOp owner) {
    split(begin);
    split(end);
    ranges.erase(ranges.lower_bound(begin), ranges.lower_bound(end));
    ranges[begin] = {end, owner};
  }

  // First byte of [begin, end) that `owner` does not own, or `end`.
  uint64_t firstForeign(uint64_t begin, uint64_t end, sched::AllocOp owner) const {
    uint64_t at = begin;
    while (at < end) {
      auto next = ranges.upper_bound(at);
      if (next == ranges.begin())
        return at;
      const auto &[start, range] = *std::prev(next);
      if (range.end <= at || range.owner != owner)
        return at;
      at = range.end;
    }
    return end;
  }

private:
  struct Range {
    uint64_t end;
    sched::AllocOp owner;
  };

  void split(uint64_t at) {
    auto next = ranges.upper_bound(at);
    if (next == ranges.begin())
      return;
    auto range = std::prev(next);
    if (range->first < at && range->second.end > at) {
      ranges[at] = range->second;
      range->second.end = at;
    }
  }

  std::map<uint64_t, Range> ranges;
};

struct CheckMemory : impl::SchedCheckMemoryBase<CheckMemory> {
  void runOnOperation() override {
    const LaneTable lanes(getOperation());
    for (auto entry : getOperation().getOps<sched::EntryOp>())
      if (failed(checkExtents(entry)) || failed(checkOwnership(entry)) || failed(checkGroups(entry, lanes)) ||
          (lanes.size() > 1 && failed(checkLanes(entry, lanes))))
        return signalPassFailure();
  }

  // Every buffer has an offset and lies inside its arena.
  LogicalResult checkExtents(sched::EntryOp entry) {
    for (auto alloc : entry.getBody().getOps<sched::AllocOp>()) {
      if (!alloc.getOffset())
        return alloc.emitOpError() << "has no offset";
      auto arena = getOperation().lookupSymbol<sched::ArenaOp>(alloc.getArena());
      if (*alloc.getOffset() > arena.getBytes() || alloc.getBytes() > arena.getBytes() - *alloc.getOffset())
        return alloc.emitOpError() << "range " << *alloc.getOffset() << " + " << alloc.getBytes()
                                   << " exceeds the " << arena.getBytes() << " bytes of @" << alloc.getArena();
    }
    return success();
  }

  // Whoever reads a buffer finds its own bytes there.
  static LogicalResult checkOwnership(sched::EntryOp entry) {
    llvm::DenseMap<Attribute, Ownership> arenas;
    llvm::DenseSet<Operation *> written;
    for (Operation &op : entry.getBody().front()) {
      if (!sched::isCommand(&op))
        continue;
      sched::Accesses accesses = sched::accessesOf(&op);
      for (Value value : accesses.reads) {
        auto alloc = dyn_cast_or_null<sched::AllocOp>(sched::baseOf(value).op);
        // A result may be written for the first time; later the command may be an update of what is there.
        if (!alloc || (llvm::is_contained(accesses.writes, value) && !written.contains(alloc)))
          continue;
        uint64_t begin = *alloc.getOffset(), end = begin + alloc.getBytes();
        uint64_t foreign = arenas[alloc.getArenaAttr()].firstForeign(begin, end, alloc);
        if (foreign != end) {
          StringRef name = alloc.getName().value_or("unnamed");
          return op.emitOpError() << "reads byte " << foreign << " of @" << alloc.getArena()
                                  << ", which its buffer \"" << name << "\" has not written or no longer owns";
        }
      }
      for (Value value : accesses.writes)
        if (auto alloc = dyn_cast_or_null<sched::AllocOp>(sched::baseOf(value).op)) {
          written.insert(alloc);
          arenas[alloc.getArenaAttr()].claim(*alloc.getOffset(), *alloc.getOffset() + alloc.getBytes(), alloc);
        }
    }
    return success();
  }

  // No two buffers that are used within one barrier group of a CPU lane share bytes. Each command of a GPU lane
  // is a group of its own.
  static LogicalResult checkGroups(sched::EntryOp entry, const LaneTable &lanes) {
    std::vector<SmallVector<sched::AllocOp>> groups(lanes.size());
    for (Operation &op : entry.getBody().front()) {
      if (!sched::isCommand(&op))
        continue;
      SmallVector<sched::AllocOp> &group = groups[lanes.index(&op)];
      if (op.hasAttr("barrier") || lanes.isGpu(&op))
        group.clear();
      sched::Accesses accesses = sched::accessesOf(&op);
      for (Value value : llvm::concat<Value>(accesses.reads, accesses.writes)) {
        auto alloc = dyn_cast_or_null<sched::AllocOp>(sched::baseOf(value).op);
        if (!alloc || llvm::is_contained(group, alloc))
          continue;
        for (sched::AllocOp other : group)
          if (other.getArena() == alloc.getArena() &&
              *other.getOffset() < *alloc.getOffset() + alloc.getBytes() &&
              *alloc.getOffset() < *other.getOffset() + other.getBytes())
            return op.emitOpError() << "shares bytes between a buffer at " << *alloc.getOffset()
                                    << " and one at " << *other.getOffset() << " within a barrier group";
        group.push_back(alloc);
      }
    }
    return success();
  }
};

} // namespace
} // namespace ktc
