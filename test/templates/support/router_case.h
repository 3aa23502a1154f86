// Ready-made calls of the routing families, shared by the tests of CPU and GPU kernels.
#pragma once

#include "test/templates/kernel_case.h"

#include <string>
#include <vector>

namespace ktc::test {

// A rule of router_topk, in the words of templates/README.md.
struct Router {
  int64_t experts, topK;
  std::string gating = "softmax";
  bool bias = false, norm = false;
  double scale = 1.0;
  int64_t groups = 1, groupsUsed = 1;
};
// Its parameters, without those of tokens.
Params routerParams(const Router &router);

// Each token has chosen distinct experts that exist; `ids` are token-major.
void expectDistinctIds(const Router &router, const std::vector<int32_t> &ids);

// expert_group of token-major ids, for exactly m tokens or, if there are fewer, dynamic for at most m.
KernelCase groupCase(int64_t experts, int64_t topK, const std::vector<int32_t> &ids, int64_t m);
// The same for `count` choices of every token from number `first` on.
KernelCase choicesCase(KernelCase group, int64_t first, int64_t count);

// Distinct random experts of every token.
std::vector<int32_t> randomIds(int64_t experts, int64_t topK, int64_t tokens, uint32_t seed);

} // namespace ktc::test
