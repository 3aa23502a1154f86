// Sessions with a CPU and a GPU lane on the fake driver: results, hand-over of every kind, and everything that
// can go wrong with a GPU.
#include "test/runtime/cuda/hybrid_session.h"

#include <chrono>

using namespace ktrt;

namespace {

class EveryHandOver : public HybridSession, public testing::WithParamInterface<const char *> {};

TEST_P(EveryHandOver, GivesTheRightLogits) {
  setenv("KTRT_HANDOVER", GetParam(), 1);
  auto session = open();
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ((*session)->threads(), 2u) << "the GPU lane has no thread";
  expectRightLogits(**session);
  EXPECT_EQ(gpu->modules, 3u) << "one for each kernel";
  session->reset();
  expectAllReleased();
}

TEST_P(EveryHandOver, GivesTheRightLogitsNodeByNode) {
  setenv("KTRT_HANDOVER", GetParam(), 1);
  setenv("KTRT_GRAPH", "0", 1);
  auto session = open();
  ASSERT_TRUE(session) << session.error().message;
  expectRightLogits(**session);
  (*session)->setProfiling(true);
  expectRightLogits(**session);
  EXPECT_EQ(gpu->launches, 0u);
  EXPECT_GT(gpu->kernelLaunches, 100u);
  EXPECT_TRUE(gpu->graphs.empty());
  session->reset();
  expectAllReleased();
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryHandOver, testing::Values("fused", "memop"));

TEST_F(HybridSession, RefusesOtherGraphModes) {
  setenv("KTRT_GRAPH", "no", 1);
  EXPECT_NE(openError().find("KTRT_GRAPH is 'no', expected 0 or 1"), std::string::npos);
}

TEST_F(HybridSession, FoldsSignalsIntoKernels) {
  auto session = open();
  ASSERT_TRUE(session) << session.error().message;
  ASSERT_EQ(gpu->graphs.size(), 4u) << "one for each entry";
  const fake::GraphRecord &decode = gpu->graphs[toy::Decode1];
  using Kind = fake::Node::Kind;
  ASSERT_EQ(decode.size(), 5u) << "step, store, prefix, fill, logits";
  EXPECT_EQ(decode[0].kind, Kind::Copy);
  EXPECT_EQ(decode[0].bytes, 16u);
  EXPECT_EQ(decode[1].kernel, "store");
  EXPECT_EQ(decode[1].after, std::vector<size_t>{0});
  EXPECT_FALSE(decode[1].raises || decode[1].waits);
  EXPECT_EQ(decode[2].kernel, "prefix");
  EXPECT_EQ(decode[2].after, std::vector<size_t>{1});
  EXPECT_TRUE(decode[2].raises && !decode[2].waits);
  EXPECT_EQ(decode[3].kind, Kind::Fill);
  EXPECT_EQ(decode[3].bytes, 40u);
  EXPECT_EQ(decode[3].after, std::vector<size_t>{0});
  EXPECT_EQ(decode[4].kernel, "logits");
  EXPECT_EQ(decode[4].after, (std::vector<size_t>{2, 3})) << "waits only once the other lane has been told";
  EXPECT_TRUE(decode[4].raises && decode[4].waits);
  EXPECT_EQ(gpu->graphs[toy::Decode2][3].bytes, 80u) << "bytes per token, for all tokens";
  const fake::GraphRecord &prefill = gpu->graphs[toy::Prefill];
  ASSERT_EQ(prefill.size(), 5u)
      << "kernels of many tokens hand over by nodes, and a copy says that all is done";
  EXPECT_FALSE(prefill[1].raises || prefill[2].raises || prefill[1].waits || prefill[2].waits);
  for (size_t node : {3, 4}) {
    EXPECT_EQ(prefill[node].kind, Kind::Copy);
    EXPECT_EQ(prefill[node].bytes, 4u);
    EXPECT_EQ(prefill[node].after, std::vector<size_t>{node - 1});
  }
}

// The earlier kernels that kernels of `graph` wait for themselves, by node.
std::vector<std::vector<size_t>> earlyEdges(const fake::GraphRecord &graph) {
  std::vector<std::vector<size_t>> edges;
  for (const fake::Node &node : graph)
    edges.push_back(node.early);
  return edges;
}

TEST_F(HybridSession, StartsKernelsEarlyAfterKernels) {
  using Edges = std::vector<std::vector<size_t>>;
  auto session = open();
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ(earlyEdges(gpu->graphs[toy::Decode1]), (Edges{{}, {}, {1}, {}, {2}}))
      << "not after the copy of the step or the fill";
  EXPECT_EQ(gpu->graphs[toy::Decode1][4].after, (std::vector<size_t>{2, 3}));
  EXPECT_EQ(earlyEdges(gpu->graphs[toy::Prefill]), (Edges{{}, {}, {1}, {}, {}})) << "nor a copy after a kernel";
  expectRightLogits(**session);
}

TEST_F(HybridSession, StartsKernelsLateWhereEarlyIsNotPossible) {
  const std::vector<size_t> none;
  auto expectPlain = [&](size_t graphs, const char *why) {
    gpu->graphs.clear();
    auto session = open();
    ASSERT_TRUE(session) << why << ": " << session.error().message;
    ASSERT_EQ(gpu->graphs.size(), graphs) << why;
    for (const fake::GraphRecord &graph : gpu->graphs)
      for (const fake::Node &node : graph)
        EXPECT_EQ(node.early, none) << why;
    EXPECT_EQ(gpu->graphs[toy::Decode1][4].after, (std::vector<size_t>{2, 3})) << why;
    expectRightLogits(**session);
  };
  setenv("KTRT_PDL", "0", 1);
  expectPlain(4, "KTRT_PDL=0");
  unsetenv("KTRT_PDL");
  gpu->refusesEarlyEdges = true;
  expectPlain(4, "the driver refuses such edges");
  gpu->refusesEarlyEdges = false;
  for (auto &kernel : plan.plan.kernels)
    for (auto &variant : kernel->variants)
      variant->early_start = false;
  expectPlain(4, "code that does not wait itself");
  expectAllReleased();
}

TEST_F(HybridSession, HandsOverByNodes) {
  using Kind = fake::Node::Kind;
  setenv("KTRT_HANDOVER", "memop", 1);
  auto session = open();
  ASSERT_TRUE(session) << session.error().message;
  const fake::GraphRecord &decode = gpu->graphs[toy::Decode1];
  ASSERT_EQ(decode.size(), 7u);
  EXPECT_FALSE(decode[2].raises);
  EXPECT_EQ(decode[3].kind, Kind::Write);
  EXPECT_EQ(decode[3].after, std::vector<size_t>{2});
  EXPECT_EQ(decode[5].kind, Kind::Wait);
  EXPECT_FALSE(decode[6].waits);
  setenv("KTRT_HANDOVER", "telepathy", 1);
  EXPECT_NE(openError().find("KTRT_HANDOVER is 'telepathy', expected fused or memop"), std::string::npos);
}

TEST_F(HybridSession, UploadsWeightsOnly) {
  plan.plan.weights[0]->bytes = 4;
  auto session = open();
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ(gpu->copiedToDevice, 4u);
}

TEST_F(HybridSession, UploadsLinkedWeights) {
  plan.linkBias(directory.path, "model.gguf");
  plan.plan.weights[0]->device = toy::kGpuDevice;
  auto session = open();
  ASSERT_TRUE(session) << session.error().message;
  expectRightLogits(**session);
}

TEST_F(HybridSession, ProfilesBothLanes) {
  auto session = open();
  ASSERT_TRUE(session) << session.error().message;
  (*session)->setProfiling(true);
  expectRightLogits(**session);
  uint64_t kernels = 0;
  for (const CommandProfile &profile : (*session)->profile())
    if (profile.lane == toy::kGpuLane) {
      EXPECT_EQ(profile.kind, "dispatch");
      EXPECT_GT(profile.replays, 0u);
      EXPECT_LT(profile.nanos / profile.replays, 1'000'000'000u);
      ++kernels;
    }
  EXPECT_EQ(kernels, 3u + 3 + 2 + 1);
  (*session)->setProfiling(false);
  EXPECT_TRUE((*session)->profile().empty());
  expectRightLogits(**session);
}

TEST_F(HybridSession, PutsBothLanesOnOneClock) {
  auto session = open();
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_TRUE((*session)->timeline().commands.empty());
  (*session)->setProfiling(true);
  std::vector<int32_t> one = {1};
  const uint64_t before = nowNanos();
  ASSERT_TRUE((*session)->evaluate(one, 0));
  const uint64_t after = nowNanos();
  const Timeline timeline = (*session)->timeline();
  EXPECT_EQ(timeline.entry, uint32_t(toy::Decode1));
  ASSERT_EQ(timeline.commands.size(), 6u) << "three of each lane";
  for (const TimelineCommand &command : timeline.commands) {
    EXPECT_LE(command.begin, command.end);
    EXPECT_GE(command.begin, before);
    EXPECT_LE(command.end, after);
  }
  ASSERT_EQ(timeline.signals.size(), 2u);
  for (const TimelineSignal &signal : timeline.signals) {
    EXPECT_LE(signal.raised, signal.noticed);
    EXPECT_EQ(signal.from, signal.signal == 0 ? toy::kGpuLane : toy::kCpuLane);
    EXPECT_EQ(signal.to, signal.signal == 0 ? toy::kCpuLane : toy::kGpuLane);
  }
}

// ---- what can be missing
// -----------------------------------------------------------------------------------------

TEST_F(HybridSession, NeedsNoDriverForThePlansOfACpu) {
  setenv("KTRT_CUDA_DRIVER", "/nowhere/libcuda.so", 1);
  toy::Plan plain;
  plain.plan.devices.push_back(std::make_unique<plan::DeviceT>());
  plain.plan.devices[1]->name = "cuda:0";
  plain.plan.devices[1]->kind = plan::DeviceKind::Cuda;
  auto session = Session::open(plain.write(directory.path), {});
  EXPECT_TRUE(session) << session.error().message;
}

TEST_F(HybridSession, DriverMissing) {
  setenv("KTRT_CUDA_DRIVER", "/nowhere/libcuda.so", 1);
  const std::string message = openError();
  EXPECT_NE(message.find("toy.ktp: device 'cuda:0': the CUDA driver cannot be loaded: /nowhere/libcuda.so"),
            std::string::npos)
      << message;
}

TEST_F(HybridSession, NoGpu) {
  gpu->initResult = 100;
  EXPECT_NE(openError().find("the driver finds no GPU"), std::string::npos);
  gpu->initResult = 0;
  plan.plan.devices[toy::kGpuDevice]->name = "cuda:1";
  EXPECT_NE(openError().find("device 'cuda:1': there is no GPU number 1: the driver shows 1"),
            std::string::npos);
  plan.plan.devices[toy::kGpuDevice]->name = "cuda:x";
  EXPECT_NE(openError().find("device 'cuda:x': expected a name such as 'cuda:0'"), std::string::npos);
}

TEST_F(HybridSession, DriverTooOld) {
  gpu->version = 11080;
  EXPECT_NE(openError().find("the driver is too old (CUDA 11.8); CUDA 12.0 or newer is needed"),
            std::string::npos);
}

TEST_F(HybridSession, TooLittleMemory) {
  gpu->freeBytes = 300;
  const std::string message = openError();
  EXPECT_NE(
      message.find("device 'cuda:0': 512 bytes needed on Fake GPU (256 bytes of weights, 256 bytes of arenas), "
                   "but only 300 bytes of its 2.00 GiB are free"),
      std::string::npos)
      << message;
  EXPECT_EQ(gpu->copiedToDevice, 0u) << "found before anything was loaded";
  gpu->freeBytes = 1 << 30;
  plan.plan.devices[toy::kGpuDevice]->budget_bytes = 511;
  EXPECT_NE(openError().find("more than the plan's budget of 511 bytes"), std::string::npos);
  expectAllReleased();
}

TEST_F(HybridSession, NoCodeForThisGpu) {
  gpu->major = 8;
  gpu->minor = 9;
  const std::string message = openError();
  EXPECT_NE(
      message.find("kernels[0] ('toy_store') has no code for Fake GPU, which is sm_89; the plan has sm_90a"),
      std::string::npos)
      << message;
  toy::addGpuCode(plan, "sm_80");
  auto session = open();
  ASSERT_TRUE(session) << session.error().message;
  expectRightLogits(**session);
}

TEST_F(HybridSession, DamagedCode) {
  toy::addGpuCode(plan, "sm_90", "nonsense");
  gpu->minor = 1; // sm_91 cannot run sm_90a
  const std::string message = openError();
  EXPECT_NE(message.find("kernels[0] ('toy_store') on Fake GPU: cuModuleLoadData failed: 200"),
            std::string::npos)
      << message;
  expectAllReleased();
}

TEST_F(HybridSession, NothingToCopy) {
  plan.plan.entries[toy::Decode1]->programs[toy::kGpuLane]->commands[3]->body.AsFill()->bytes_per_token = 0;
  const std::string message = openError();
  EXPECT_NE(message.find("entry 'decode_1', lane 'gpu': commands[3]: a fill of nothing"), std::string::npos)
      << message;
  expectAllReleased();
}

// ---- what can fail
// -----------------------------------------------------------------------------------------------

class FailingGpu : public HybridSession {
protected:
  // Evaluates one token; returns the message of the failure that this must be, within `seconds`.
  std::string failure(Session &session, double seconds) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<int32_t> one = {1};
    auto logits = session.evaluate(one, 0);
    EXPECT_FALSE(logits);
    EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), seconds);
    return logits ? "" : logits.error().message;
  }
  // Puts another kernel in the place of one of the first entry.
  void replaceKernel(uint32_t command, const std::string &name) {
    plan.plan.kernels.push_back(std::make_unique<plan::KernelT>(*plan.plan.kernels[toy::Store]));
    plan::KernelT &kernel = *plan.plan.kernels.back();
    kernel.name = name;
    kernel.variants[1]->offset = plan.code.size();
    kernel.variants[1]->bytes = name.size();
    plan.code.insert(plan.code.end(), name.begin(), name.end());
    plan.code.resize((plan.code.size() + 63) / 64 * 64);
    plan.plan.entries[toy::Decode1]->programs[toy::kGpuLane]->commands[command]->body.AsDispatch()->kernel =
        uint32_t(plan.plan.kernels.size() - 1);
  }
};

