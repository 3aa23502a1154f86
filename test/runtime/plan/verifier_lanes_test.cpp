// What the verifier says about GPU lanes: a good plan with two lanes, one edit each, and the message it must
// give.
#include "runtime/plan/verifier.h"

#include "runtime/plan/dump.h"
#include "runtime/plan/reader.h"
#include "toy_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace ktrt::plan;
using namespace toy;

namespace {

// Indices of what hybridPlan adds.
enum : uint32_t { GpuDevice = 1, GpuLane = 1, DeviceArena = 3, MappedArena = 4, GpuKernel = 3, GpuWeight = 1 };

std::unique_ptr<ArenaT> makeArena(const char *name, uint32_t device, bool mapped) {
  auto arena = std::make_unique<ArenaT>();
  arena->name = name;
  arena->device = device;
  arena->bytes = 256;
  arena->mapped = mapped;
  return arena;
}

std::unique_ptr<KernelT> gpuKernel() {
  auto kernel = std::make_unique<KernelT>();
  kernel->name = "toy_gpu";
  kernel->family = "gpu";
  auto variant = std::make_unique<KernelVariantT>();
  variant->isa = "sm_90a";
  variant->section = Code;
  variant->bytes = 16;
  variant->launch = std::make_unique<Launch>(132, 2, 1, 256, 65536);
  kernel->variants.push_back(std::move(variant));
  return kernel;
}

Operand operand(OperandKind kind, uint32_t index, uint64_t offset = 0) { return {kind, index, offset}; }

// The toy plan with a GPU whose lane runs kernel, signal, kernel, copy in decode_1.
toy::Plan hybridPlan() {
  toy::Plan toy;
  PlanT &plan = toy.plan;
  plan.devices.push_back(std::make_unique<DeviceT>());
  plan.devices[GpuDevice]->name = "cuda:0";
  plan.devices[GpuDevice]->kind = DeviceKind::Cuda;
  plan.lanes.push_back(std::make_unique<LaneT>());
  plan.lanes[GpuLane]->name = "gpu";
  plan.lanes[GpuLane]->kind = LaneKind::CudaStream;
  plan.lanes[GpuLane]->device = GpuDevice;
  plan.arenas.push_back(makeArena("device", GpuDevice, false));
  plan.arenas.push_back(makeArena("mapped", 0, true));
  plan.kernels.push_back(gpuKernel());
  plan.weights.push_back(std::make_unique<WeightT>(*plan.weights[0]));
  plan.weights[GpuWeight]->name = "gpu_bias";
  plan.weights[GpuWeight]->device = GpuDevice;

  EntryT &entry = *plan.entries[Decode1];
  entry.signals = 1;
  entry.programs.push_back(std::make_unique<LaneProgramT>());
  entry.programs[1]->lane = GpuLane;
  auto add = [&](CommandT command, std::vector<uint32_t> after) {
    command.after = std::move(after);
    entry.programs[1]->commands.push_back(std::make_unique<CommandT>(std::move(command)));
  };
  const Operand device = operand(OperandKind::Arena, DeviceArena),
                mapped = operand(OperandKind::Arena, MappedArena);
  const Operand bias = operand(OperandKind::Weight, GpuWeight);
  add(dispatch(toy::Kernel(GpuKernel), {device, bias, mapped}, 0, 0, false), {});
  add(signal(0, false), {0});
  add(dispatch(toy::Kernel(GpuKernel), {device}, 0, 0, false), {0});
  add(toy::copy(device, mapped, 16, 0, false), {0, 2});
  return toy;
}

struct Edit {
  PlanT &plan;
  KernelVariantT &variant = *plan.kernels[GpuKernel]->variants[0];
  std::vector<CommandT *> cpu = commandsOf(*plan.entries[Decode1]); // store, prefix, copy, fill, logits
  std::vector<CommandT *> gpu = commandsOf(*plan.entries[Decode1], 1);

