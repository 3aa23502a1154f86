// Weights copied part by part for memory nodes: every byte arrives, whatever the parts.
#include "runtime/memory/weight_copy.h"

#include <cstring>
#include <gtest/gtest.h>
#include <numeric>
#include <sched.h>

using namespace ktrt;

namespace {

// Logical CPUs of a team on whatever this test may run on.
std::vector<uint32_t> someCpus(uint32_t threads) {
  cpu_set_t set;
  sched_getaffinity(0, sizeof(set), &set);
  std::vector<uint32_t> cpus;
  for (uint32_t cpu = 0; cpus.size() < threads; cpu = (cpu + 1) % CPU_SETSIZE)
    if (CPU_ISSET(cpu, &set))
      cpus.push_back(cpu);
  return cpus;
}

TEST(NodeParts, CoverEverythingOnce) {
  for (uint64_t matrix : {1ull, 4096ull, 5000ull, 40960ull, 100001ull, 1ull << 40})
    for (uint64_t bytes : {1ull, 4095ull, 4096ull, 300001ull, 40960ull * 7})
      for (uint32_t nodes : {1u, 2u, 3u, 8u}) {
        std::vector<uint8_t> seen(bytes);
        for (uint32_t node = 0; node < nodes; ++node)
          forEachNodePart(bytes, matrix, node, nodes, [&](uint64_t begin, uint64_t end) {
            ASSERT_LT(begin, end);
            ASSERT_LE(end, bytes);
            for (uint64_t at = begin; at < end; ++at)
              ++seen[at];
          });
        EXPECT_EQ(std::accumulate(seen.begin(), seen.end(), uint64_t(0)), bytes)
            << matrix << " " << bytes << " " << nodes;
        EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), int64_t(bytes));
      }
}

// Two matrices of ten pages on two nodes: five pages each, in turn.
TEST(NodeParts, FollowTheRowsOfEachMatrix) {
  std::vector<std::pair<uint64_t, uint64_t>> parts;
  forEachNodePart(81920, 40960, 1, 2, [&](uint64_t begin, uint64_t end) { parts.emplace_back(begin, end); });
  EXPECT_EQ(parts, (std::vector<std::pair<uint64_t, uint64_t>>{{20480, 40960}, {61440, 81920}}));
}

class CopyTest : public testing::Test {
protected:
  // Two weights of random bytes; the first is split.
  void build(uint32_t nodes, bool hugePages) {
    plan::PlanT plan;
    for (size_t i = 0; i < 2; ++i) {
      bytes[i].resize(1000000 + 77 * i);
      for (size_t b = 0; b < bytes[i].size(); ++b)
        bytes[i][b] = static_cast<uint8_t>(b * 2654435761u >> 13);
      auto weight = std::make_unique<plan::WeightT>();
      weight->bytes = bytes[i].size();
      weight->split_bytes = i == 0 ? 100000 : 0;
      plan.weights.push_back(std::move(weight));
      addresses.push_back(bytes[i].data());
    }
    plan.weight_layout = std::make_unique<plan::WeightLayoutT>();
    plan.weight_layout->nodes = nodes;
    plan.weight_layout->huge_pages = hugePages;
    builder.Finish(plan::Plan::Pack(builder, &plan));
  }
  const plan::Plan &plan() { return *flatbuffers::GetRoot<plan::Plan>(builder.GetBufferPointer()); }

  std::vector<uint8_t> bytes[2];
  std::vector<const uint8_t *> addresses;
  flatbuffers::FlatBufferBuilder builder;
};

TEST_F(CopyTest, SplitWeightsForTwoTeamsOnOneNode) {
  for (uint32_t threads : {1u, 2u, 3u, 4u}) {
    addresses.clear();
    builder.Clear();
    build(2, false);
    auto copies = WeightCopies::make(plan(), addresses, someCpus(threads));
    ASSERT_TRUE(copies) << copies.error().message;
    EXPECT_EQ(copies->bytes(), bytes[0].size()) << "what is not split stays where it is";
    EXPECT_EQ(addresses[1], bytes[1].data());
    ASSERT_NE(addresses[0], bytes[0].data());
    EXPECT_EQ(memcmp(addresses[0], bytes[0].data(), bytes[0].size()), 0);
  }
}

TEST_F(CopyTest, HugePagesTakeEverything) {
  build(1, true);
  auto copies = WeightCopies::make(plan(), addresses, someCpus(2));
  ASSERT_TRUE(copies);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_NE(addresses[i], bytes[i].data());
    EXPECT_EQ(memcmp(addresses[i], bytes[i].data(), bytes[i].size()), 0);
  }
}

TEST_F(CopyTest, NothingToDo) {
  build(1, false);
  auto copies = WeightCopies::make(plan(), addresses, someCpus(2));
  ASSERT_TRUE(copies);
  EXPECT_TRUE(copies->empty());
  EXPECT_EQ(addresses[0], bytes[0].data());
}

} // namespace
