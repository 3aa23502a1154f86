// The kernels of a plan for one GPU: picks one variant of each and loads its code.
#pragma once

#include "runtime/cuda/gpu.h"
#include "runtime/plan/reader.h"

#include <vector>

namespace ktrt::cuda {

// The variant of `kernel` that runs best on a GPU of compute capability `sm` (90 for 9.0), or null if none
// runs: code for exactly this GPU ("sm_90a"), code for the nearest lower one of the same major version ("sm_80"
// on 8.6), PTX that is not newer ("compute_80").
const plan::KernelVariant *chooseVariant(const plan::Kernel &kernel, uint32_t sm);

// Loaded code of the kernels that one lane dispatches. The GPU outlives it. Movable.
class GpuKernels {
public:
  // Loads what lane `lane` of the plan dispatches. The error names the GPU, what it is, and what the plan has.
  static kt::Result<GpuKernels> load(const plan::PlanFile &file, uint32_t lane, Gpu &gpu);

  GpuKernels() = default;
  GpuKernels(GpuKernels &&) = default;
  GpuKernels &operator=(GpuKernels &&other) noexcept;
  ~GpuKernels();

  // Entry point and launch of kernel `index`, which the lane dispatches.
  Function function(uint32_t index) const { return kernels[index].function; }
  const plan::Launch &launch(uint32_t index) const { return *kernels[index].variant->launch(); }
  // KernelVariant.early_start of its code.
  bool startsEarly(uint32_t index) const { return kernels[index].variant->early_start(); }

private:
  struct Loaded {
    const plan::KernelVariant *variant = nullptr;
    Function function = nullptr;
  };
  struct Image {
    uint32_t section;
    uint64_t offset;
    Function function;
    Module module;
    uint32_t sharedBytes;
  };
  kt::Status loadImage(const plan::PlanFile &file, uint32_t kernel);

  Gpu *gpu = nullptr;
  std::vector<Loaded> kernels; // as in the plan
  std::vector<Image> images;   // by place in the plan: kernels with equal code share one
};

} // namespace ktrt::cuda