  void launch(Launch launch) { *variant.launch = launch; }
  Operand &gpuOperand(size_t index) { return gpu[0]->body.AsDispatch()->operands[index]; }
};

struct Case {
  const char *name;
  const char *message; // how it begins, after the path
  void (*edit)(Edit &);
};

const Case cases[] = {
    {"MappedOnGpu", "arenas[3] ('device') is mapped, but not in the memory of a CPU device",
     [](Edit &edit) { edit.plan.arenas[DeviceArena]->mapped = true; }},
    {"TargetWithoutNumber", "kernels[3].variants[0]: unknown ISA 'sm_'",
     [](Edit &edit) { edit.variant.isa = "sm_"; }},
    {"TargetNumber", "kernels[3].variants[0]: unknown ISA 'compute_8x'",
     [](Edit &edit) { edit.variant.isa = "compute_8x"; }},
    {"NoLaunch", "kernels[3].variants[0]: no launch, which sm_90a code needs",
     [](Edit &edit) { edit.variant.launch.reset(); }},
    {"LaunchOfCpuCode", "kernels[0].variants[0]: a launch, which avx2 code has not",
     [](Edit &edit) { edit.plan.kernels[0]->variants[0]->launch = std::make_unique<Launch>(1, 1, 1, 32, 0); }},
    {"Scratch", "kernels[3].variants[0]: scratch per thread, which sm_90a code has not",
     [](Edit &edit) { edit.variant.scratch_bytes = 64; }},
    {"GridX", "kernels[3].variants[0].launch.grid_x is 0, expected 1 to 2147483647",
     [](Edit &edit) { edit.launch({0, 1, 1, 32, 0}); }},
    {"GridY", "kernels[3].variants[0].launch.grid_y is 65536, expected 1 to 65535",
     [](Edit &edit) { edit.launch({1, 65536, 1, 32, 0}); }},
    {"GridZ", "kernels[3].variants[0].launch.grid_z is 0, expected 1 to 65535",
     [](Edit &edit) { edit.launch({1, 1, 0, 32, 0}); }},
    {"Threads", "kernels[3].variants[0].launch.threads is 1025, expected 1 to 1024",
     [](Edit &edit) { edit.launch({1, 1, 1, 1025, 0}); }},
    {"Shared", "kernels[3].variants[0].launch.shared_bytes is 232449, expected 0 to 232448",
     [](Edit &edit) { edit.launch({1, 1, 1, 32, 232449}); }},
    {"AfterOnCpu", "entries[0].programs[0].commands[1].after: lane 'cpu' is no CUDA stream",
     [](Edit &edit) { edit.cpu[1]->after = {0}; }},
    {"AfterItself", "entries[0].programs[1].commands[2].after[0] is 2, expected less than 2",
     [](Edit &edit) { edit.gpu[2]->after = {2}; }},
    {"AfterUnordered", "entries[0].programs[1].commands[3].after[1] is 0, expected more than the 2 before it",
     [](Edit &edit) { edit.gpu[3]->after = {2, 0}; }},
    {"AfterTwice", "entries[0].programs[1].commands[3].after[1] is 2, expected more than the 2 before it",
     [](Edit &edit) { edit.gpu[3]->after = {2, 2}; }},
    {"CpuKernelOnGpu",
     "entries[0].programs[1].commands[0]: kernel 'toy_store' has no GPU code, which lane 'gpu' runs",
     [](Edit &edit) { edit.gpu[0]->body.AsDispatch()->kernel = Store; }},
    {"GpuKernelOnCpu",
     "entries[0].programs[0].commands[0]: kernel 'toy_gpu' has no CPU code, which lane 'cpu' runs",
     [](Edit &edit) { edit.cpu[0]->body.AsDispatch()->kernel = GpuKernel; }},
    {"GpuOperands", "entries[0].programs[1].commands[0] has 17 operands, expected at most 16",
     [](Edit &edit) { edit.gpu[0]->body.AsDispatch()->operands.resize(17); }},
    {"HostArena",
     "entries[0].programs[1].commands[0].operands[0]: on device 'cpu', which lane 'gpu' cannot reach",
     [](Edit &edit) { edit.gpuOperand(0) = arena(Cache); }},
    {"HostWeight",
     "entries[0].programs[1].commands[0].operands[1]: on device 'cpu', which lane 'gpu' cannot reach",
     [](Edit &edit) { edit.gpuOperand(1) = toy::weight(0); }},
    {"OtherGpu",
     "entries[0].programs[1].commands[0].operands[0]: on device 'cuda:1', which lane 'gpu' cannot reach",
     [](Edit &edit) {
       edit.plan.devices.push_back(std::make_unique<DeviceT>(*edit.plan.devices[GpuDevice]));
       edit.plan.devices[2]->name = "cuda:1";
       edit.plan.arenas[DeviceArena]->device = 2;
     }},
    {"GpuArenaOnCpu",
     "entries[0].programs[0].commands[0].operands[2]: on device 'cuda:0', which lane 'cpu' cannot reach",
     [](Edit &edit) {
       edit.cpu[0]->body.AsDispatch()->operands[2] = operand(OperandKind::Arena, DeviceArena);
     }},
    {"GpuWeightOnCpu",
     "entries[0].programs[0].commands[1].operands[2]: on device 'cuda:0', which lane 'cpu' cannot reach",
     [](Edit &edit) { edit.cpu[1]->body.AsDispatch()->operands[2] = toy::weight(GpuWeight); }},
    {"CpuCopiesFromGpu",
     "entries[0].programs[0].commands[2].source: on device 'cuda:0', which lane 'cpu' cannot reach",
     [](Edit &edit) { *edit.cpu[2]->body.AsCopy()->source = operand(OperandKind::Arena, DeviceArena); }},
    {"GpuCopiesToHost",
     "entries[0].programs[1].commands[3].destination: on device 'cpu', which lane 'gpu' cannot reach",
     [](Edit &edit) { *edit.gpu[3]->body.AsCopy()->destination = arena(Cache); }},
    {"CpuFillsGpu",
     "entries[0].programs[0].commands[3].destination: on device 'cuda:0', which lane 'cpu' cannot reach",
     [](Edit &edit) { *edit.cpu[3]->body.AsFill()->destination = operand(OperandKind::Arena, DeviceArena); }},
    {"PositionsOnGpu", "entries[0].positions is not in the memory of a CPU device",
     [](Edit &edit) { *edit.plan.entries[Decode1]->positions = operand(OperandKind::Arena, DeviceArena); }},
    {"BestOnGpu", "entries[0].best_ids is not in the memory of a CPU device",
     [](Edit &edit) {
       EntryT &entry = *edit.plan.entries[Decode1];
       entry.best_count = 1;
       entry.best_ids = std::make_unique<Operand>(operand(OperandKind::Arena, DeviceArena));
     }},
};

class LanesTest : public testing::TestWithParam<Case> {};

TEST_P(LanesTest, Refuses) {
  TemporaryDirectory directory;
  toy::Plan plan = hybridPlan();
  Edit edit{plan.plan};
  GetParam().edit(edit);
  const std::string path = plan.write(directory.path);
  auto file = PlanFile::open(path);
  ASSERT_FALSE(file);
  const std::string expected = path + ": " + GetParam().message;
  EXPECT_EQ(file.error().message.substr(0, expected.size()), expected);
}

INSTANTIATE_TEST_SUITE_P(Branches, LanesTest, testing::ValuesIn(cases),
                         [](const auto &info) { return std::string(info.param.name); });

TEST(Lanes, AcceptsAndDumpsAHybrid) {
  TemporaryDirectory directory;
  toy::Plan plan = hybridPlan();
  plan.plan.kernels[GpuKernel]->variants.push_back(
      std::make_unique<KernelVariantT>(*plan.plan.kernels[GpuKernel]->variants[0]));
  plan.plan.kernels[GpuKernel]->variants[1]->isa = "compute_80";
  auto file = PlanFile::open(plan.write(directory.path));
  ASSERT_TRUE(file) << file.error().message;
  const std::string text = dumpPlan(*file);
  for (const char *line : {
           "\ndevice[1] 'cuda:0' cuda budget 0 planned 0\n",
           "\nlane[1] 'gpu' cuda_stream device 1\n",
           "\narena[3] 'device' activation device 1 bytes 256\n",
           "\narena[4] 'mapped' activation device 0 bytes 256 mapped\n",
           "\n  sm_90a section[1]+0x0 bytes 16 grid 132x2x1 threads 256 shared 65536\n  compute_80 "
           "section[1]+0x0 ",
           "\n    [1] after 0; signal 0\n",
           "\n    [3] after 0,2; copy arena[3]+0x0 -> arena[4]+0x0 bytes 16 + 0/token\n",
       })
    EXPECT_THAT(text, testing::HasSubstr(line));
}

} // namespace
