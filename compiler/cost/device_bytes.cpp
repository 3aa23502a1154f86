// See device_bytes.h.
#include "compiler/cost/device_bytes.h"

#include "compiler/policy/units.h"
#include "dialects/schedule/Schedule.h"

#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace ktc {

using policy::DeviceMemory;

// Bytes of a weight, derived weight or constant; 0 for anything else.
static uint64_t symbolBytes(Operation *op) {
  if (auto weight = dyn_cast_or_null<model::WeightOp>(op))
    return weight.getBytes();
  if (auto derived = dyn_cast_or_null<model::DerivedWeightOp>(op))
    return quant::tensorBytes(cast<RankedTensorType>(derived.getType()));
  if (auto constant = dyn_cast_or_null<sched::ConstantOp>(op))
    return constant.getBytes();
  return 0;
}

static DeviceMemory &find(std::vector<DeviceMemory> &memory, StringRef device) {
  for (DeviceMemory &entry : memory)
    if (entry.device == device)
      return entry;
  return memory.emplace_back(DeviceMemory{device.str(), 0, 0, 0, 0});
}

static void addWeights(ModuleOp module, std::vector<DeviceMemory> &memory) {
  SymbolTable symbols(module);
  llvm::StringMap<StringRef> deviceOfLane;
  for (auto lane : module.getOps<sched::LaneOp>())
    deviceOfLane[lane.getSymName()] = lane.getDevice();
  llvm::StringMap<llvm::StringSet<>> seen; // by device
  module.walk([&](sched::DispatchOp dispatch) {
    StringRef device = deviceOfLane.lookup(dispatch.getLane());
    for (Value operand : dispatch.getOperands())
      if (auto weight = dyn_cast_or_null<sched::WeightOp>(sched::baseOf(operand).op))
        if (seen[device].insert(weight.getSymbol()).second)
          find(memory, device).weights += symbolBytes(symbols.lookup(weight.getSymbol()));
  });
}

std::vector<DeviceMemory> memoryPerDevice(ModuleOp module) {
  std::vector<DeviceMemory> memory;
  for (auto device : module.getOps<sched::DeviceOp>())
    find(memory, device.getSymName());
  addWeights(module, memory);
  for (auto arena : module.getOps<sched::ArenaOp>()) {
    DeviceMemory &entry = find(memory, arena.getDevice());
    (arena.getKind() == "kv_cache" ? entry.kvCache
     : arena.getKind() == "io"     ? entry.io
                                   : entry.activations) += arena.getBytes();
  }
  return memory;
}

kt::Status checkMemory(const std::vector<DeviceMemory> &memory, const policy::PlacementTable &table) {
  for (const DeviceMemory &entry : memory)
    for (const policy::DeviceUse &use : table.devices) {
      const bool known = use.explicitBudget || use.budget != 0;
      if (use.device != entry.device || !policy::isGpu(use.device) || !known || entry.total() <= use.budget)
        continue;
      return kt::Error{"the " + std::string(use.explicitBudget ? "budget" : "memory") + " of " + use.device +
                       " is exceeded: " + policy::formatBytes(entry.total()) + " of " +
                       policy::formatBytes(use.budget) + ": weights " + policy::formatBytes(entry.weights) +
                       ", KV cache " + policy::formatBytes(entry.kvCache) + ", buffers " +
                       policy::formatBytes(entry.activations + entry.io) +
                       "; a smaller --ctx or --chunk or rules that place less there need less"};
    }
  return {};
}

void setBudgets(ModuleOp module, const policy::PlacementTable &table) {
  for (auto device : module.getOps<sched::DeviceOp>())
    for (const policy::DeviceUse &use : table.devices)
      if (use.explicitBudget && device.getSymName() == use.device)
        device.setBudget(use.budget);
}

} // namespace ktc
