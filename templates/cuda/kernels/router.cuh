// router_topk: a warp per token, which keeps all experts in registers; with lists all tokens share one block.
#pragma once

#include "select.cuh"

namespace kt {

enum class Gating : int { Softmax, Sigmoid, TopkSoftmax };

template <int Experts_, int TopK_, Gating Gate, bool Bias_, bool Norm_, uint32_t Scale_> struct RouterRule {
  static constexpr int experts = Experts_, topK = TopK_, perLane = (Experts_ + 31) / 32;
  static constexpr Gating gating = Gate;
  static constexpr bool bias = Bias_, norm = Norm_;
  static __device__ float scale() { return __uint_as_float(Scale_); }
};

// Which experts remain when only the best GroupsUsed of Groups groups may serve a token.
template <class Rule, int Groups, int GroupsUsed> struct RouterGroups {
  static constexpr int size = Rule::experts / Groups, perLane = (Groups + 31) / 32;

  // Key of group `group` for the choice: the sum of its two largest values. Lanes begin at different members,
  // so that they read from different banks.
  static __device__ uint32_t score(const float *values, int group) {
    float first = -3.402823466e+38f, second = first;
    for (int i = 0; i < size; ++i) {
      const float value = values[group * size + (i + group) % size];
      second = fmaxf(second, fminf(first, value));
      first = fmaxf(first, value);
    }
    return orderKey(size > 1 ? first + second : first);
  }

  // Excludes the experts of other groups. `values` is shared memory of the warp, overwritten.
  static __device__ void limit(uint32_t (&keys)[Rule::perLane], const float (&choice)[Rule::perLane],
                               float *values, int lane) {
#pragma unroll
    for (int i = 0; i < Rule::perLane; ++i)
      if (lane + 32 * i < Rule::experts)
        values[lane + 32 * i] = choice[i] > -3.402823466e+38f ? choice[i] : -3.402823466e+38f;
    __syncwarp();
    Candidates<perLane> groups;
#pragma unroll
    for (int i = 0; i < perLane; ++i)
      groups.keys[i] = lane + 32 * i < Groups ? score(values, lane + 32 * i) : excludedKey;
    groups.sort();
    uint32_t used[perLane] = {};
    for (int i = 0; i < GroupsUsed; ++i) {
      const int group = groups.take(lane);
#pragma unroll
      for (int word = 0; word < perLane; ++word)
        used[word] |= group / 32 == word ? 1u << group % 32 : 0u;
    }
#pragma unroll
    for (int i = 0; i < Rule::perLane; ++i) {
      const int group = (lane + 32 * i) / size;
      uint32_t isUsed = 0;
#pragma unroll
      for (int word = 0; word < perLane; ++word)
        isUsed |= group / 32 == word ? used[word] >> group % 32 & 1 : 0u;
      if (!isUsed)
        keys[i] = excludedKey;
    }
    __syncwarp();
  }
};

// Lists: operand 4 gets the expert lists of all M tokens, which are the Warps warps of the only block. The
// last Deferred choices of every token are listed in operand 5 instead.
template <class Rule, class Groups, bool Grouped, bool Lists, int Deferred, int Warps, bool Dynamic, int M>
struct Router {
  static constexpr int experts = Rule::experts, topK = Rule::topK, perLane = Rule::perLane;

  // Turns logits into what the experts are weighted with.
  static __device__ void probabilities(float (&p)[perLane], int lane) {
    if constexpr (Rule::gating == Gating::Sigmoid) {
#pragma unroll
      for (int i = 0; i < perLane; ++i)
        p[i] = 1.0f / (1.0f + expf(-p[i]));
    } else if constexpr (Rule::gating == Gating::Softmax) {
      float largest = p[0], sum = 0;
#pragma unroll
      for (int i = 1; i < perLane; ++i)
        largest = lane + 32 * i < experts ? fmaxf(largest, p[i]) : largest;
      largest = warpMax(lane < experts ? largest : -3.402823466e+38f);
#pragma unroll
      for (int i = 0; i < perLane; ++i) {
        p[i] = expf(p[i] - largest);
        sum += lane + 32 * i < experts ? p[i] : 0.0f;
      }
      const float inverse = 1.0f / warpSum(sum);
#pragma unroll
      for (int i = 0; i < perLane; ++i)
        p[i] *= inverse;
    }
  }

