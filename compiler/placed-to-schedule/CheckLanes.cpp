// Checks of the order between lanes: see the header.
//
// For every command the set of commands that are surely done when it begins is written out in full, from
// barriers, signals and waits alone; the planner's clocks are not used.
#include "compiler/placed-to-schedule/CheckLanes.h"

#include "llvm/ADT/BitVector.h"

#include <vector>

using namespace mlir;

namespace ktc {

namespace {

struct Access {
  size_t command;
  unsigned lane;
  bool isWrite;
};

// One buffer or persistent range and who accesses it, in program order.
struct Piece {
  Operation *op = nullptr;
  Attribute arena;
  uint64_t begin = 0, end = 0;
  std::vector<Access> accesses;
};

// Which commands are done when another begins.
class DoneBefore {
public:
  DoneBefore(const std::vector<Operation *> &commands, const LaneTable &lanes) {
    const size_t count = commands.size();
    std::vector<llvm::BitVector> settled(lanes.size(), llvm::BitVector(count)); // before the group
    std::vector<llvm::BitVector> group(lanes.size(), llvm::BitVector(count));   // of the group so far
    llvm::DenseMap<uint64_t, llvm::BitVector> raised;
    for (size_t i = 0; i < count; ++i) {
      const unsigned lane = lanes.index(commands[i]);
      if (lanes.isGpu(commands[i]) || commands[i]->hasAttr("barrier")) {
        settled[lane] |= group[lane];
        group[lane].reset();
      }
      if (auto wait = dyn_cast<sched::WaitOp>(commands[i]))
        if (auto found = raised.find(wait.getSignal()); found != raised.end())
          settled[lane] |= found->second;
      if (auto signal = dyn_cast<sched::SignalOp>(commands[i]))
        raised[signal.getSignal()] = settled[lane];
      done.push_back(settled[lane]);
      group[lane].set(i);
    }
  }

  bool operator()(size_t earlier, size_t later) const { return done[later].test(earlier); }

private:
  std::vector<llvm::BitVector> done;
};

std::vector<Piece> findPieces(sched::EntryOp entry, const std::vector<Operation *> &commands,
                              const LaneTable &lanes) {
  std::vector<Piece> pieces;
  llvm::DenseMap<Operation *, size_t> index;
  for (Operation &op : entry.getBody().front()) {
    Piece piece{&op, {}, 0, 0, {}};
    if (auto alloc = dyn_cast<sched::AllocOp>(op))
      piece = {&op, alloc.getArenaAttr(), *alloc.getOffset(), *alloc.getOffset() + alloc.getBytes(), {}};
    else if (auto fixed = dyn_cast<sched::FixedOp>(op))
      piece = {&op, fixed.getArenaAttr(), fixed.getOffset(), fixed.getOffset() + fixed.getBytes(), {}};
    else
      continue;
    index[&op] = pieces.size();
    pieces.push_back(std::move(piece));
  }
  for (size_t i = 0; i < commands.size(); ++i) {
    const sched::Accesses accesses = sched::accessesOf(commands[i]);
    auto note = [&](Value value, bool isWrite) {
      if (auto found = index.find(sched::baseOf(value).op); found != index.end())
        pieces[found->second].accesses.push_back({i, lanes.index(commands[i]), isWrite});
    };
    for (Value value : accesses.reads)
      note(value, false);
    for (Value value : accesses.writes)
      note(value, true);
  }
  return pieces;
}

// Accesses of different lanes to the same buffer, of which one writes, happen in program order.
LogicalResult checkOrder(const Piece &a, const Piece &b, const std::vector<Operation *> &commands,
                         const DoneBefore &doneBefore) {
  for (const Access &x : a.accesses)
    for (const Access &y : b.accesses) {
      const Access &first = x.command < y.command ? x : y, &second = x.command < y.command ? y : x;
      if (x.lane == y.lane || (!x.isWrite && !y.isWrite) || doneBefore(first.command, second.command))
        continue;
      auto error = commands[second.command]->emitOpError() << "accesses memory that a command of another lane ";
      error << (first.isWrite ? "writes" : "reads") << " without waiting for it";
      error.attachNote(commands[first.command]->getLoc()) << "the other command";
      return failure();
    }
  return success();
}

bool allBefore(const Piece &a, const Piece &b, const DoneBefore &doneBefore) {
  return llvm::all_of(a.accesses, [&](const Access &x) {
    return llvm::all_of(b.accesses, [&](const Access &y) {
      return x.lane == y.lane ? x.command < y.command : doneBefore(x.command, y.command);
    });
  });
}

bool usesSeveralLanes(const Piece &a, const Piece &b) {
  auto other = [&](const Access &access) { return access.lane != a.accesses.front().lane; };
  return llvm::any_of(a.accesses, other) || llvm::any_of(b.accesses, other);
}

} // namespace

LogicalResult checkLanes(sched::EntryOp entry, const LaneTable &lanes) {
  std::vector<Operation *> commands;
  for (Operation &op : entry.getBody().front())
    if (sched::isCommand(&op))
      commands.push_back(&op);
  const DoneBefore doneBefore(commands, lanes);
  std::vector<Piece> pieces = findPieces(entry, commands, lanes);
  std::erase_if(pieces, [](const Piece &piece) { return piece.accesses.empty(); });
  for (size_t i = 0; i < pieces.size(); ++i)
    for (size_t j = 0; j <= i; ++j) {
      const Piece &a = pieces[i], &b = pieces[j];
      if (a.arena != b.arena || a.begin >= b.end || b.begin >= a.end || !usesSeveralLanes(a, b))
        continue;
      const bool share = i != j && isa<sched::AllocOp>(a.op) && isa<sched::AllocOp>(b.op);
      if (!share && failed(checkOrder(a, b, commands, doneBefore)))
        return failure();
      if (share && !allBefore(a, b, doneBefore) && !allBefore(b, a, doneBefore))
        return a.op->emitOpError() << "shares bytes of @" << cast<FlatSymbolRefAttr>(a.arena).getValue()
                                   << " with the buffer at " << b.begin
                                   << ", but lanes may use both at the same time";
    }
  return success();
}

} // namespace ktc
