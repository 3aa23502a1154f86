// What a schedule needs of the memory of each device, and whether it fits.
#pragma once

#include "compiler/policy/cost.h"

#include "mlir/IR/BuiltinOps.h"

namespace ktc {

// Bytes per device of a complete schedule: the weights, derived weights and constants that its commands read,
// each counted once per device, and its arenas. In the order of the schedule's devices.
std::vector<policy::DeviceMemory> memoryPerDevice(mlir::ModuleOp module);

// An error if a GPU is to hold more than `table` says it may: its budget, or without one the room that the
// machine's description gives it. Says what takes the space.
kt::Status checkMemory(const std::vector<policy::DeviceMemory> &memory, const policy::PlacementTable &table);

// Writes the budgets that rules or options set into the devices of the schedule.
void setBudgets(mlir::ModuleOp module, const policy::PlacementTable &table);

} // namespace ktc
