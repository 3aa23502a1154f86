// router_topk, expert_group and top_logits on the GPU.
#include "templates/specs.h"
#include "test/templates/cuda/cuda_sweep.h"
#include "test/templates/support/router_case.h"

#include <cmath>
#include <functional>
#include <limits>

namespace ktc::test {
namespace {

using Visit = std::function<void(const KernelCase &)>;

const std::vector<Router> routers = {
    {128, 8, "softmax", false, true},           // Qwen3
    {8, 2, "topk_softmax"},                     // Mixtral
    {64, 6, "softmax"},                         // DeepSeek-V2-Lite
    {256, 8, "sigmoid", true, true, 2.5, 8, 4}, // DeepSeek-V3
    {16, 4, "sigmoid", true, true, 2.5, 4, 2},  // tiny-books
    {32, 4, "topk_softmax", true, false},       // gpt-oss
    {384, 8, "sigmoid", true, true, 2.827},     // Kimi K2
    {160, 6, "softmax", false, false, 16.0, 8, 3},
    {512, 32, "topk_softmax", true, false, 1.0, 2, 1},
    {512, 10, "softmax", false, true},
    {6, 2, "sigmoid", true, true, 1.0, 6, 3},
    {320, 5, "sigmoid", false, true, 1.0, 64, 40},
    {7, 7, "softmax", true, true},
    {1, 1, "softmax"},
};

KernelCase routerCase(const Router &router, const std::vector<float> &logits, int64_t m, bool lists) {
  const int64_t tokens = int64_t(logits.size()) / router.experts;
  KernelCase result;
  result.family = "router_topk";
  result.params = routerParams(router);
  result.params["m"] = m;
  result.params["dynamic"] = int64_t(m != tokens);
  result.params["lists"] = int64_t(lists);
  result.operands = {toBytes(logits),
                     router.bias ? toBytes(randomFloats(2, size_t(router.experts), 0.1f)) : Bytes(),
                     Bytes(size_t(m * router.topK) * 4), Bytes(size_t(m * router.topK) * 4)};
  result.outputs = {2, 3};
  if (lists) {
    result.operands.push_back(Bytes(ktExpertListBytes(size_t(router.experts), size_t(m * router.topK)), 0x11));
    result.outputs.push_back(4);
  }
  result.units = uint32_t(tokens);
  result.step = {uint32_t(tokens), 0, 0, 1};
  return result;
}

void expectSameRoute(size_t operand, const Bytes &got, const Bytes &want) {
  operand == 3 ? closerThan(1e-10)(operand, got, want) : expectEqual(operand, got, want);
}

KernelCase randomRoute(const Router &router, int64_t tokens, int64_t m, bool lists) {
  return routerCase(router, randomFloats(uint32_t(tokens), size_t(tokens * router.experts), 1.5f), m, lists);
}

// With the last `defer` choices in lists of their own.
KernelCase deferring(KernelCase route, int64_t defer) {
  route.params["defer"] = defer;
  route.operands.push_back(Bytes(route.operands[4].size(), 0x11));
  route.outputs.push_back(5);
  return route;
}

void sweepRouters(const Visit &visit) {
  for (int64_t m : {1, 2, 16})
    for (int64_t defer : {1, 3, 7})
      visit(deferring(randomRoute(routers[0], m, m, true), defer));

  for (const Router &router : routers) {
    visit(randomRoute(router, 1, 1, true));
    visit(randomRoute(router, 7, 7, true));
    visit(randomRoute(router, 1, 1, false));
  }
  for (const Router &router : {routers[0], routers[3]}) {
    for (int64_t m : {2, 3, 8, 16})
      visit(randomRoute(router, m, m, true));
    for (int64_t tokens : {1, 5, 63})
      visit(randomRoute(router, tokens, 64, false));
    visit(randomRoute(router, 17, 17, false));
  }
}

void sweepGroups(const Visit &visit) {
  for (auto [experts, topK] : {std::pair{1, 1}, {8, 2}, {65, 5}, {256, 8}})
    for (int64_t tokens : {1, 5, 16})
      visit(groupCase(experts, topK, randomIds(experts, topK, tokens, 5), tokens));
  for (auto [experts, topK] : {std::pair{8, 2}, {128, 8}, {384, 8}, {1024, 16}, {2000, 16}})
    for (int64_t tokens : {1, 77, 2048})
      visit(groupCase(experts, topK, randomIds(experts, topK, tokens, 5), tokens == 2048 ? 2048 : 2049));
  for (int64_t tokens : {1, 16, 77}) {
    const KernelCase group = groupCase(128, 8, randomIds(128, 8, tokens, 5), tokens);
    visit(choicesCase(group, 0, 5));
    visit(choicesCase(group, 5, 3));
  }
  const std::vector<int32_t> odd = {3, -1, 8, 2147483647, 3, 0, -2147483647 - 1, 7};
  visit(groupCase(8, 2, odd, 4));
  visit(groupCase(8, 2, odd, 9));
}

KernelCase topCase(int64_t n, int64_t count, const std::vector<float> &logits, int64_t m) {
  const int64_t tokens = int64_t(logits.size()) / n;
  KernelCase result;
  result.family = "top_logits";
  result.params = {{"n", n}, {"count", count}, {"m", m}, {"dynamic", int64_t(m != tokens)}};
  result.operands = {toBytes(logits),
                     Bytes(size_t(m * count) * 4, 0x11),
                     Bytes(size_t(m * count) * 4, 0x11),
                     Bytes(size_t(m) * 4, 0x11),
                     Bytes(size_t(m * topLogitsChunks(n)) * 8, 0x11),
                     Bytes(size_t(m) * 4, 0)};
  result.outputs = {1, 2, 3, 4, 5};
  result.units = uint32_t(tokens);
  result.step = {uint32_t(tokens), 0, 0, 1};
  return result;
}

void sweepTop(const Visit &visit) {
  for (auto [n, count] : {std::pair{1, 1}, {40, 40}, {300, 256}, {5000, 64}, {151936, 40}})
    visit(topCase(n, count, randomFloats(4, size_t(2 * n), 3.0f), n == 5000 ? 5 : 2));
  std::vector<float> logits = randomFloats(5, 5000);
  for (size_t i = 0; i < logits.size(); i += 7)
    logits[i] = 1.5f; // equals
  logits[11] = std::nanf("");
  visit(topCase(5000, 64, logits, 1));
  visit(topCase(5000, 256, std::vector<float>(5000, std::nanf("")), 1));
  // The largest all lie where few warps look: 10 of 1024 chunks, five times 32 logits each.
  std::vector<float> crowded = randomFloats(6, 151936);
  for (size_t i = 0; i < crowded.size(); ++i)
    if (i / 32 % 1024 < 10)
      crowded[i] += 100.0f;
  visit(topCase(151936, 40, crowded, 1));
  // More equals than are ranked at once.
  std::vector<float> equal(151936, -2.0f);
  std::fill(equal.begin() + 1000, equal.begin() + 60000, 3.0f);
  visit(topCase(151936, 128, equal, 1));
}

// Scratch is left in any state; sums are of float32.
void expectSameTop(size_t operand, const Bytes &got, const Bytes &expected) {
  if (operand == 4)
    return;
  if (operand != 3)
    return expectEqual(operand, got, expected);
  const std::vector<float> sums = fromBytes<float>(got), wanted = fromBytes<float>(expected);
  for (size_t i = 0; i < wanted.size(); ++i)
    if (!std::isnan(wanted[i])) {
      EXPECT_NEAR(sums[i], wanted[i], 1e-5f * wanted[i]) << "token " << i; // 0 without any number
    }
}

class CudaRouter : public CudaTest {};

TEST_F(CudaRouter, SameAsReference) {
  sweepRouters([](const KernelCase &route) { checkCuda(route, expectSameRoute); });
}

TEST_F(CudaRouter, TiesGoToTheLowerIndex) {
  for (Router router : routers) {
    std::vector<float> levels(size_t(router.experts), 0.25f);
    checkCuda(routerCase(router, levels, 1, true), expectSameRoute);
    for (size_t i = 0; i < levels.size(); ++i)
      levels[i] = i % 3 ? 0.0f : i % 2 ? -0.0f : -1.0f;
    checkCuda(routerCase(router, levels, 1, true), expectSameRoute);
  }
}

TEST_F(CudaRouter, NanGivesValidDistinctIds) {
  for (const Router &router : routers) {
    const ptrdiff_t experts = router.experts;
    std::vector<float> logits = randomFloats(3, size_t(7 * experts));
    logits[0] = std::nanf("");
    std::fill(logits.begin() + experts, logits.begin() + 2 * experts, std::nanf(""));
    logits[size_t(2 * experts)] = std::numeric_limits<float>::infinity();
    logits[size_t(3 * experts - 1)] = -std::numeric_limits<float>::infinity();
    kt::Result<std::vector<Bytes>> got = runCuda(routerCase(router, logits, 7, true));
    ASSERT_TRUE(static_cast<bool>(got)) << got.error().message;
    if (cudaCompileOnly())
      continue;
    expectDistinctIds(router, fromBytes<int32_t>((*got)[2]));
  }
}

TEST_F(CudaRouter, ExpertGroupSameBytes) {
  sweepGroups([](const KernelCase &group) { checkCuda(group, expectEqual); });
}

TEST_F(CudaRouter, TopLogits) {
  sweepTop([](const KernelCase &top) { checkCuda(top, expectSameTop); });
}

TEST(CudaRouterInstances, Exist) {
  for (auto sweep : {sweepRouters, sweepGroups, sweepTop})
    sweep(expectInstances);
}

TEST(CudaRouterInstances, RefuseBadParameters) {
  expectCudaRefused("router_topk", {{"experts", 513}, {"top_k", 2}}, "'experts'");
  expectCudaRefused("router_topk", {{"experts", 512}, {"top_k", 33}}, "'top_k'");
  expectCudaRefused("router_topk", {{"experts", 64}, {"top_k", 2}, {"m", 17}, {"lists", 1}}, "'m'");
  expectCudaRefused("router_topk", {{"experts", 64}, {"top_k", 2}, {"dynamic", 1}, {"lists", 1}}, "'lists'");
  expectCudaRefused("expert_group", {{"experts", 2049}, {"top_k", 2}}, "'experts'");
  expectCudaRefused("top_logits", {{"n", 1 << 21}, {"count", 8}}, "'n'");
  expectCudaRefused("top_logits", {{"n", 8}, {"count", 9}}, "'count'");
  expectCudaRefused("top_logits", {{"n", 8000}, {"count", 257}}, "'count'");
}

// The lists of the router are those of expert_group.
TEST(RouterReference, ListsAreThoseOfExpertGroup) {
  const KernelCase route = randomRoute(routers[3], 7, 7, true);
  const std::vector<Bytes> got = runReference(route);
  expectEqual(4, got[4], runReference(groupCase(256, 8, fromBytes<int32_t>(got[2]), 7))[1]);
}

// Those of the kept and of the deferred choices are those of the two ranges.
TEST(RouterReference, DeferredListsAreThoseOfExpertGroup) {
  const std::vector<Bytes> got = runReference(deferring(randomRoute(routers[3], 7, 7, true), 3));
  const KernelCase group = groupCase(256, 8, fromBytes<int32_t>(got[2]), 7);
  expectEqual(4, got[4], runReference(choicesCase(group, 0, 5))[1]);
  expectEqual(5, got[5], runReference(choicesCase(group, 5, 3))[1]);
}

TEST(TopLogitsReference, TakesTheFirstOfEqualsAndSumsNumbers) {
  std::vector<float> logits = {std::nanf(""), 1, 5, 5, -3, 5};
  const std::vector<Bytes> got = runReference(topCase(6, 6, logits, 1));
  EXPECT_EQ(fromBytes<int32_t>(got[1]), (std::vector<int32_t>{2, 3, 5, 1, 4, 0}));
  EXPECT_NEAR(fromBytes<float>(got[3])[0], 3 + std::exp(-4.0f) + std::exp(-8.0f), 1e-6f);
}

} // namespace
} // namespace ktc::test
