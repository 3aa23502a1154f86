// How signals and waits become parts of kernels or nodes of their own.
#include "runtime/cuda/lane_graph.h"
#include "runtime/cuda/module.h"
#include "test/runtime/cuda/toy_gpu.h"

using namespace ktrt;
using namespace ktrt::cuda;
using testing::Test;

namespace {

using Kind = LaneNode::Kind;

// An entry of two programs: 0 is arranged, 1 only raises signals, in the order of `raised`.
class Arrange : public Test {
protected:
  void kernel(std::vector<uint32_t> after) {
    add(toy::dispatch(toy::Store, {}, 1, 0, false), std::move(after));
  }
  void copy(std::vector<uint32_t> after) { add(toy::copy({}, {}, 4, 0, false), std::move(after)); }
  void signal(uint32_t index, std::vector<uint32_t> after) { add(toy::signal(index, false), std::move(after)); }
  void wait(uint32_t index, std::vector<uint32_t> after = {}) { add(toy::wait(index), std::move(after)); }
  void add(plan::CommandT command, std::vector<uint32_t> after) {
    command.after = std::move(after);
    own.push_back(std::make_unique<plan::CommandT>(std::move(command)));
  }

  LaneGraph arrange(std::vector<uint32_t> raised, bool fold = true, bool completion = false) {
    plan::EntryT entry;
    entry.signals = 10;
    for (int i = 0; i < 2; ++i)
      entry.programs.push_back(std::make_unique<plan::LaneProgramT>());
    entry.programs[0]->commands = std::move(own);
    for (uint32_t index : raised)
      entry.programs[1]->commands.push_back(std::make_unique<plan::CommandT>(toy::signal(index, false)));
    builder.Clear();
    builder.Finish(plan::Entry::Pack(builder, &entry));
    const auto &packed = *flatbuffers::GetRoot<plan::Entry>(builder.GetBufferPointer());
    return arrangeLane(*packed.programs()->Get(0), signalSources(packed), fold, completion);
  }

  static std::string text(const LaneGraph &graph) {
    std::string result;
    for (const LaneNode &node : graph.nodes) {
      result += result.empty() ? "" : " ";
      result += "KCFRW"[size_t(node.kind)] + std::to_string(node.command);
      if (node.wait >= 0)
        result += "?" + std::to_string(node.wait);
      if (node.raise >= 0)
        result += "!" + std::to_string(node.raise);
      result += node.completes ? "." : "";
      for (size_t i = 0; i < node.after.size(); ++i)
        result += (i == 0 ? "<" : ",") + std::to_string(node.after[i]);
    }
    return result;
  }

  std::vector<std::unique_ptr<plan::CommandT>> own;
  flatbuffers::FlatBufferBuilder builder;
};

TEST_F(Arrange, SignalGoesIntoTheKernelBeforeIt) {
  kernel({});
  signal(0, {0});
  kernel({0});
  EXPECT_EQ(text(arrange({})), "K0!0 K2<0");
}

TEST_F(Arrange, SignalOfSeveralGivesTheLastKernelEdges) {
  kernel({});
  kernel({});
  copy({});
  kernel({});
  signal(0, {0, 2, 3});
  EXPECT_EQ(text(arrange({})), "K0 K1 C2 K3!0<0,2");
}

TEST_F(Arrange, SignalBehindACopyIsANode) {
  kernel({});
  copy({0});
  signal(0, {1});
  EXPECT_EQ(text(arrange({})), "K0 C1<0 R2!0<1");
}

TEST_F(Arrange, AKernelRaisesOneSignal) {
  kernel({});
  signal(0, {0});
  signal(1, {0});
  EXPECT_EQ(text(arrange({})), "K0!0 R2!1<0");
}

TEST_F(Arrange, WaitGoesIntoAllKernelsAfterIt) {
  kernel({});
  wait(5, {0});
  kernel({1});
  kernel({1});
  kernel({0});
  EXPECT_EQ(text(arrange({5})), "K0 K2?5<0 K3?5<0 K4<0");
}

// Otherwise the waiting kernel could take the place of the one that raises what the other lane waits for.
TEST_F(Arrange, WaitFollowsTheSignalBeforeIt) {
  kernel({});
  signal(0, {0});
  wait(5);
  kernel({2});
  EXPECT_EQ(text(arrange({5})), "K0!0 K3?5<0");
  EXPECT_EQ(text(arrange({5})), "") << "nothing left";
}

TEST_F(Arrange, WaitBeforeACopyIsANode) {
  wait(5);
  copy({0});
  kernel({0});
  EXPECT_EQ(text(arrange({5})), "W0?5 C1<0 K2?5");
}

TEST_F(Arrange, TheLaterOfTwoWaitsIsEnough) {
  wait(5);
  wait(6);
  kernel({0, 1});
  EXPECT_EQ(text(arrange({5, 6})), "K2?6");
}

TEST_F(Arrange, TheLaterOfTwoWaitsIsThatRaisedLater) {
  wait(5);
  wait(6);
  kernel({0, 1});
  EXPECT_EQ(text(arrange({6, 5})), "K2?5");
}

TEST_F(Arrange, SignalBehindAWaitIsANode) {
  wait(5);
  signal(0, {0});
  EXPECT_EQ(text(arrange({5})), "W0?5 R1!0<0");
}

TEST_F(Arrange, WithoutFoldingEverythingIsANode) {
  kernel({});
  signal(0, {0});
  wait(5);
  kernel({2});
  EXPECT_EQ(text(arrange({5}, false)), "K0 R1!0<0 W2?5<1 K3<2");
}

TEST_F(Arrange, TheLastKernelCompletes) {
  kernel({});
  kernel({0});
  copy({0});
  EXPECT_EQ(text(arrange({}, true, true)), "K0 C2<0 K1.<1") << "moved behind what it has to follow";
}

TEST_F(Arrange, AKernelThatRaisesDoesNotComplete) {
  kernel({});
  kernel({0});
  signal(0, {1});
  const LaneGraph graph = arrange({}, true, true);
  EXPECT_EQ(text(graph), "K0 K1!0<0");
  EXPECT_EQ(graph.last, std::vector<uint32_t>{1});
}

TEST_F(Arrange, EdgesThatFollowFromOthersGo) {
  kernel({});
  kernel({0});
  kernel({0, 1});
  kernel({0, 1, 2});
  EXPECT_EQ(text(arrange({})), "K0 K1<0 K2<1 K3<2");
}

TEST(ChooseVariant, TakesTheBestThatRuns) {
  toy::Plan plan;
  toy::addGpuCode(plan, "compute_80");
  toy::addGpuCode(plan, "compute_90a");
  for (const char *isa : {"sm_80", "sm_86", "sm_90a", "sm_90"})
    toy::addGpuCode(plan, isa);
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(plan::Kernel::Pack(builder, plan.plan.kernels[0].get()));
  const auto &kernel = *flatbuffers::GetRoot<plan::Kernel>(builder.GetBufferPointer());
  auto chosen = [&](uint32_t sm) -> std::string {
    const plan::KernelVariant *variant = chooseVariant(kernel, sm);
    return variant ? variant->isa()->str() : "";
  };
  EXPECT_EQ(chosen(75), "");
  EXPECT_EQ(chosen(80), "sm_80");
  EXPECT_EQ(chosen(86), "sm_86");
  EXPECT_EQ(chosen(89), "sm_86");
  EXPECT_EQ(chosen(90), "sm_90a");
  EXPECT_EQ(chosen(91), "sm_90");
  EXPECT_EQ(chosen(100), "compute_80");
}

} // namespace
