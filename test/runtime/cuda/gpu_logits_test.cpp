// Sessions whose logits stay on the GPU until somebody asks for them, and hand-over between two GPUs.
#include "test/runtime/cuda/hybrid_session.h"

#include <algorithm>

using namespace ktrt;

namespace {

// Moves what the CPU does to a second GPU, which waits before a copy: by a node, for a flag of the first.
void moveToSecondGpu(toy::Plan &plan) {
  plan::PlanT &table = plan.plan;
  const uint32_t device = uint32_t(table.devices.size()), lane = uint32_t(table.lanes.size());
  table.devices.push_back(std::make_unique<plan::DeviceT>(*table.devices[toy::kGpuDevice]));
  table.devices[device]->name = "cuda:1";
  table.lanes.push_back(std::make_unique<plan::LaneT>(*table.lanes[toy::kGpuLane]));
  table.lanes[lane]->name = "gpu1";
  table.lanes[lane]->device = device;
  for (toy::Entry index : {toy::Decode1, toy::Decode2, toy::Prefill}) {
    plan::LaneProgramT &program = *table.entries[index]->programs[toy::kCpuLane];
    program.lane = lane;
    for (uint32_t i = 0; i < program.commands.size(); ++i) {
      program.commands[i]->barrier_before = false;
      program.commands[i]->after = i == 0 ? std::vector<uint32_t>{} : std::vector<uint32_t>{i - 1};
    }
  }
}

TEST_F(HybridSession, GpusHandOverToEachOther) {
  moveToSecondGpu(plan);
  gpu->devices = 2;
  for (const char *mode : {"fused", "memop"}) {
    setenv("KTRT_HANDOVER", mode, 1);
    auto session = open();
    ASSERT_TRUE(session) << session.error().message;
    expectRightLogits(**session);
  }
  using Kind = fake::Node::Kind;
  const fake::GraphRecord &decode = gpu->graphs[toy::Decode1];
  ASSERT_EQ(decode.size(), 6u) << "step, store, prefix, flag, fill, logits";
  EXPECT_TRUE(decode[2].raises) << "the word, for kernels";
  EXPECT_EQ(decode[3].kind, Kind::Write) << "the flag, for nodes";
  EXPECT_EQ(decode[3].after, std::vector<size_t>{2});
  EXPECT_EQ(decode[5].after.size(), 3u);
  EXPECT_EQ(std::count(decode[5].after.begin(), decode[5].after.end(), 3u), 1)
      << "the replay ends after the flag is raised";
}

// ---- logits that stay on the GPU

class LogitsOnGpu : public HybridSession {
protected:
  LogitsOnGpu() { toy::leaveLogitsOnGpu(plan); }
};

TEST_F(LogitsOnGpu, AreCopiedOnDemand) {
  auto session = open();
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ((*session)->logitsOf(toy::Head), nullptr);
  EXPECT_FALSE((*session)->lastLogits()) << "nothing was evaluated";
  EXPECT_TRUE((*session)->lastBest().ids.empty());
  const std::vector<int32_t> tokens = {1, 2, 3, 4, 5, 6};
  uint32_t done = 0;
  for (uint32_t count : {1u, 2u, 3u}) { // decode_1, decode_2, prefill and head
    gpu->copies = 0;
    ASSERT_TRUE((*session)->advance(std::span(tokens).subspan(done, count), done));
    done += count;
    const BestLogits best = (*session)->lastBest();
    ASSERT_EQ(best.ids.size(), toy::kBest);
    EXPECT_EQ(best.vocabulary, toy::kVocab);
    EXPECT_GE(best.sum, 1.0f);
    for (uint32_t i = 0; i < toy::kBest; ++i) {
      EXPECT_EQ(best.ids[i], 9 - int(i));
      EXPECT_EQ(best.logits[i], toy::expectedLogit(tokens, done - 1, 9 - i));
    }
    EXPECT_EQ(gpu->copies, 0u);
    auto logits = (*session)->lastLogits();
    ASSERT_TRUE(logits) << logits.error().message;
    for (uint32_t v = 0; v < toy::kVocab; ++v)
      EXPECT_EQ((*logits)[v], toy::expectedLogit(tokens, done - 1, v));
    EXPECT_EQ(gpu->copies, 1u);
  }
  *(*session)->tokensOf(toy::Decode1) = *(*session)->positionsOf(toy::Decode1) = 0;
  ASSERT_TRUE((*session)->run(toy::Decode1, 1, 0));
  EXPECT_FALSE((*session)->lastLogits()) << "another replay has written there";
  EXPECT_TRUE((*session)->lastBest().ids.empty());
  session->reset();
  expectAllReleased();
}

TEST_F(LogitsOnGpu, ReachEveryCaller) {
  auto session = open();
  ASSERT_TRUE(session) << session.error().message;
  expectRightLogits(**session);
  const std::vector<int32_t> tokens = {5, 0, 7, 1, 3, 3, 9, 2, 2, 8, 6};
  uint32_t rowsSeen = 0;
  kt::Status status =
      (*session)->evaluateAll(tokens, 0, [&](uint32_t row0, uint32_t rows, const float *logits) {
        for (uint32_t r = 0; r < rows; ++r)
          for (uint32_t v = 0; v < toy::kVocab; ++v)
            EXPECT_EQ(logits[r * toy::kVocab + v], toy::expectedLogit(tokens, row0 + r, v));
        rowsSeen += rows;
        return true;
      });
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(rowsSeen, tokens.size());
}

} // namespace
