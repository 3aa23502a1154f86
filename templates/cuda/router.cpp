// Instances of `router_topk`, `expert_group` and `top_logits`: see the files of these names in kernels/
// (router.cuh for router_topk).
#include "templates/cuda/row_families.h"
#include "templates/param_check.h"

#include <algorithm>

namespace ktc::cuda {
namespace {

[[noreturn]] void reject(const char *name, int64_t most, int64_t found) {
  throw ParamError("parameter '" + std::string(name) + "' must be at most " + std::to_string(most) +
                   " on a GPU, found " + std::to_string(found));
}

Instance makeRouter(const Params &params, Sm) {
  const RouterSpec spec = readRouter(params);
  const bool dynamic = flag(params, "dynamic");
  constexpr int64_t maxRouted = 512, maxChosen = 32, maxListTokens = 16;
  if (spec.experts > maxRouted)
    reject("experts", maxRouted, spec.experts);
  if (spec.topK > maxChosen)
    reject("top_k", maxChosen, spec.topK);
  if (spec.lists && spec.m > maxListTokens)
    reject("m", maxListTokens, spec.m);
  const int64_t warps = spec.lists ? spec.m : std::min<int64_t>(spec.m, 4);
  constexpr const char *gatings[] = {"Gating::Softmax", "Gating::Sigmoid", "Gating::TopkSoftmax"};
  const std::string rule =
      typeName("RouterRule", {spec.experts, spec.topK, std::string(gatings[static_cast<size_t>(spec.gating)]),
                              spec.bias, spec.norm, spec.scale});
  const std::string groups = typeName("RouterGroups", {rule, spec.groups, spec.groupsUsed});
  const std::string body =
      typeName("Router", {rule, groups, spec.groups > 1, spec.lists, spec.defer, warps, dynamic, spec.m});
  const uint32_t threads = static_cast<uint32_t>(warps * 32);
  return {kernelSource("router.cuh", body, threads),
          {static_cast<uint32_t>((spec.m + warps - 1) / warps), 1, 1, threads, 0}};
}

Instance makeExpertGroup(const Params &params, Sm) {
  const ExpertGroupSpec spec = readExpertGroup(params);
  constexpr int64_t maxGrouped = 2048, maxSlots = 8 * 32768, fewSlots = 256;
  if (spec.experts > maxGrouped)
    reject("experts", maxGrouped, spec.experts);
  if (spec.m > maxSlots / spec.topK)
    reject("m", maxSlots / spec.topK, spec.m);
  const int64_t slots = spec.m * spec.topK;
  const std::string listed = typeName("Choices", {spec.topK, spec.first, spec.count});
  if (!spec.dynamic && slots <= fewSlots) {
    const uint32_t threads = static_cast<uint32_t>((slots + 31) / 32 * 32);
    return {kernelSource("expert_group.cuh",
                         typeName("ExpertGroupSmall", {spec.experts, slots, int64_t(threads), listed}),
                         threads),
            {1, 1, 1, threads, 0}};
  }
  // 32 KiB of counts at most.
  const int64_t warps = spec.experts <= 512 ? 32 : spec.experts <= 1024 ? 16 : 8;
  const uint32_t threads = static_cast<uint32_t>(warps * 32);
  return {kernelSource("expert_group.cuh",
                       typeName("ExpertGroup", {spec.experts, spec.topK, warps, spec.dynamic, spec.m, listed}),
                       threads),
          {1, 1, 1, threads, 0}};
}

Instance makeTopLogits(const Params &params, Sm) {
  const TopLogitsSpec spec = readTopLogits(params);
  const int64_t m = optionalInt(params, "m", 1, 1, maxTokensPerReplay);
  constexpr int64_t maxLogits = 1 << 20, maxCount = 256, maxTokens = 65535, threads = 1024,
                    warps = threads / 32;
  if (spec.n > maxLogits)
    reject("n", maxLogits, spec.n);
  if (spec.count > maxCount)
    reject("count", maxCount, spec.count);
  if (m > maxTokens)
    reject("m", maxTokens, m);
  const int64_t blocks = (topLogitsChunks(spec.n) + warps - 1) / warps;
  return {kernelSource("top_logits.cuh",
                       typeName("TopLogits", {spec.n, spec.count, flag(params, "dynamic"), m}), threads),
          {static_cast<uint32_t>(blocks), static_cast<uint32_t>(m), 1, threads, 0}};
}

} // namespace

const Family topLogitsFamily = {"top_logits", makeTopLogits};
const Family routerTopkFamily = {"router_topk", makeRouter};
const Family expertGroupFamily = {"expert_group", makeExpertGroup};

} // namespace ktc::cuda
