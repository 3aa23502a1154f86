// A session whose GPU writes hints about experts while the CPU waits for it: results do not depend on them, and
// profiling counts how often they were right.
#include "runtime/executor/session.h"
#include "test/runtime/cuda/toy_gpu.h"
#include "test/runtime/executor/toy_session.h"

#include <cstring>

using namespace ktrt;
using namespace ktrt::plan;

namespace {

// The hybrid toy plan, in whose decode entry the CPU also runs a kernel of two of eight experts. The experts
// are chosen by the plan itself; the GPU copies a hint from a weight of its own.
class HintedSession : public FakeGpuTest {
protected:
  static constexpr uint32_t kExperts = 8, kUnits = 6, kUnitBytes = 256, kExpertBytes = kUnits * kUnitBytes;
  static constexpr uint64_t kIdsAt = 0, kListsAt = 64, kResultAt = 512;
  static constexpr uint32_t kHints = 3; // arena

  HintedSession() {
    toy::makeHybrid(plan);
    PlanT &table = plan.plan;
    table.arenas.push_back(std::make_unique<ArenaT>());
    table.arenas.back()->name = "hints";
    table.arenas.back()->kind = ArenaKind::Io;
    table.arenas.back()->bytes = 1024;
    table.arenas.back()->mapped = true;
    int32_t lists[16 + kExperts] = {2};
    lists[16] = 1;
    lists[17] = 3;
    const uint32_t chosen = addWeight("chosen", 0, sizeof(lists), lists);
    guess = addWeight("guess", toy::kGpuDevice, 3 * sizeof(int32_t), nullptr);
    const uint32_t experts = addWeight("experts", 0, kExperts * kExpertBytes, nullptr);
    EntryT &decode = *table.entries[toy::Decode1];
    insert(decode, toy::kGpuLane, 3,
           toy::after(toy::copy(toy::weight(guess), hints(kIdsAt), 3 * sizeof(int32_t), 0, false), {2}));
    // The wait and what follows come one place later.
    auto commands = toy::commandsOf(decode, toy::kGpuLane);
    commands[6]->after = {4, 5};
    insert(decode, toy::kCpuLane, 0, toy::copy(toy::weight(chosen), hints(kListsAt), sizeof(lists), 0, false));
    CommandT work = toy::dispatch(toy::Store,
                                  {toy::arena(toy::Io, toy::kTokensAt), toy::arena(toy::Io, toy::kPositionsAt),
                                   hints(kResultAt), toy::weight(experts), hints(kListsAt)},
                                  kUnits, 0, true);
    toy::addStream(*work.body.AsDispatch(), 3, kUnitBytes);
    toy::addHint(*work.body.AsDispatch(), hints(kIdsAt), 3, kExperts, 4, kExpertBytes);
    insert(decode, toy::kCpuLane, 2, std::move(work));
  }

  static Operand hints(uint64_t offset) { return {OperandKind::Arena, kHints, offset}; }

  static void insert(EntryT &entry, uint32_t lane, size_t at, CommandT command) {
    auto &commands = entry.programs[lane]->commands;
    commands.insert(commands.begin() + long(at), std::make_unique<CommandT>(std::move(command)));
  }

  uint32_t addWeight(const char *name, uint32_t device, uint64_t bytes, const void *data) {
    auto weight = std::make_unique<WeightT>();
    weight->name = name;
    weight->shape = {bytes / 4};
    weight->section = toy::Constants;
    weight->offset = (plan.constants.size() + 63) / 64 * 64;
    weight->bytes = bytes;
    weight->device = device;
    plan.constants.resize(weight->offset + bytes);
    if (data)
      memcpy(plan.constants.data() + weight->offset, data, bytes);
    plan.plan.weights.push_back(std::move(weight));
    return uint32_t(plan.plan.weights.size() - 1);
  }

  void setGuess(std::array<int32_t, 3> ids) {
    memcpy(plan.constants.data() + plan.plan.weights[guess]->offset, ids.data(), sizeof(ids));
  }

  std::unique_ptr<Session> open(uint32_t threads) {
    SessionOptions options;
    options.threads = threads;
    options.pinThreads = false;
    auto session = Session::open(plan.write(directory.path), options);
    EXPECT_TRUE(session) << session.error().message;
    return session ? std::move(*session) : nullptr;
  }

  // Decodes some tokens one by one.
  static void expectRightLogits(Session &session) { toy::expectRightLogits(session, 20, {1}); }

  uint32_t guess = 0;
};

TEST_F(HintedSession, AnyHintIsHarmless) {
  for (std::array<int32_t, 3> ids :
       {std::array{0, 1, 2}, {7, 7, 7}, {8, -1, 1 << 30}, {INT32_MIN, INT32_MAX, 3}})
    for (uint32_t threads : {1, 3}) {
      setGuess(ids);
      auto session = open(threads);
      ASSERT_TRUE(session);
      expectRightLogits(*session);
    }
}

TEST_F(HintedSession, CountsRightGuesses) {
  setGuess({3, 6, 8});
  auto session = open(2);
  ASSERT_TRUE(session);
  expectRightLogits(*session); // the hint is there from now on
  session->setProfiling(true);
  expectRightLogits(*session);
  uint32_t hinted = 0;
  for (const CommandProfile &profile : session->profile()) {
    if (profile.chosen == 0)
      continue;
    ++hinted;
    EXPECT_EQ(profile.kind, "dispatch");
    EXPECT_EQ(profile.chosen, 2 * profile.replays);
    EXPECT_EQ(profile.guessed, profile.replays) << "one of two";
    EXPECT_LE(profile.ahead, profile.replays * 2 * (kUnits / 2) * kUnitBytes) << "an id is no expert";
  }
  EXPECT_EQ(hinted, 1u);
}

} // namespace
