// The hybrid toy session on a real GPU, through the real driver: what the fake one cannot show.
#include "runtime/executor/session.h"
#include "test/runtime/cuda/toy_gpu.h"
#include "test/runtime/executor/toy_session.h"

#include <cstdlib>
#include <unistd.h>

using namespace ktrt;

// Code of toy_kernels.cu: toy_gpu_<kernel>_<kind> up to …_end.
#define IMAGE(kernel, kind)                                                                                    \
  asm(".pushsection .rodata\n.balign 64\n.global toy_gpu_" #kernel "_" #kind ", toy_gpu_" #kernel "_" #kind    \
      "_end\n"                                                                                                 \
      "toy_gpu_" #kernel "_" #kind ":\n.incbin \"" KT_TOY_KERNELS "/" #kernel "." #kind "\"\ntoy_gpu_" #kernel \
      "_" #kind "_end:\n.byte 0\n.popsection\n");                                                              \
  extern "C" const uint8_t toy_gpu_##kernel##_##kind[], toy_gpu_##kernel##_##kind##_end[];
IMAGE(store, cubin)
IMAGE(prefix, cubin)
IMAGE(logits, cubin)
IMAGE(silent, cubin)
IMAGE(store, ptx)
IMAGE(prefix, ptx)
IMAGE(logits, ptx)
#define IMAGE_OF(kernel, kind) std::vector<uint8_t>(toy_gpu_##kernel##_##kind, toy_gpu_##kernel##_##kind##_end)

namespace {

class RealGpu : public testing::Test {
protected:
  RealGpu() { unsetenv("KTRT_HANDOVER"); }
  ~RealGpu() override { unsetenv("KTRT_HANDOVER"); }

  void SetUp() override {
    if (access("/dev/nvidia0", F_OK) != 0)
      GTEST_SKIP() << "no GPU";
    toy::makeHybrid(plan, false);
    toy::addGpuImages(plan, "compute_80", {IMAGE_OF(store, ptx), IMAGE_OF(prefix, ptx), IMAGE_OF(logits, ptx)});
  }
  void addCubins() {
    toy::addGpuImages(plan, "sm_90a",
                      {IMAGE_OF(store, cubin), IMAGE_OF(prefix, cubin), IMAGE_OF(logits, cubin)});
  }
  std::unique_ptr<Session> open(uint32_t timeoutMillis = 10000) {
    auto session = toy::open(plan, directory, timeoutMillis, true);
    EXPECT_TRUE(session) << session.error().message;
    return session ? std::move(*session) : nullptr;
  }
  void expectRightLogits(Session &session) { toy::expectRightLogits(session, 60, {1, 2, 3, 8, 17}); }

  toy::TemporaryDirectory directory;
  toy::Plan plan;
};

TEST_F(RealGpu, HandsOverInEveryWay) {
  addCubins();
  for (const char *name : {"fused", "memop"}) {
    SCOPED_TRACE(name);
    setenv("KTRT_HANDOVER", name, 1);
    auto session = open();
    ASSERT_TRUE(session);
    for (int round = 0; round < 20; ++round)
      expectRightLogits(*session);
    session->setProfiling(true);
    expectRightLogits(*session);
    uint64_t best = ~uint64_t(0);
    session->setProfiling(false);
    std::vector<int32_t> one = {1};
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE(session->evaluate(one, 0));
      best = std::min(best, session->lastReplayNanos());
    }
    printf("%s: %.1f us for a replay with one hand-over there and back\n", name, double(best) * 1e-3);
  }
}

TEST_F(RealGpu, CompilesPtx) {
  auto session = open();
  ASSERT_TRUE(session);
  expectRightLogits(*session);
}

TEST_F(RealGpu, PutsBothLanesOnOneClock) {
  auto session = open();
  ASSERT_TRUE(session);
  session->setProfiling(true);
  std::vector<int32_t> one = {1};
  for (int i = 0; i < 10; ++i) {
    const uint64_t before = nowNanos();
    ASSERT_TRUE(session->evaluate(one, 0));
    const uint64_t after = nowNanos();
    const Timeline timeline = session->timeline();
    ASSERT_EQ(timeline.commands.size(), 6u);
    constexpr uint64_t slack = 3000; // the GPU's clock may tick in microseconds
    for (const TimelineCommand &command : timeline.commands) {
      EXPECT_GE(command.begin + slack, before);
      EXPECT_LE(command.end, after + slack);
    }
    ASSERT_EQ(timeline.signals.size(), 2u);
    for (const TimelineSignal &signal : timeline.signals)
      EXPECT_LE(signal.raised, signal.noticed + slack);
  }
}

TEST_F(RealGpu, SignalThatNeverComesEndsTheReplay) {
  addCubins();
  plan.plan.kernels.push_back(std::make_unique<plan::KernelT>(*plan.plan.kernels[toy::Prefix]));
  plan.plan.kernels.back()->name = "silent";
  toy::setGpuImage(plan, *plan.plan.kernels.back(), "sm_90a", IMAGE_OF(silent, cubin));
  plan.plan.entries[toy::Decode1]->programs[toy::kGpuLane]->commands[1]->body.AsDispatch()->kernel =
      uint32_t(plan.plan.kernels.size() - 1);
  auto session = open(300);
  ASSERT_TRUE(session);
  std::vector<int32_t> one = {1}, two = {1, 2};
  auto logits = session->evaluate(one, 0);
  if (logits)
    GTEST_SKIP() << "this GPU runs the PTX instead";
  EXPECT_NE(logits.error().message.find("lane 'cpu': signal 0 did not come from another lane within 300 ms"),
            std::string::npos)
      << logits.error().message;
  EXPECT_TRUE(session->evaluate(two, 0)) << "the session goes on";
}

TEST_F(RealGpu, MoreThanItsMemory) {
  plan.plan.arenas[toy::Cache]->bytes = uint64_t(1) << 46;
  auto session = Session::open(plan.write(directory.path), {});
  ASSERT_FALSE(session);
  EXPECT_NE(session.error().message.find("device 'cuda:0': 65536.00 GiB needed on "), std::string::npos)
      << session.error().message;
}

} // namespace
