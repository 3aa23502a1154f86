// Toy plans with a GPU; see toy_gpu.h.
#include "test/runtime/cuda/toy_gpu.h"

#include <cstdlib>
#include <dlfcn.h>

namespace toy {

using namespace ktrt::plan;

static void addImage(Plan &plan, KernelT &kernel, const std::string &isa, const void *image, size_t bytes) {
  auto variant = std::make_unique<KernelVariantT>();
  variant->isa = isa;
  variant->section = Code;
  variant->offset = plan.code.size();
  variant->bytes = bytes;
  variant->early_start = isa.starts_with("sm_9");
  variant->launch = std::make_unique<Launch>(1, 1, 1, 32, 64 << 10);
  kernel.variants.push_back(std::move(variant));
  const uint8_t *data = static_cast<const uint8_t *>(image);
  plan.code.insert(plan.code.end(), data, data + bytes);
  plan.code.resize((plan.code.size() + 63) / 64 * 64);
}

void addGpuCode(Plan &plan, const std::string &isa, const std::string &name) {
  for (auto &kernel : plan.plan.kernels) {
    const std::string &text = name.empty() ? kernel->family : name;
    addImage(plan, *kernel, isa, text.data(), text.size());
  }
}

void addGpuImages(Plan &plan, const std::string &isa, const std::vector<std::vector<uint8_t>> &images) {
  for (size_t i = 0; i < images.size(); ++i)
    addImage(plan, *plan.plan.kernels[i], isa, images[i].data(), images[i].size());
}

void setGpuImage(Plan &plan, KernelT &kernel, const std::string &isa, const std::vector<uint8_t> &image) {
  std::erase_if(kernel.variants, [&](const auto &variant) { return variant->isa == isa; });
  addImage(plan, kernel, isa, image.data(), image.size());
}

CommandT after(CommandT command, std::vector<uint32_t> earlier) {
  command.after = std::move(earlier);
  return command;
}

static void setProgram(EntryT &entry, uint32_t lane, std::vector<CommandT> commands) {
  auto program = std::make_unique<LaneProgramT>();
  program->lane = lane;
  for (CommandT &command : commands)
    program->commands.push_back(std::make_unique<CommandT>(std::move(command)));
  entry.programs.push_back(std::move(program));
}

static CommandT storeOnGpu() {
  return dispatch(Store, {arena(Io, kTokensAt), arena(Io, kPositionsAt), arena(Cache)}, 0, 1, false);
}
static CommandT prefixOnGpu(Arena to, uint64_t at) {
  return dispatch(Prefix, {arena(Io, kPositionsAt), arena(Cache), weight(0), arena(to, at)}, 0, 1, false);
}
static CommandT logitsOnGpu() {
  return dispatch(Logits, {arena(Activations, kHiddenAt), arena(Io, kLogitsAt)}, kVocab, 0, false);
}
static CommandT moveOnCpu() {
  return copy(arena(Activations, kStagedAt), arena(Activations, kHiddenAt), 0, 4, false);
}

template <typename... Commands> static std::vector<CommandT> list(Commands... commands) {
  std::vector<CommandT> result;
  (result.push_back(std::move(commands)), ...);
  return result;
}

void makeHybrid(Plan &plan, bool fakeCode) {
  if (fakeCode)
    addGpuCode(plan, "sm_90a");
  PlanT &table = plan.plan;
  table.devices.push_back(std::make_unique<DeviceT>());
  table.devices[kGpuDevice]->name = "cuda:0";
  table.devices[kGpuDevice]->kind = DeviceKind::Cuda;
  table.lanes.push_back(std::make_unique<LaneT>());
  table.lanes[kGpuLane]->name = "gpu";
  table.lanes[kGpuLane]->kind = LaneKind::CudaStream;
  table.lanes[kGpuLane]->device = kGpuDevice;
  table.arenas[Cache]->device = kGpuDevice;
  table.arenas[Io]->mapped = table.arenas[Activations]->mapped = true;
  table.weights[0]->device = kGpuDevice;
  for (Entry index : {Decode1, Decode2}) {
    EntryT &entry = *table.entries[index];
    entry.programs.clear();
    entry.signals = 2;
    setProgram(entry, kCpuLane, list(wait(0), moveOnCpu(), signal(1, true)));
    setProgram(entry, kGpuLane,
               list(storeOnGpu(), after(prefixOnGpu(Activations, kStagedAt), {0}), after(signal(0, false), {1}),
                    fill(arena(Io, kLogitsAt), 0, 4 * kVocab, 0xff, false), wait(1),
                    after(logitsOnGpu(), {3, 4})));
  }
  EntryT &prefill = *table.entries[Prefill], &head = *table.entries[Head];
  prefill.programs.clear();
  prefill.signals = 1;
  setProgram(prefill, kCpuLane, list(wait(0), moveOnCpu()));
  setProgram(prefill, kGpuLane,
             list(storeOnGpu(), after(prefixOnGpu(Activations, kStagedAt), {0}), after(signal(0, false), {1})));
  head.programs.clear();
  setProgram(head, kCpuLane, {});
  setProgram(head, kGpuLane, list(logitsOnGpu()));
}

void leaveLogitsOnGpu(Plan &plan) {
  PlanT &table = plan.plan;
  const Arena own = Arena(table.arenas.size());
  table.arenas.push_back(std::make_unique<ArenaT>());
  table.arenas[own]->name = "io.gpu";
  table.arenas[own]->kind = ArenaKind::Io;
  table.arenas[own]->device = kGpuDevice;
  table.arenas[own]->bytes = kHead * kVocab * 4;
  const Kernel best = Kernel(table.kernels.size());
  table.kernels.push_back(std::make_unique<KernelT>());
  table.kernels[best]->name = "toy_best";
  table.kernels[best]->family = "best";
  addImage(plan, *table.kernels[best], "sm_90a", "best", 4);
  const uint64_t idsAt = kLogitsAt, valuesAt = idsAt + kHead * kBest * 4, sumsAt = valuesAt + kHead * kBest * 4;
  for (Entry index : {Decode1, Decode2, Head}) {
    EntryT &entry = *table.entries[index];
    auto &commands = entry.programs[kGpuLane]->commands;
    for (auto &command : commands)
      if (FillT *fill = command->body.AsFill())
        fill->destination = std::make_unique<Operand>(arena(own));
    commands.back()->body.AsDispatch()->operands[1] = arena(own);
    commands.push_back(std::make_unique<CommandT>(after(
        dispatch(best, {arena(own), arena(Io, idsAt), arena(Io, valuesAt), arena(Io, sumsAt)}, 0, 1, false),
        {uint32_t(commands.size() - 1)})));
    entry.logits = std::make_unique<Operand>(arena(own));
    entry.best_count = kBest;
    entry.best_ids = std::make_unique<Operand>(arena(Io, idsAt));
    entry.best_logits = std::make_unique<Operand>(arena(Io, valuesAt));
    entry.best_sums = std::make_unique<Operand>(arena(Io, sumsAt));
  }
}

kt::Result<std::unique_ptr<ktrt::Session>> open(Plan &plan, const TemporaryDirectory &directory,
                                                uint32_t timeoutMillis, bool pinThreads) {
  ktrt::SessionOptions options;
  options.threads = 2;
  options.pinThreads = pinThreads;
  options.signalTimeoutMillis = timeoutMillis;
  return ktrt::Session::open(plan.write(directory.path), options);
}

} // namespace toy

#ifdef FAKE_CUDA_DRIVER
FakeGpuTest::FakeGpuTest() {
  setenv("KTRT_CUDA_DRIVER", FAKE_CUDA_DRIVER, 1);
  unsetenv("KTRT_HANDOVER");
  unsetenv("KTRT_GRAPH");
  void *library = dlopen(FAKE_CUDA_DRIVER, RTLD_NOW);
  EXPECT_NE(library, nullptr) << dlerror();
  gpu = reinterpret_cast<fake::Access>(dlsym(library, "fakeCuda"))(true);
}

FakeGpuTest::~FakeGpuTest() {
  gpu->stop = true;
  unsetenv("KTRT_CUDA_DRIVER");
  unsetenv("KTRT_HANDOVER");
  unsetenv("KTRT_GRAPH");
}

void FakeGpuTest::expectAllReleased() const {
  EXPECT_EQ(gpu->deviceAllocations, 0u);
  EXPECT_EQ(gpu->hostAllocations, 0u);
  EXPECT_EQ(gpu->objects, 0u);
}
#endif
