// See the header.
#include "test/templates/support/router_case.h"

#include "runtime/abi/kt_abi.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>
#include <random>
#include <set>

namespace ktc::test {

Params routerParams(const Router &router) {
  return {{"experts", router.experts},    {"top_k", router.topK},
          {"gating", router.gating},      {"bias", int64_t(router.bias)},
          {"norm", int64_t(router.norm)}, {"scale", router.scale},
          {"groups", router.groups},      {"groups_used", router.groupsUsed}};
}

void expectDistinctIds(const Router &router, const std::vector<int32_t> &ids) {
  for (auto begin = ids.begin(); begin != ids.end(); begin += router.topK) {
    const std::set<int32_t> distinct(begin, begin + router.topK);
    EXPECT_EQ(distinct.size(), size_t(router.topK));
    EXPECT_GE(*distinct.begin(), 0);
    EXPECT_LT(*distinct.rbegin(), router.experts);
  }
}

KernelCase groupCase(int64_t experts, int64_t topK, const std::vector<int32_t> &ids, int64_t m) {
  const int64_t tokens = int64_t(ids.size()) / topK;
  KernelCase result;
  result.family = "expert_group";
  result.params = {{"experts", experts}, {"top_k", topK}, {"m", m}, {"dynamic", int64_t(m != tokens)}};
  result.operands = {toBytes(ids), Bytes(ktExpertListBytes(size_t(experts), size_t(m * topK)), 0x11)};
  result.outputs = {1};
  result.step = {uint32_t(tokens), 0, 0, 1};
  return result;
}

KernelCase choicesCase(KernelCase group, int64_t first, int64_t count) {
  group.params["first"] = first;
  group.params["count"] = count;
  return group;
}

std::vector<int32_t> randomIds(int64_t experts, int64_t topK, int64_t tokens, uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<int32_t> all(static_cast<size_t>(experts)), ids;
  std::iota(all.begin(), all.end(), 0);
  for (int64_t token = 0; token < tokens; ++token) {
    std::shuffle(all.begin(), all.end(), generator);
    ids.insert(ids.end(), all.begin(), all.begin() + topK);
  }
  return ids;
}

} // namespace ktc::test
