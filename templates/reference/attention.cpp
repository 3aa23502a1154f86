// References of attention over the KV cache: grouped-query and absorbed multi-head latent attention.
//
// Plain two-pass softmax over all positions. Sums are in double precision, because the generated kernels add in
// another order and neither order is the right one.
#include "templates/reference/elements.h"
#include "templates/reference/families.h"
#include "templates/specs.h"

#include <algorithm>
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

// Turns scores into softmax probabilities in place. `sink`: one more score, of a position without a value.
void softmax(std::vector<double> &scores, double sink = -INFINITY) {
  double largest = std::max(sink, *std::max_element(scores.begin(), scores.end()));
  double sum = std::exp(sink - largest);
  for (double &score : scores)
    sum += score = std::exp(score - largest);
  for (double &score : scores)
    score /= sum;
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
template <typename Body>
void forEachHead(const KtKernelArgs *args, int64_t heads, int64_t kvHeads, bool dynamic, Body body) {
  if (!dynamic)
    return forEachUnit(args, heads, body);
  const int64_t tokens = args->step->nTokens, group = heads / kvHeads;
  forEachUnit(args, tokens, [&](int64_t kvHead, int64_t i) {
    for (int64_t head = kvHead * group; head < (kvHead + 1) * group; ++head)
      body(i % 2 == 0 ? i / 2 : tokens - 1 - i / 2, head);
  });
}

} // namespace

static KernelFn makeAttentionGqa(const Params &params) {
  return [spec = readAttentionGqa(params)](const KtKernelArgs *args) {
    const float *q = static_cast<const float *>(args->operands[0]);
    float *y = static_cast<float *>(args->operands[3]);
    const int32_t *positions = static_cast<const int32_t *>(args->operands[4]);
    int64_t kStride = spec.kvHeads * spec.headDim, vStride = spec.kvHeads * spec.vDim;
    forEachHead(args, spec.heads, spec.kvHeads, spec.dynamic, [&](int64_t token, int64_t head) {
      int64_t kvHead = head / (spec.heads / spec.kvHeads);
      int64_t last = positions[token];
      int64_t first = spec.window > 0 ? std::max<int64_t>(0, last + 1 - spec.window) : 0;
      const float *qHead = q + token * spec.qStride + head * spec.headDim;
      std::vector<double> scores;
      for (int64_t p = first; p <= last; ++p)
        scores.push_back(spec.scale * dot(qHead, spec.headDim, spec.type, args->operands[1],
                                          p * kStride + kvHead * spec.headDim));
      spec.sinks ? softmax(scores, static_cast<const float *>(args->operands[5])[head]) : softmax(scores);
      weightedSum(scores, spec.type, args->operands[2], first * vStride + kvHead * spec.vDim, vStride,
                  y + token * spec.yStride + head * spec.vDim, spec.vDim);
    });
  };
}

static KernelFn makeAttentionMla(const Params &params) {
  return [spec = readAttentionMla(params)](const KtKernelArgs *args) {
    const float *qa = static_cast<const float *>(args->operands[0]);
    const float *qr = static_cast<const float *>(args->operands[1]);
    const void *cache = args->operands[2];
    float *y = static_cast<float *>(args->operands[3]);
    const int32_t *positions = static_cast<const int32_t *>(args->operands[4]);
    int64_t row = spec.latent + spec.rope;
    forEachHead(args, spec.heads, 1, spec.dynamic, [&](int64_t token, int64_t head) {
      int64_t slot = token * spec.heads + head;
      const float *rotary = qr + token * spec.qStride + head * spec.qRowStride;
      std::vector<double> scores;
      for (int64_t p = 0; p <= positions[token]; ++p)
        scores.push_back(spec.scale * (dot(qa + slot * spec.latent, spec.latent, spec.type, cache, p * row) +
                                       dot(rotary, spec.rope, spec.type, cache, p * row + spec.latent)));
      softmax(scores);
      weightedSum(scores, spec.type, cache, 0, row, y + slot * spec.latent, spec.latent);
    });
  };
}

const Family attentionGqaFamily = {"attention_gqa", makeAttentionGqa};
const Family attentionMlaFamily = {"attention_mla", makeAttentionMla};

} // namespace ktc::reference
