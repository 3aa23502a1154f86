// router_topk and expert_group: generated code against the references, and the references against brute force.
#include "test/templates/support/router_case.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>
#include <set>

using namespace ktc;
using namespace ktc::test;

namespace {

KernelCase routerCase(const Router &router, std::vector<float> logits, std::vector<float> bias) {
  KernelCase result;
  result.family = "router_topk";
  result.params = routerParams(router);
  size_t tokens = logits.size() / router.experts;
  result.operands = {toBytes(logits), router.bias ? toBytes(bias) : Bytes(), Bytes(tokens * router.topK * 4),
                     Bytes(tokens * router.topK * 4)};
  result.outputs = {2, 3};
  result.units = static_cast<uint32_t>(tokens);
  result.step = {result.units, 0, 0, 0};
  return result;
}

KernelCase routerCase(const Router &router, int64_t tokens, uint32_t seed = 1) {
  return routerCase(router, randomFloats(seed, tokens * router.experts, 1.5f),
                    randomFloats(seed + 1, router.experts, 0.1f));
}

// Ids must be the same, weights close.
void expectSameRoute(size_t operand, const Bytes &got, const Bytes &want) {
  operand == 2 ? expectEqual(operand, got, want) : expectClose(operand, got, want);
}

const std::vector<Router> shapes = {
    {64, 6, "softmax", false, false, 1.0},
    {128, 8, "softmax", false, true, 1.0},
    {60, 4, "softmax", false, false, 1.0},
    {8, 2, "topk_softmax", false, false, 1.0},
    {8, 2, "softmax", false, true, 1.0},
    {256, 8, "sigmoid", true, true, 2.5, 8, 4},
    {384, 8, "sigmoid", true, true, 2.827, 1, 1},
    {160, 6, "softmax", false, false, 16.0, 8, 3},
    {1024, 16, "sigmoid", true, false, 1.0, 16, 5},
    {12, 3, "sigmoid", true, true, 1.0, 4, 2},
    {7, 7, "softmax", true, true, 1.0},
    {1, 1, "softmax", false, false, 1.0},
    {9, 2, "topk_softmax", true, true, 3.0, 3, 2},
    {512, 40, "topk_softmax", true, false, 1.0, 2, 1},
    {6, 2, "sigmoid", true, true, 1.0, 6, 3},
    {33, 17, "sigmoid", false, true, 1.0, 1, 1},
};

TEST(RouterTopk, SameAsReference) {
  for (const Router &router : shapes)
    for (int64_t tokens : {1, 2, 7})
      checkKernel(routerCase(router, tokens), expectSameRoute);
}

TEST(RouterTopk, TiesGoToTheLowerIndex) {
  for (Router router : shapes) {
    router.norm = true;
    // All equal, then two levels.
    checkKernel(
        routerCase(router, std::vector<float>(router.experts, 0.25f), std::vector<float>(router.experts)),
        expectSameRoute);
    std::vector<float> levels(router.experts);
    for (size_t i = 0; i < levels.size(); ++i)
      levels[i] = i % 3 ? 1.0f : -1.0f;
    checkKernel(routerCase(router, levels, std::vector<float>(router.experts)), expectSameRoute);
  }
}

TEST(RouterTopk, NanGivesValidDistinctIds) {
  for (const Router &router : shapes) {
    std::vector<float> logits = randomFloats(3, 3 * router.experts);
    logits[0] = std::nanf("");
    std::fill(logits.begin() + router.experts, logits.begin() + 2 * router.experts, std::nanf(""));
    logits[2 * router.experts] = std::numeric_limits<float>::infinity();
    logits[3 * router.experts - 1] = -std::numeric_limits<float>::infinity();
    KernelCase route = routerCase(router, logits, randomFloats(4, router.experts));
    checkKernel(route, [&](size_t operand, const Bytes &got, const Bytes &) {
      if (operand == 2)
        expectDistinctIds(router, fromBytes<int32_t>(got));
    });
  }
}

// The definition of templates/README.md in double precision, by sorting.
std::pair<std::vector<int32_t>, std::vector<float>>
bruteForce(const Router &router, const std::vector<float> &logits, const std::vector<float> &bias) {
  size_t experts = logits.size();
  std::vector<double> p(logits.begin(), logits.end());
  if (router.gating == "sigmoid")
    for (double &value : p)
      value = 1 / (1 + std::exp(-value));
  if (router.gating == "softmax") {
    double sum = 0;
    for (double &value : p)
      sum += value = std::exp(value);
    for (double &value : p)
      value /= sum;
  }
  std::vector<double> choice(p);
  for (size_t i = 0; i < experts && router.bias; ++i)
    choice[i] += bias[i];
  auto order = [](const std::vector<double> &values) {
    std::vector<int32_t> indices(values.size());
    std::iota(indices.begin(), indices.end(), 0);
    std::stable_sort(indices.begin(), indices.end(), [&](int a, int b) { return values[a] > values[b]; });
    return indices;
  };
  if (router.groups > 1) {
    size_t size = experts / router.groups;
    std::vector<double> scores;
    for (int64_t group = 0; group < router.groups; ++group) {
      std::vector<double> members(choice.begin() + group * size, choice.begin() + (group + 1) * size);
      std::vector<int32_t> best = order(members);
      scores.push_back(members[best[0]] + (size > 1 ? members[best[1]] : 0));
    }
    std::vector<int32_t> ranking = order(scores);
    for (int64_t rank = router.groupsUsed; rank < router.groups; ++rank)
      std::fill_n(choice.begin() + ranking[rank] * size, size, -1e300);
  }
  std::vector<int32_t> ids = order(choice);
  ids.resize(router.topK);
  std::vector<double> chosen;
  for (int32_t id : ids)
    chosen.push_back(router.gating == "topk_softmax" ? std::exp(p[id]) : p[id]);
  double sum = std::accumulate(chosen.begin(), chosen.end(), 0.0);
  bool divide = router.norm || router.gating == "topk_softmax";
  std::vector<float> weights;
  for (double value : chosen)
    weights.push_back(static_cast<float>(value / (divide ? sum : 1.0) * router.scale));
  return {ids, weights};
}

TEST(RouterTopk, ReferenceMatchesBruteForce) {
  for (const Router &router : shapes)
    for (uint32_t seed = 1; seed < 6; ++seed) {
      std::vector<float> logits = randomFloats(seed, router.experts, 1.5f),
                         bias = randomFloats(9, router.experts, 0.1f);
      auto [ids, weights] = bruteForce(router, logits, bias);
      std::vector<Bytes> result = runReference(routerCase(router, logits, bias));
      EXPECT_EQ(fromBytes<int32_t>(result[2]), ids);
      EXPECT_LE(nmse(fromBytes<float>(result[3]), weights), 1e-10);
    }
}

TEST(RouterTopk, TinySumIsNotDividedBy) {
  // Sigmoids near zero: the divisor is the floor, so the weights stay tiny instead of summing to one.
  Router router = {16, 2, "sigmoid", false, true};
  KernelCase route = routerCase(router, std::vector<float>(16, -20.0f), {});
  checkKernel(route, expectSameRoute);
  float weight = fromBytes<float>(runReference(route)[3])[0];
  EXPECT_NEAR(weight, std::exp(-20.0) / 6.103515625e-5, 1e-8);
}

TEST(ExpertGroup, SameBytesAsReference) {
  for (auto [experts, topK] : {std::pair{1, 1}, {8, 2}, {64, 6}, {65, 5}, {256, 8}, {384, 8}, {1024, 16}})
    for (int64_t tokens : {1, 2, 16, 77})
      for (bool dynamic : {false, true})
        checkKernel(
            groupCase(experts, topK, randomIds(experts, topK, tokens, 5), dynamic ? tokens + 3 : tokens),
            expectEqual);
}

TEST(ExpertGroup, SomeChoicesSameBytesAsReference) {
  for (auto [experts, topK] : {std::pair{8, 2}, {64, 6}, {384, 8}})
    for (int64_t tokens : {1, 2, 16})
      for (int64_t deferred = 1; deferred < topK; ++deferred)
        for (bool dynamic : {false, true}) {
          const KernelCase group =
              groupCase(experts, topK, randomIds(experts, topK, tokens, 5), dynamic ? tokens + 3 : tokens);
          checkKernel(choicesCase(group, 0, topK - deferred), expectEqual);
          checkKernel(choicesCase(group, topK - deferred, deferred), expectEqual);
        }
}

TEST(ExpertGroup, ReferenceListsTheChoicesOfTheRange) {
  // Choices 1 and 2 of the two tokens: slots 1, 2, 4, 5 of experts 7, 2, 2, 0.
  const KernelCase group = choicesCase(groupCase(8, 3, {5, 7, 2, 1, 2, 0}, 2), 1, 2);
  const std::vector<int32_t> lists = fromBytes<int32_t>(runReference(group)[1]);
  const int32_t *start = &lists[ktExpertListStart(8)], *slots = &lists[ktExpertListSlots(8)];
  EXPECT_EQ(lists[0], 3);
  EXPECT_EQ(std::vector<int32_t>(&lists[16], &lists[19]), (std::vector<int32_t>{0, 2, 7}));
  EXPECT_EQ(std::vector<int32_t>(start, start + 4), (std::vector<int32_t>{0, 1, 3, 4}));
  EXPECT_EQ(std::vector<int32_t>(slots, slots + 4), (std::vector<int32_t>{5, 2, 4, 1}));
}

TEST(ExpertGroup, SkipsIdsOutOfRange) {
  checkKernel(groupCase(8, 2, {3, -1, 8, 2147483647, 3, 0, -2147483647 - 1, 7}, 4), expectEqual);
}

TEST(ExpertGroup, ReferenceListsEverySlotOnce) {
  const int64_t experts = 40, topK = 4;
  std::vector<int32_t> ids = randomIds(experts, topK, 9, 2);
  std::vector<int32_t> lists = fromBytes<int32_t>(runReference(groupCase(experts, topK, ids, 9))[1]);
  std::set<int32_t> used(ids.begin(), ids.end());
  ASSERT_EQ(lists[0], int32_t(used.size()));
  EXPECT_TRUE(std::all_of(lists.begin() + 1, lists.begin() + 16, [](int32_t value) { return value == 0; }));
  const int32_t *start = &lists[ktExpertListStart(experts)], *slots = &lists[ktExpertListSlots(experts)];
  EXPECT_TRUE(std::equal(used.begin(), used.end(), lists.begin() + 16));
  EXPECT_EQ(start[0], 0);
  EXPECT_EQ(start[lists[0]], int32_t(ids.size()));
  for (int32_t group = 0; group < lists[0]; ++group) {
    EXPECT_TRUE(std::is_sorted(slots + start[group], slots + start[group + 1]));
    for (int32_t i = start[group]; i < start[group + 1]; ++i)
      EXPECT_EQ(ids[slots[i]], lists[16 + group]);
  }
}

TEST(RouterFamilies, RefuseBadParameters) {
  expectRefused("router_topk", {{"top_k", 2}}, "'experts'");
  expectRefused("router_topk", {{"experts", 8}, {"top_k", 9}}, "'top_k'");
  expectRefused("router_topk", {{"experts", 8}, {"top_k", 5}, {"groups", 4}, {"groups_used", 2}}, "'top_k'");
  expectRefused("router_topk", {{"experts", 8}, {"top_k", 2}, {"groups", 3}}, "'groups'");
  expectRefused("router_topk", {{"experts", 8}, {"top_k", 2}, {"groups_used", 2}}, "'groups_used'");
  expectRefused("router_topk", {{"experts", 8}, {"top_k", 2}, {"gating", "relu"}}, "'gating'");
  expectRefused("router_topk", {{"experts", 8}, {"top_k", 2}, {"bias", 2}}, "'bias'");
  expectRefused("expert_group", {{"experts", 0}, {"top_k", 2}}, "'experts'");
  expectRefused("expert_group", {{"experts", 8}, {"top_k", 2}, {"m", -1}}, "'m'");
  expectRefused("expert_group", {{"experts", 8}, {"top_k", 2}, {"first", 2}}, "'first'");
  expectRefused("expert_group", {{"experts", 8}, {"top_k", 2}, {"first", 1}, {"count", 2}}, "'count'");
  expectRefused("router_topk", {{"experts", 8}, {"top_k", 2}, {"defer", 1}}, "'defer'");
}

} // namespace
