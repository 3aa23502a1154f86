// References of router_topk and expert_group: from router logits to the lists that the expert kernels walk.
#include "templates/reference/elements.h"
#include "templates/reference/families.h"
#include "templates/specs.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace ktc::reference {
namespace {

constexpr float Excluded = -std::numeric_limits<float>::infinity();

// Keeps every candidate above `Excluded`, NaN included, so that a choice always exists and has a valid index.
float candidate(float value) { return value > -FLT_MAX ? value : -FLT_MAX; }

// Index of the largest value, the lowest index among equals.
size_t argmax(const std::vector<float> &values) {
  size_t best = 0;
  for (size_t i = 1; i < values.size(); ++i)
    if (values[i] > values[best])
      best = i;
  return best;
}

// Subtracts the maximum, exponentiates and divides by the sum.
void softmax(std::vector<float> &values) {
  float largest = *std::max_element(values.begin(), values.end());
  float sum = 0;
  for (float &value : values)
    sum += value = std::exp(value - largest);
  for (float &value : values)
    value /= sum;
}

// Excludes the experts outside the best `groupsUsed` groups.
void limitGroups(const RouterSpec &spec, std::vector<float> &choice) {
  size_t size = choice.size() / spec.groups;
  std::vector<float> scores;
  for (int64_t group = 0; group < spec.groups; ++group) {
    std::vector<float> members(choice.begin() + group * size, choice.begin() + (group + 1) * size);
    std::sort(members.rbegin(), members.rend());
    scores.push_back(candidate(size > 1 ? members[0] + members[1] : members[0]));
  }
  std::vector<bool> used(spec.groups);
  for (int64_t i = 0; i < spec.groupsUsed; ++i) {
    size_t best = argmax(scores);
    used[best] = true;
    scores[best] = Excluded;
  }
  for (size_t i = 0; i < choice.size(); ++i)
    if (!used[i / size])
      choice[i] = Excluded;
}

void route(const RouterSpec &spec, const float *logits, const float *bias, int32_t *ids, float *weights) {
  std::vector<float> p(logits, logits + spec.experts);
  if (spec.gating == Gating::Softmax)
    softmax(p);
  else if (spec.gating == Gating::Sigmoid)
    for (float &value : p)
      value = 1.0f / (1.0f + std::exp(-value));

  std::vector<float> choice(p);
  for (int64_t i = 0; i < spec.experts; ++i)
    choice[i] = candidate(spec.bias ? p[i] + bias[i] : p[i]);
  if (spec.groups > 1)
    limitGroups(spec, choice);

  std::vector<float> chosen;
  for (int64_t i = 0; i < spec.topK; ++i) {
    size_t best = argmax(choice);
    choice[best] = Excluded;
    ids[i] = static_cast<int32_t>(best);
    chosen.push_back(p[best]);
  }
  if (spec.gating == Gating::TopkSoftmax)
    softmax(chosen);
  float sum = 0;
  for (float value : chosen)
    sum += value;
  float divisor = spec.norm ? std::max(sum, 6.103515625e-5f) : 1.0f;
  for (int64_t i = 0; i < spec.topK; ++i)
    weights[i] = chosen[i] / divisor * spec.scale;
}

} // namespace

// The lists of kt_abi.h from the slots of `tokens` tokens: the `count` choices of each from `first` on.
static void makeLists(const int32_t *ids, int64_t tokens, const ExpertGroupSpec &spec, int32_t *lists) {
  const int64_t experts = spec.experts;
  int32_t *active = lists + ktExpertListIds();
  int32_t *start = lists + ktExpertListStart(experts);
  int32_t *slots = lists + ktExpertListSlots(experts);
  std::fill(lists, lists + 16, 0);
  int32_t used = 0;
  for (int64_t expert = 0; expert < experts; ++expert) {
    int32_t begin = used;
    for (int64_t token = 0; token < tokens; ++token)
      for (int64_t slot = token * spec.topK + spec.first, end = slot + spec.count; slot < end; ++slot)
        if (ids[slot] == expert)
          slots[used++] = static_cast<int32_t>(slot);
    if (used > begin) {
      active[lists[0]] = static_cast<int32_t>(expert);
      start[lists[0]++] = begin;
    }
  }
  start[lists[0]] = used;
}

static KernelFn makeRouterTopk(const Params &params) {
  return [spec = readRouter(params)](const KtKernelArgs *args) {
    const float *logits = static_cast<const float *>(args->operands[0]);
    const float *bias = static_cast<const float *>(args->operands[1]);
    int32_t *ids = static_cast<int32_t *>(args->operands[2]);
    float *weights = static_cast<float *>(args->operands[3]);
    forEachUnit(args, 1, [&](int64_t token, int64_t) {
      route(spec, logits + token * spec.experts, bias, ids + token * spec.topK, weights + token * spec.topK);
      if (!spec.lists || token + 1 != spec.m)
        return;
      const int64_t kept = spec.topK - spec.defer;
      makeLists(ids, spec.m, {spec.experts, spec.topK, spec.m, false, 0, kept},
                static_cast<int32_t *>(args->operands[4]));
      if (spec.defer > 0)
        makeLists(ids, spec.m, {spec.experts, spec.topK, spec.m, false, kept, spec.defer},
                  static_cast<int32_t *>(args->operands[5]));
    });
  };
}

static KernelFn makeExpertGroup(const Params &params) {
  return [spec = readExpertGroup(params)](const KtKernelArgs *args) {
    if (args->unitBegin < args->unitEnd)
      makeLists(static_cast<const int32_t *>(args->operands[0]), spec.dynamic ? args->step->nTokens : spec.m,
                spec, static_cast<int32_t *>(args->operands[1]));
  };
}

static KernelFn makeTopLogits(const Params &params) {
  return [spec = readTopLogits(params)](const KtKernelArgs *args) {
    const float *logits = static_cast<const float *>(args->operands[0]);
    forEachUnit(args, 1, [&](int64_t token, int64_t) {
      const float *row = logits + token * spec.n;
      std::vector<int32_t> order(spec.n);
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(),
                       [&](int32_t a, int32_t b) { return candidate(row[a]) > candidate(row[b]); });
      for (int64_t i = 0; i < spec.count; ++i) {
        static_cast<int32_t *>(args->operands[1])[token * spec.count + i] = order[i];
        static_cast<float *>(args->operands[2])[token * spec.count + i] = row[order[i]];
      }
      double sum = 0;
      for (int64_t i = 0; i < spec.n; ++i)
        if (!std::isnan(row[i]))
          sum += std::exp(double(row[i]) - double(candidate(row[order[0]])));
      static_cast<float *>(args->operands[3])[token] = static_cast<float>(sum);
    });
  };
}

const Family topLogitsFamily = {"top_logits", makeTopLogits};
const Family routerTopkFamily = {"router_topk", makeRouterTopk};
const Family expertGroupFamily = {"expert_group", makeExpertGroup};

} // namespace ktc::reference
