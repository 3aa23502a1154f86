// LaneTable: the lanes of a schedule, for passes that look at many commands.
#pragma once

#include "dialects/schedule/Schedule.h"

#include "llvm/ADT/MapVector.h"

namespace ktc {

class LaneTable {
public:
  explicit LaneTable(mlir::ModuleOp module);

  size_t size() const { return lanes.size(); }
  // Number of the command's lane, in the order of declaration.
  unsigned index(mlir::Operation *command) const { return lanes.find(command->getAttr("lane"))->second.index; }
  // True if the command runs on a GPU.
  bool isGpu(mlir::Operation *command) const { return lanes.find(command->getAttr("lane"))->second.isGpu; }
  // The device of the command's lane.
  llvm::StringRef device(mlir::Operation *command) const {
    return lanes.find(command->getAttr("lane"))->second.device;
  }

  // By index: whether the lane is a GPU's.
  llvm::SmallVector<bool> gpuFlags() const {
    llvm::SmallVector<bool> flags;
    for (const auto &[name, lane] : lanes)
      flags.push_back(lane.isGpu);
    return flags;
  }

private:
  struct Lane {
    unsigned index = 0;
    bool isGpu = false;
    llvm::StringRef device;
  };
  llvm::MapVector<mlir::Attribute, Lane> lanes; // by the symbol reference that commands have
};

// Declares an arena of the host that GPU lanes access too, behind the other arenas of `module`.
sched::ArenaOp declareMappedArena(mlir::ModuleOp module, llvm::StringRef name, llvm::StringRef kind,
                                  int64_t bytes);

} // namespace ktc
