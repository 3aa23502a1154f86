// Attention over a KV cache, for grouped-query and for absorbed latent attention: one description of both, and
// a generator each for few tokens (decode) and for many (prefill).
#pragma once

#include "templates/x64/families.h"

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
};

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
