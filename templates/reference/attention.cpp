// References of attention over the KV cache: grouped-query and absorbed multi-head latent attention.
//
// Plain two-pass softmax over all positions. Sums are in double precision, because the generated kernels add in
// another order and neither order is the right one.
#include "templates/reference/elements.h"
#include "templates/reference/families.h"
#include "templates/specs.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <vector>

namespace ktc::reference {
namespace {

// Σ q[i] * cache[at + i].
double dot(const float *q, int64_t length, KtType type, const void *cache, int64_t at) {
  double sum = 0;
  for (int64_t i = 0; i < length; ++i)
    sum += double(q[i]) * loadElement(type, cache, at + i);
  return sum;
}

// Turns scores into softmax probabilities in place and returns the logarithm of the sum of their exponentials.
// `sink`: one more score, of a position without a value.
double softmax(std::vector<double> &scores, double sink = -INFINITY) {
  double largest = std::max(sink, *std::max_element(scores.begin(), scores.end()));
  double sum = std::exp(sink - largest);
  for (double &score : scores)
    sum += score = std::exp(score - largest);
  for (double &score : scores)
    score /= sum;
  return largest + std::log(sum);
}

// y[i] = Σ_p weights[p] * cache[at + p * rowStride + i].
void weightedSum(const std::vector<double> &weights, KtType type, const void *cache, int64_t at,
                 int64_t rowStride, float *y, int64_t length) {
  for (int64_t i = 0; i < length; ++i) {
    double sum = 0;
    for (size_t p = 0; p < weights.size(); ++p)
      sum += weights[p] * loadElement(type, cache, at + static_cast<int64_t>(p) * rowStride + i);
    y[i] = static_cast<float>(sum);
  }
}

// Calls body(token, head) for every unit. Dynamic kernels have a unit per KV head and token: all units of a KV
// head, then the next; within one the tokens in the order first, last, second, second to last and so on.
// With splits a head has as many units; all its work is done in the first.
template <typename Body>
void forEachHead(const KtKernelArgs *args, int64_t heads, int64_t kvHeads, bool dynamic, int64_t splits,
                 Body body) {
  if (!dynamic)
    return forEachUnit(args, heads * splits, [&](int64_t token, int64_t unit) {
      if (unit % splits == 0)
        body(token, unit / splits);
    });
  const int64_t tokens = args->step->nTokens, group = heads / kvHeads;
  forEachUnit(args, tokens, [&](int64_t kvHead, int64_t i) {
    for (int64_t head = kvHead * group; head < (kvHead + 1) * group; ++head)
      body(i % 2 == 0 ? i / 2 : tokens - 1 - i / 2, head);
  });
}

// Splits of the positions of a token: one per `each`, rounded up to a power of two, at most `most`.
int64_t splitCount(int64_t length, int64_t each, int64_t most) {
  int64_t count = 1;
  while (count < most && count * each < length)
    count *= 2;
  return count;
}

// A finished result as the first of its partials: the logarithm of its sum stands for the largest score of a
// sum of 1. The others are of no positions.
void storePartials(const std::vector<float> &result, double logSum, int64_t splits, float *partials) {
  const size_t length = result.size();
  for (int64_t split = 0; split < splits; ++split) {
    float *partial = partials + split * static_cast<int64_t>(length + 16);
    for (size_t i = 0; i < length; ++i)
      partial[i] = split == 0 ? result[i] : 0.0f;
    partial[length] = split == 0 ? static_cast<float>(logSum) : -FLT_MAX;
    partial[length + 1] = split == 0 ? 1.0f : 0.0f;
  }
}

// Stores a finished row at element `at` of y, float32 or bfloat16.
void storeResult(const std::vector<float> &result, bool bfloat, void *y, int64_t at) {
  for (size_t i = 0; i < result.size(); ++i)
    storeElement(bfloat ? KT_TYPE_BF16 : KT_TYPE_F32, y, static_cast<size_t>(at) + i, result[i]);
}

} // namespace

static KernelFn makeAttentionGqa(const Params &params) {
  return [spec = readAttentionGqa(params)](const KtKernelArgs *args) {
    const float *q = static_cast<const float *>(args->operands[0]);
    float *partials = spec.splits > 1 && !spec.merge ? static_cast<float *>(args->operands[6]) : nullptr;
    const int32_t *positions = static_cast<const int32_t *>(args->operands[4]);
    int64_t kStride = spec.kvHeads * spec.headDim, vStride = spec.kvHeads * spec.vDim;
    forEachHead(args, spec.heads, spec.kvHeads, spec.dynamic, spec.splits, [&](int64_t token, int64_t head) {
      int64_t kvHead = head / (spec.heads / spec.kvHeads);
      int64_t last = positions[token];
      int64_t first = spec.window > 0 ? std::max<int64_t>(0, last + 1 - spec.window) : 0;
      const float *qHead = q + token * spec.qStride + head * spec.headDim;
      std::vector<double> scores;
      for (int64_t p = first; p <= last; ++p)
        scores.push_back(spec.scale * dot(qHead, spec.headDim, spec.type, args->operands[1],
                                          p * kStride + kvHead * spec.headDim));
      const bool sinks = spec.sinks && !partials;
      const double logSum =
          sinks ? softmax(scores, static_cast<const float *>(args->operands[5])[head]) : softmax(scores);
      std::vector<float> result(static_cast<size_t>(spec.vDim));
      weightedSum(scores, spec.type, args->operands[2], first * vStride + kvHead * spec.vDim, vStride,
                  result.data(), spec.vDim);
      if (partials)
        storePartials(result, logSum, spec.splits,
                      partials + (token * spec.heads + head) * spec.splits * (spec.vDim + 16));
      else
        storeResult(result, spec.bfloatY, args->operands[3], token * spec.yStride + head * spec.vDim);
    });
  };
}

static KernelFn makeAttentionMla(const Params &params) {
  return [spec = readAttentionMla(params)](const KtKernelArgs *args) {
    const float *qa = static_cast<const float *>(args->operands[0]);
    const float *qr = static_cast<const float *>(args->operands[1]);
    const void *cache = args->operands[2];
    float *partials = spec.splits > 1 && !spec.merge ? static_cast<float *>(args->operands[6]) : nullptr;
    const int32_t *positions = static_cast<const int32_t *>(args->operands[4]);
    int64_t row = spec.latent + spec.rope;
    forEachHead(args, spec.heads, 1, spec.dynamic, spec.splits, [&](int64_t token, int64_t head) {
      int64_t slot = token * spec.heads + head;
      std::vector<float> query(static_cast<size_t>(row));
      for (int64_t i = 0; i < row; ++i)
        query[static_cast<size_t>(i)] =
            spec.bfloatQ      ? bfloatToFloat(static_cast<const uint16_t *>(args->operands[0])[slot * row + i])
            : i < spec.latent ? qa[slot * spec.latent + i]
                              : qr[token * spec.qStride + head * spec.qRowStride + i - spec.latent];
      std::vector<double> scores;
      for (int64_t p = 0; p <= positions[token]; ++p)
        scores.push_back(spec.scale * dot(query.data(), row, spec.type, cache, p * row));
      const double logSum = softmax(scores);
      std::vector<float> result(static_cast<size_t>(spec.latent));
      weightedSum(scores, spec.type, cache, 0, row, result.data(), spec.latent);
      if (partials)
        storePartials(result, logSum, spec.splits, partials + slot * spec.splits * (spec.latent + 16));
      else
        storeResult(result, spec.bfloatY, args->operands[3], slot * spec.latent);
    });
  };
}

static KernelFn makeAttentionMerge(const Params &params) {
  return [spec = readAttentionMerge(params)](const KtKernelArgs *args) {
    const float *partials = static_cast<const float *>(args->operands[0]);
    const int32_t *positions = static_cast<const int32_t *>(args->operands[2]);
    forEachUnit(args, spec.heads, [&](int64_t token, int64_t head) {
      const int64_t row = spec.vDim + 16, seen = int64_t(positions[token]) + 1;
      const int64_t count =
          splitCount(spec.window > 0 ? std::min(seen, spec.window) : seen, spec.splitPositions, spec.splits);
      const float *from = partials + (token * spec.heads + head) * spec.splits * row;
      double largest = spec.sinks ? double(static_cast<const float *>(args->operands[3])[head]) : -FLT_MAX;
      double sum = spec.sinks ? 1 : 0, sink = largest;
      for (int64_t split = 0; split < count; ++split)
        largest = std::max<double>(largest, from[split * row + spec.vDim]);
      sum *= std::exp(sink - largest);
      std::vector<double> y(static_cast<size_t>(spec.vDim));
      for (int64_t split = 0; split < count; ++split) {
        const double factor = std::exp(from[split * row + spec.vDim] - largest);
        sum += factor * from[split * row + spec.vDim + 1];
        for (int64_t i = 0; i < spec.vDim; ++i)
          y[static_cast<size_t>(i)] += factor * from[split * row + i];
      }
      std::vector<float> result;
      for (double value : y)
        result.push_back(static_cast<float>(value / sum));
      storeResult(result, spec.bfloatY, args->operands[1], token * spec.yStride + head * spec.vDim);
    });
  };
}

// attention_merge, then a batched `linear`, by the first unit.
static KernelFn makeAttentionUp(const Params &params) {
  const AttentionUpSpec spec = readAttentionUp(params);
  const int64_t heads = spec.merge.heads, k = spec.merge.vDim;
  const KernelFn merge = makeAttentionMerge({{"heads", heads},
                                             {"v_dim", k},
                                             {"splits", spec.merge.splits},
                                             {"split_positions", spec.merge.splitPositions},
                                             {"m", spec.m}});
  const KernelFn product = linearFamily.bind({{"format", stringParam(params, "format", "")},
                                              {"n", spec.n},
                                              {"k", k},
                                              {"batch", heads},
                                              {"m", spec.m},
                                              {"x_type", "f32"},
                                              {"y_type", stringParam(params, "y_type", "f32")},
                                              {"y_stride", spec.yStride},
                                              {"y_batch_stride", spec.n}});
  return [=](const KtKernelArgs *args) {
    if (args->unitBegin != 0)
      return;
    std::vector<float> merged(static_cast<size_t>(args->step->nTokens * heads * k));
    void *mergeOperands[] = {args->operands[0], merged.data(), args->operands[4], nullptr};
    void *productOperands[] = {merged.data(), args->operands[1], args->operands[2], nullptr};
    KtKernelArgs one = *args;
    one.operands = mergeOperands;
    one.unitEnd = static_cast<uint32_t>(args->step->nTokens * heads);
    merge(&one);
    one.operands = productOperands;
    one.unitEnd = static_cast<uint32_t>(heads * ((spec.n + KT_ROWS_PER_UNIT - 1) / KT_ROWS_PER_UNIT));
    product(&one);
  };
}

const Family attentionUpFamily = {"attention_up", makeAttentionUp};
const Family attentionGqaFamily = {"attention_gqa", makeAttentionGqa};
const Family attentionMlaFamily = {"attention_mla", makeAttentionMla};
const Family attentionMergeFamily = {"attention_merge", makeAttentionMerge};

} // namespace ktc::reference
