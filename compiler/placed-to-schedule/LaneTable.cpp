// LaneTable: see the header.
#include "compiler/placed-to-schedule/LaneTable.h"

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

} // namespace ktc
