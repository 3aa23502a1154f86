// Attention over a KV cache, for grouped-query and for absorbed latent attention: one description of both, and
// a generator each for few tokens (decode) and for many (prefill).
#pragma once

#include "templates/x64/emitter.h"

#include "runtime/abi/kt_types.h"

#include <vector>

namespace ktc::x64 {

// A part of the query and where its keys lie in a cache row. Lengths and strides are in elements.
struct QuerySegment {
  int operand = 0;
  int64_t length = 0; // multiple of 8
  int64_t tokenStride = 0, headStride = 0;
  int64_t cacheOffset = 0;
};

// The keys or the values: rows of `rowElements` per position, `headElements` from one KV head to the next.
struct CacheSide {
  int operand = 0;
  int64_t rowElements = 0, headElements = 0;
};

struct AttentionShape {
  int64_t heads = 0;
  int64_t headsPerKv = 0; // query heads that share a KV head
  std::vector<QuerySegment> query;
  CacheSide keys, values;
  int64_t valueLength = 0; // multiple of 8; also the length of a result row
  int64_t resultStride = 0;
  int64_t window = 0; // 0: none
  bool sinks = false; // operand 5: a logit per head, part of the denominator only
  float scale = 0;
  KtType type = KT_TYPE_F16;
  // More than 1 (a power of two): positions are split over units, results are partials in operand 6 for
  // attention_merge, and sinks are left to it. Decode only.
  int64_t splits = 1;
};

// Partial results of a head and a split: the sum of p * v, then the largest score and the sum of p, in float32.
constexpr int64_t partialFloats(int64_t valueLength) { return valueLength + 16; }

// dst = log2 of the number of splits that `length` (> 0) positions are divided into: one per 256 positions,
// rounded up to a power of two, at most `splits`. Clobbers `tmp`; the three registers differ.
void emitSplitCount(Emitter &e, const Xbyak::Reg32 &dst, const Xbyak::Reg32 &length, const Xbyak::Reg32 &tmp,
                    int64_t splits);

// Bytes of `elements` elements (whole blocks) of a cache of this type.
inline int64_t cacheBytes(KtType type, int64_t elements) {
  const KtTypeInfo *info = ktTypeInfo(type);
  return elements / info->blockElements * info->blockBytes;
}

// Exactly m tokens, a unit per head and token. Operand 3 is the result and operand 4 the positions, as in both
// families.
Kernel generateDecodeAttention(const AttentionShape &shape, const Target &target);
// As many tokens as the step says, a unit per KV head and token (templates/README.md).
Kernel generatePrefillAttention(const AttentionShape &shape, const Target &target);

} // namespace ktc::x64
