// sched-place-buffers: which memory a temporary buffer lies in.
#include "compiler/placed-to-schedule/LaneTable.h"
#include "compiler/placed-to-schedule/Passes.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/SetVector.h"

namespace ktc {

#define GEN_PASS_DEF_SCHEDPLACEBUFFERS
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

constexpr llvm::StringLiteral kMappedArena = "mapped";

struct PlaceBuffers : impl::SchedPlaceBuffersBase<PlaceBuffers> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    lanes.emplace(module);
    arenas.clear();
    own.clear();
    for (auto arena : module.getOps<sched::ArenaOp>()) {
      arenas[arena.getSymName()] = arena;
      if (arena.getKind() == "activation" && !arena.getMapped())
        own.insert({arena.getDevice(), arena});
    }
    for (auto entry : module.getOps<sched::EntryOp>()) {
      for (auto alloc : entry.getBody().getOps<sched::AllocOp>())
        if (failed(place(alloc)))
          return signalPassFailure();
      for (auto fixed : entry.getBody().getOps<sched::FixedOp>())
        if (failed(share(fixed)))
          return signalPassFailure();
    }
  }

  // The devices of the commands that access `buffer` or a view of it.
  void collectDevices(Value buffer, llvm::SetVector<StringRef> &devices) {
    for (Operation *user : buffer.getUsers())
      if (auto view = dyn_cast<sched::ViewOp>(user))
        collectDevices(view.getResult(), devices);
      else
        devices.insert(lanes->device(user));
  }

  LogicalResult place(sched::AllocOp alloc) {
    llvm::SetVector<StringRef> devices;
    collectDevices(alloc.getResult(), devices);
    if (devices.empty())
      return success(); // nobody uses it: the planner removes it
    sched::ArenaOp arena = devices.size() == 1 ? own.lookup(devices.front()) : mappedArena();
    if (!arena)
      return alloc.emitOpError() << "is used on @" << devices.front() << ", which has no activation arena";
    alloc.setArena(arena.getSymName());
    return success();
  }

  // Persistent memory of the host that a GPU accesses is mapped as a whole.
  LogicalResult share(sched::FixedOp fixed) {
    llvm::SetVector<StringRef> devices;
    collectDevices(fixed.getResult(), devices);
    sched::ArenaOp arena = arenas.lookup(fixed.getArena());
    for (StringRef device : devices) {
      if (device == arena.getDevice())
        continue;
      auto owner = getOperation().lookupSymbol<sched::DeviceOp>(arena.getDevice());
      if (!owner || owner.getKind() != "cpu")
        return fixed.emitOpError() << "lies on @" << arena.getDevice() << ", where @" << device
                                   << " cannot access it";
      arena.setMapped(true);
    }
    return success();
  }

  // The arena that all lanes reach, declared on first use.
  sched::ArenaOp mappedArena() {
    sched::ArenaOp &arena = arenas[kMappedArena];
    if (!arena)
      arena = declareMappedArena(getOperation(), kMappedArena, "activation", 0);
    return arena;
  }

  std::optional<LaneTable> lanes;
  llvm::StringMap<sched::ArenaOp> arenas;        // by name
  llvm::DenseMap<StringRef, sched::ArenaOp> own; // by device: for buffers that only the device uses
};

} // namespace
} // namespace ktc
