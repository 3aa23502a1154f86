// Choosing and loading GPU code; see module.h.
#include "runtime/cuda/module.h"

#include "runtime/plan/message.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace ktrt::cuda {

static constexpr uint32_t kSharedWithoutAsking = 48 << 10; // bytes that every kernel may use

// How well code for `isa` suits: 0 if it does not run.
static uint32_t suitability(std::string_view isa, uint32_t sm) {
  constexpr uint32_t exact = 3000, native = 2000, text = 1000;
  const bool ptx = isa.substr(0, 8) == "compute_";
  if (!ptx && isa.substr(0, 3) != "sm_")
    return 0;
  const std::string number(isa.substr(ptx ? 8 : 3));
  char *end = nullptr;
  const unsigned long made = strtoul(number.c_str(), &end, 10);
  if (end == number.c_str() || made > sm)
    return 0;
  if (*end != '\0') // "a": features of this one architecture
    return made == sm ? (ptx ? native : exact) : 0;
  if (ptx)
    return text + uint32_t(made);
  return made / 10 == sm / 10 ? native + uint32_t(made) : 0;
}

const plan::KernelVariant *chooseVariant(const plan::Kernel &kernel, uint32_t sm) {
  const plan::KernelVariant *best = nullptr;
  uint32_t most = 0;
  for (const plan::KernelVariant *variant : *kernel.variants())
    if (uint32_t suits = suitability(variant->isa()->string_view(), sm); suits > most) {
      most = suits;
      best = variant;
    }
  return best;
}

// What there is for GPUs: "sm_80, compute_90".
static std::string gpuVariants(const plan::Kernel &kernel) {
  std::string names;
  for (const plan::KernelVariant *variant : *kernel.variants())
    if (std::string_view isa = variant->isa()->string_view();
        isa.substr(0, 3) == "sm_" || isa.substr(0, 8) == "compute_")
      names += (names.empty() ? "" : ", ") + std::string(isa);
  return names.empty() ? "none for GPUs" : names;
}

kt::Result<GpuKernels> GpuKernels::load(const plan::PlanFile &file, uint32_t lane, Gpu &gpu) {
  const plan::Plan &plan = file.plan();
  GpuKernels set;
  set.gpu = &gpu;
  set.kernels.resize(plan.kernels() ? plan.kernels()->size() : 0);
  for (const plan::Entry *entry : *plan.entries())
    for (const plan::LaneProgram *program : *entry->programs())
      for (uint32_t i = 0; program->lane() == lane && program->commands() && i < program->commands()->size();
           ++i)
        if (const plan::Dispatch *dispatch = program->commands()->Get(i)->body_as_Dispatch()) {
          Loaded &loaded = set.kernels[dispatch->kernel()];
          const plan::Kernel &kernel = *plan.kernels()->Get(dispatch->kernel());
          if (loaded.variant)
            continue;
          loaded.variant = chooseVariant(kernel, gpu.sm());
          if (!loaded.variant)
            return failure(
                "%s: kernels[%u] ('%s') has no code for %s, which is sm_%u; the plan has %s. Compile it "
                "for this GPU",
                file.path().c_str(), dispatch->kernel(), kernel.name()->c_str(), gpu.name().c_str(), gpu.sm(),
                gpuVariants(kernel).c_str());
        }
  gpu.makeCurrent();
  for (uint32_t i = 0; i < set.kernels.size(); ++i)
    if (set.kernels[i].variant)
      if (kt::Status status = set.loadImage(file, i); !status)
        return failure("%s: kernels[%u] ('%s') on %s: %s", file.path().c_str(), i,
                       plan.kernels()->Get(i)->name()->c_str(), gpu.name().c_str(),
                       status.error().message.c_str());
  return set;
}

kt::Status GpuKernels::loadImage(const plan::PlanFile &file, uint32_t index) {
  Loaded &kernel = kernels[index];
  const plan::KernelVariant &variant = *kernel.variant;
  const Driver &driver = gpu->driver();
  auto image = std::find_if(images.begin(), images.end(), [&](const Image &known) {
    return known.section == variant.section() && known.offset == variant.offset();
  });
  if (image == images.end()) {
    // PTX is text and has to end with a zero byte, which the plan does not promise.
    const uint8_t *code = file.section(variant.section()) + variant.offset();
    const std::string text(reinterpret_cast<const char *>(code), variant.bytes());
    Module module = nullptr;
    if (kt::Status status = driver.check(driver.moduleLoadData(&module, text.c_str()), "cuModuleLoadData");
        !status)
      return status;
    images.push_back({variant.section(), variant.offset(), nullptr, module, kSharedWithoutAsking});
    image = images.end() - 1;
    if (kt::Status status = driver.check(driver.moduleGetFunction(&image->function, module, "kernel"),
                                         "cuModuleGetFunction(\"kernel\")");
        !status)
      return status;
  }
  kernel.function = image->function;
  const uint32_t shared = variant.launch()->shared_bytes();
  if (shared <= image->sharedBytes)
    return {};
  image->sharedBytes = shared;
  return driver.check(driver.functionSetAttribute(kernel.function, kMaxDynamicSharedBytes, int(shared)),
                      "cuFuncSetAttribute(maximum of dynamic shared memory)");
}

GpuKernels &GpuKernels::operator=(GpuKernels &&other) noexcept {
  std::swap(gpu, other.gpu);
  std::swap(kernels, other.kernels);
  std::swap(images, other.images);
  return *this;
}

GpuKernels::~GpuKernels() {
  if (!gpu || gpu->abandoned())
    return;
  gpu->makeCurrent();
  for (const Image &image : images)
    gpu->driver().moduleUnload(image.module);
}

} // namespace ktrt::cuda