TEST_F(FailingGpu, Launch) {
  auto session = open();
  ASSERT_TRUE(session) << session.error().message;
  gpu->launchResult = 700;
  EXPECT_EQ(failure(**session, 5),
            "entry 'decode_1', lane 'gpu': cuGraphLaunch failed: CUDA_ERROR_ILLEGAL_ADDRESS "
            "(an illegal memory access was encountered)");
  gpu->launchResult = 0;
  expectRightLogits(**session);
}

TEST_F(FailingGpu, KernelFault) {
  replaceKernel(1, "fault");
  auto session = open();
  ASSERT_TRUE(session) << session.error().message;
  // The CPU waits for a signal of the GPU that never comes, and learns that early.
  EXPECT_EQ(failure(**session, 5),
            "entry 'decode_1', lane 'gpu': the GPU failed: CUDA_ERROR_ILLEGAL_ADDRESS (an "
            "illegal memory access was encountered)");
  EXPECT_NE(failure(**session, 5).find("ILLEGAL_ADDRESS"), std::string::npos) << "and stays so";
  session->reset();
  expectAllReleased();
}

TEST_F(FailingGpu, CpuWaitsInVain) {
  replaceKernel(1, "silent"); // runs, but raises no signal
  auto session = open(200);
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ(failure(**session, 5),
            "entry 'decode_1', lane 'cpu': signal 0 did not come from another lane within 200 ms");
  std::vector<int32_t> prompt = {1, 2};
  EXPECT_TRUE((*session)->evaluate(prompt, 0)) << "other entries work";
}

TEST_F(FailingGpu, GpuWaitsInVain) {
  auto session = open(200);
  ASSERT_TRUE(session) << session.error().message;
  gpu->waitsExpire = true;
  EXPECT_EQ(failure(**session, 5),
            "entry 'decode_1', lane 'gpu': commands[4]: signal 1 did not come from another lane within 200 ms");
  gpu->waitsExpire = false;
  expectRightLogits(**session);
}

TEST_F(FailingGpu, NeverEnds) {
  replaceKernel(5, "hang");
  auto session = open(200);
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ(failure(**session, 10),
            "entry 'decode_1', lane 'gpu': Fake GPU does not come to an end of its work within "
            "200 ms and is given up");
  EXPECT_NE(failure(**session, 5).find("is given up"), std::string::npos);
  session->reset(); // does not wait for it
}

} // namespace
