// GPUs of a plan and what lives there; see plan_gpus.h.
#include "runtime/cuda/plan_gpus.h"

#include "runtime/cuda/upload.h"
#include "runtime/plan/message.h"

#include <cinttypes>
#include <cstdlib>

namespace ktrt::cuda {

static constexpr uint64_t kWeightAlignment = 256;

static uint64_t aligned(uint64_t bytes) {
  return (bytes + kWeightAlignment - 1) / kWeightAlignment * kWeightAlignment;
}

static uint32_t sizeOf(const auto *vector) { return vector ? vector->size() : 0; }

static std::string sizeText(uint64_t bytes) {
  if (bytes < 1 << 20)
    return formatText("%" PRIu64 " bytes", bytes);
  return bytes < 1 << 30 ? formatText("%.1f MiB", double(bytes) / (1 << 20))
                         : formatText("%.2f GiB", double(bytes) / (1 << 30));
}

static bool isCuda(const plan::Plan &plan, uint32_t device) {
  return plan.devices()->Get(device)->kind() == plan::DeviceKind::Cuda;
}

kt::Result<std::unique_ptr<PlanGpus>> PlanGpus::open(const plan::PlanFile &file) {
  const plan::Plan &plan = file.plan();
  std::unique_ptr<PlanGpus> self(new PlanGpus(file));
  std::vector<bool> used(plan.devices()->size());
  for (const plan::Lane *lane : *plan.lanes())
    used[lane->device()] = true;
  for (uint32_t i = 0; i < sizeOf(plan.arenas()); ++i)
    used[plan.arenas()->Get(i)->device()] = true;
  for (uint32_t i = 0; i < sizeOf(plan.weights()); ++i)
    used[plan.weights()->Get(i)->device()] = true;
  bool any = false;
  for (uint32_t i = 0; i < used.size(); ++i)
    any |= used[i] = used[i] && isCuda(plan, i);
  if (!any)
    return std::unique_ptr<PlanGpus>();

  self->arenas.resize(sizeOf(plan.arenas()));
  self->gpus.resize(used.size());
  for (uint32_t i = 0; i < used.size(); ++i)
    if (used[i])
      if (kt::Status status = self->openGpu(i); !status)
        return failure("%s: device '%s': %s", file.path().c_str(), plan.devices()->Get(i)->name()->c_str(),
                       status.error().message.c_str());
  return self;
}

kt::Status PlanGpus::openGpu(uint32_t device) {
  const std::string_view name = file.plan().devices()->Get(device)->name()->string_view();
  const size_t colon = name.find(':');
  char *end = nullptr;
  const char *digits = colon == std::string_view::npos ? "" : name.data() + colon + 1; // ends with a zero byte
  const unsigned long ordinal = strtoul(digits, &end, 10);
  if (*digits == '\0' || *end != '\0')
    return failure("expected a name such as 'cuda:0'");
  if (!driver) {
    kt::Result<std::unique_ptr<const Driver>> loaded = Driver::load();
    if (!loaded)
      return loaded.error();
    driver = std::move(*loaded);
  }
  kt::Result<std::unique_ptr<Gpu>> gpu = Gpu::open(*driver, uint32_t(ordinal));
  if (!gpu)
    return gpu.error();
  gpus[device] = std::move(*gpu);
  return checkMemory(device);
}

kt::Status PlanGpus::checkMemory(uint32_t device) const {
  const plan::Plan &plan = file.plan();
  uint64_t weightBytes = 0, arenaBytes = 0;
  for (uint32_t i = 0; i < sizeOf(plan.weights()); ++i)
    if (plan.weights()->Get(i)->device() == device)
      weightBytes += aligned(plan.weights()->Get(i)->bytes());
  for (uint32_t i = 0; i < sizeOf(plan.arenas()); ++i)
    if (plan.arenas()->Get(i)->device() == device)
      arenaBytes += plan.arenas()->Get(i)->bytes();
  const Gpu &gpu = *gpus[device];
  kt::Result<MemoryInfo> memory = gpu.memoryInfo();
  if (!memory)
    return memory.error();
  const uint64_t budget = plan.devices()->Get(device)->budget_bytes();
  const std::string needs =
      formatText("%s needed on %s (%s of weights, %s of arenas)", sizeText(weightBytes + arenaBytes).c_str(),
                 gpu.name().c_str(), sizeText(weightBytes).c_str(), sizeText(arenaBytes).c_str());
  if (budget != 0 && weightBytes + arenaBytes > budget)
    return failure("%s, more than the plan's budget of %s", needs.c_str(), sizeText(budget).c_str());
  if (weightBytes + arenaBytes > memory->free)
    return failure("%s, but only %s of its %s are free", needs.c_str(), sizeText(memory->free).c_str(),
                   sizeText(memory->total).c_str());
  return {};
}

Gpu &PlanGpus::anyGpu() const {
  size_t i = 0;
  while (!gpus[i])
    ++i;
  return *gpus[i];
}

kt::Result<uint8_t *> PlanGpus::allocateArena(uint32_t index) {
  const plan::Arena &arena = *file.plan().arenas()->Get(index);
  const bool onGpu = isCuda(file.plan(), arena.device());
  if (!onGpu && !arena.mapped())
    return nullptr;
  const std::string what =
      formatText("%s: arenas[%u] ('%s')", file.path().c_str(), index, arena.name()->c_str());
  kt::Result<GpuMemory> memory = onGpu ? GpuMemory::onDevice(gpu(arena.device()), arena.bytes(), what)
                                       : GpuMemory::onHost(anyGpu(), arena.bytes(), what);
  if (!memory)
    return memory.error();
  arenas[index] = std::move(*memory);
  return arenas[index].data();
}

kt::Status PlanGpus::uploadWeights(WeightMap &weights, uint32_t threads) {
  const plan::Plan &plan = file.plan();
  std::vector<std::string> paths;
  for (const MappedFile &linked : weights.linkedFiles())
    paths.push_back(linked.path());
  paths.push_back(file.path());
  for (uint32_t device = 0; device < gpus.size(); ++device) {
    if (!gpus[device])
      continue;
    uint64_t total = 0;
    std::vector<UploadPiece> pieces;
    std::vector<uint32_t> indices;
    for (uint32_t i = 0; i < sizeOf(plan.weights()); ++i) {
      const plan::Weight &weight = *plan.weights()->Get(i);
      if (weight.device() != device)
        continue;
      const bool linked = weight.file() >= 0;
      const uint64_t base = linked ? 0 : file.sections()[size_t(weight.section())].offset;
      pieces.push_back({linked ? uint32_t(weight.file()) : uint32_t(paths.size() - 1), base + weight.offset(),
                        weight.bytes(), total});
      indices.push_back(i);
      total += aligned(weight.bytes());
    }
    kt::Result<GpuMemory> memory = GpuMemory::onDevice(
        gpu(device), total,
        formatText("%s: weights on '%s'", file.path().c_str(), plan.devices()->Get(device)->name()->c_str()));
    if (!memory)
      return memory.error();
    for (size_t i = 0; i < pieces.size(); ++i) {
      pieces[i].destination += reinterpret_cast<DeviceAddress>(memory->data());
      weights.setAddress(indices[i], reinterpret_cast<const uint8_t *>(pieces[i].destination));
    }
    UploadOptions options;
    options.threads = threads;
    if (kt::Status status = upload(gpu(device), paths, std::move(pieces), options); !status)
      return status;
    weightMemory.push_back(std::move(*memory));
  }
  return {};
}

GpuOperand PlanGpus::find(const plan::Operand *operand, const WeightMap &weights) const {
  if (!operand || operand->kind() == plan::OperandKind::None)
    return {};
  if (operand->kind() == plan::OperandKind::Weight)
    return {const_cast<uint8_t *>(weights.address(operand->index())) + operand->offset(), false};
  const plan::Arena &arena = *file.plan().arenas()->Get(operand->index());
  return {arenas[operand->index()].data() + operand->offset(), !isCuda(file.plan(), arena.device())};
}

} // namespace ktrt::cuda
