// What the fake driver's kernels compute: the toy model of toy_plan.h, on host memory.
#pragma once

#include "runtime/abi/kt_cuda.h"

#include <cmath>
#include <cstdint>

namespace fake {

template <typename T> T *operand(const KtCudaArgs &args, int i) { return static_cast<T *>(args.operands[i]); }

// The toy model of toy_plan.h.
inline int store(const KtCudaArgs &args) {
  for (unsigned t = 0; t < args.step->nTokens; ++t)
    operand<float>(args, 2)[operand<int>(args, 1)[t]] = float(operand<int>(args, 0)[t]);
  return 0;
}
inline int prefix(const KtCudaArgs &args) {
  for (unsigned t = 0; t < args.step->nTokens; ++t) {
    float sum = *operand<float>(args, 2);
    for (int p = 0; p <= operand<int>(args, 0)[t]; ++p)
      sum += operand<float>(args, 1)[p];
    operand<float>(args, 3)[t] = sum;
  }
  return 0;
}
inline int logits(const KtCudaArgs &args) {
  for (unsigned t = 0; t < args.step->nTokens; ++t)
    for (int v = 0; v < 10; ++v)
      operand<float>(args, 1)[t * 10 + unsigned(v)] =
          operand<float>(args, 0)[args.step->rowOffset + t] * float(v);
  return 0;
}
// The three largest: the toy logits rise with the id.
inline int best(const KtCudaArgs &args) {
  for (unsigned t = 0; t < args.step->nTokens; ++t) {
    const float *row = operand<float>(args, 0) + t * 10;
    operand<float>(args, 3)[t] = 0;
    for (int v = 0; v < 10; ++v)
      operand<float>(args, 3)[t] += std::exp(row[v] - row[9]);
    for (int i = 0; i < 3; ++i) {
      operand<int>(args, 1)[t * 3 + unsigned(i)] = 9 - i;
      operand<float>(args, 2)[t * 3 + unsigned(i)] = row[9 - i];
    }
  }
  return 0;
}

} // namespace fake