  // The weight of the lane's choice, which has probability (or logit) p; lanes from topK on have none.
  static __device__ float weight(float p, int lane) {
    if constexpr (Rule::gating == Gating::TopkSoftmax) {
      const float largest = warpMax(lane < topK ? p : -3.402823466e+38f);
      p = lane < topK ? expf(p - largest) : 0.0f;
      p = p / warpSum(p);
    }
    const float sum = warpSum(lane < topK ? p : 0.0f);
    return (Rule::norm ? p / fmaxf(sum, 6.103515625e-5f) : p) * Rule::scale();
  }

  // Returns the id of the lane's choice. `values` is shared memory of the warp for all experts.
  static __device__ int route(const KtCudaArgs &args, int token, float *values, int lane) {
    const float *logits = static_cast<const float *>(args.operands[0]) + int64_t(token) * experts;
    const float *bias = static_cast<const float *>(args.operands[1]);
    float p[perLane], choice[perLane];
#pragma unroll
    for (int i = 0; i < perLane; ++i)
      p[i] = lane + 32 * i < experts ? logits[lane + 32 * i] : 0.0f;
#pragma unroll
    for (int i = 0; i < perLane; ++i)
      choice[i] = Rule::bias && lane + 32 * i < experts ? bias[lane + 32 * i] : 0.0f;
    probabilities(p, lane);
    Candidates<perLane> candidates;
#pragma unroll
    for (int i = 0; i < perLane; ++i) {
      choice[i] = Rule::bias ? p[i] + choice[i] : p[i];
      candidates.keys[i] = lane + 32 * i < experts ? orderKey(choice[i]) : excludedKey;
    }
    if constexpr (Grouped)
      Groups::limit(candidates.keys, choice, values, lane);
#pragma unroll
    for (int i = 0; i < perLane; ++i)
      if (lane + 32 * i < experts)
        values[lane + 32 * i] = p[i];
    __syncwarp();
    candidates.sort();
    int id = 0;
    for (int i = 0; i < topK; ++i) {
      const int index = candidates.take(lane);
      id = lane == i ? index : id;
    }
    const float result = weight(values[id], lane);
    if (lane < topK) {
      static_cast<int32_t *>(args.operands[2])[int64_t(token) * topK + lane] = id;
      static_cast<float *>(args.operands[3])[int64_t(token) * topK + lane] = result;
    }
    return id;
  }

  static __device__ void run(const KtCudaArgs &args) {
    __shared__ float values[Warps][experts];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int token = blockIdx.x * Warps + warp;
    if constexpr (!Lists) {
      if (token < tokenCount<Dynamic, M>(args))
        route(args, token, values[warp], lane);
    } else if constexpr (M == 1) {
      const int id = route(args, 0, values[0], lane);
      listChoices<experts, 0, topK - Deferred>(id, lane, static_cast<int32_t *>(args.operands[4]));
      if constexpr (Deferred > 0)
        listChoices<experts, topK - Deferred, Deferred>(id, lane, static_cast<int32_t *>(args.operands[5]));
    } else {
      constexpr int slots = M * topK;
      __shared__ int32_t ids[slots];
      __shared__ int32_t deferred[Deferred > 0 ? slots : 1];
      __shared__ uint32_t firsts[2 * slots + 2];
      const int id = route(args, token, values[warp], lane);
      if (lane < topK)
        ids[token * topK + lane] = lane < topK - Deferred ? id : -1;
      if constexpr (Deferred > 0)
        if (lane < topK)
          deferred[token * topK + lane] = lane < topK - Deferred ? -1 : id;
      const auto sync = [] { __syncthreads(); };
      sync();
      rankLists<experts, slots, Warps * 32>(ids, firsts, static_cast<int32_t *>(args.operands[4]), threadIdx.x,
                                            sync);
      if constexpr (Deferred > 0) {
        sync(); // `firsts` has been read
        rankLists<experts, slots, Warps * 32>(deferred, firsts, static_cast<int32_t *>(args.operands[5]),
                                              threadIdx.x, sync);
      }
    }
  }
};

} // namespace kt
