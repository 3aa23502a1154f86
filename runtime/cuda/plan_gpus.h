// The GPUs that a plan uses, and everything of the plan that lives where they see it: their weights and arenas,
// and pinned host memory.
#pragma once

#include "runtime/cuda/gpu.h"
#include "runtime/memory/weights.h"
#include "runtime/plan/reader.h"

#include <vector>

namespace ktrt::cuda {

// Where a GPU finds an operand.
struct GpuOperand {
  uint8_t *address = nullptr; // null: none
  bool host = false;          // pinned host memory
};

class PlanGpus {
public:
  // Opens the driver and the GPUs that hold or do something in `file`, and checks that everything planned for
  // each fits its free memory and the plan's budget. Null if the plan uses no GPU: then no driver is needed.
  static kt::Result<std::unique_ptr<PlanGpus>> open(const plan::PlanFile &file);

  // The GPU of device `device` of the plan, which is used.
  Gpu &gpu(uint32_t device) const { return *gpus[device]; }
  // Any of them, for pinned memory.
  Gpu &anyGpu() const;

  // Allocates arena `index` if it lives on a GPU or is seen by one; null if it is ordinary memory of the host.
  kt::Result<uint8_t *> allocateArena(uint32_t index);
  // Copies the weights of all GPUs there, read by `threads` threads, and sets their addresses in `weights`.
  kt::Status uploadWeights(WeightMap &weights, uint32_t threads);

  // An operand of a GPU lane. Verified, so its GPU sees it.
  GpuOperand find(const plan::Operand *operand, const WeightMap &weights) const;

private:
  explicit PlanGpus(const plan::PlanFile &file) : file(file) {}
  kt::Status openGpu(uint32_t device);
  kt::Status checkMemory(uint32_t device) const;

  const plan::PlanFile &file;
  std::unique_ptr<const Driver> driver;
  std::vector<std::unique_ptr<Gpu>> gpus; // by device of the plan; null for those not used
  std::vector<GpuMemory> arenas;          // by arena; empty for ordinary memory
  std::vector<GpuMemory> weightMemory;
};

} // namespace ktrt::cuda
