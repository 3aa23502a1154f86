// LaneTable: see the header.
#include "compiler/placed-to-schedule/LaneTable.h"

#include "mlir/IR/Builders.h"

using namespace mlir;

namespace ktc {

LaneTable::LaneTable(ModuleOp module) {
  llvm::StringMap<bool> isGpu;
  for (auto device : module.getOps<sched::DeviceOp>())
    isGpu[device.getSymName()] = device.getKind() == "cuda";
  unsigned count = 0;
  for (auto lane : module.getOps<sched::LaneOp>())
    lanes.insert({FlatSymbolRefAttr::get(lane.getSymNameAttr()),
                  {count++, isGpu.lookup(lane.getDevice()), lane.getDevice()}});
}

sched::ArenaOp declareMappedArena(ModuleOp module, StringRef name, StringRef kind, int64_t bytes) {
  sched::ArenaOp last;
  StringRef host;
  for (auto arena : module.getOps<sched::ArenaOp>())
    last = arena;
  for (auto device : module.getOps<sched::DeviceOp>())
    if (device.getKind() == "cpu")
      host = device.getSymName();
  OpBuilder builder(last);
  builder.setInsertionPointAfter(last);
  return builder.create<sched::ArenaOp>(last.getLoc(), name, kind, host, bytes, true);
}

} // namespace ktc
