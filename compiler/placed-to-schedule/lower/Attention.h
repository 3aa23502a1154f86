// What the lowerings of grouped-query and multi-head latent attention share: steps on the heads in place, the
// cache append, and the attention proper.
#pragma once

#include "compiler/placed-to-schedule/lower/EntryBuilder.h"

namespace ktc::lower {

// Rows of `count` heads inside every token: where they start and how they are spaced (elements).
struct HeadRows {
  mlir::Value start;
  int64_t count, tokenStride, rowStride;
};

// RMS norm of the rows in place, each of `width` elements.
void normHeads(HeadRows rows, int64_t width, mlir::FlatSymbolRefAttr weight, double eps, EntryBuilder &entry,
               llvm::StringRef path);

// Rotates the first elements of the rows in place.
void rotateHeads(HeadRows rows, model::RopeAttr rope, mlir::Value positions, EntryBuilder &entry,
                 llvm::StringRef path);

// cache[position of t] = x[t], `width` elements.
void appendToCache(mlir::Value x, int64_t width, int64_t xStride, mlir::Value cache, int64_t cacheStride,
                   mlir::Value positions, EntryBuilder &entry, llvm::StringRef path);

// A head, or a part of one, must fill whole blocks of the cache's type; `what` names its `elements` elements.
mlir::LogicalResult checkCacheBlocks(mlir::Operation *op, llvm::StringRef what, int64_t elements,
                                     EntryBuilder &entry);

// The attention proper, of either family, into the rows `y`.
struct AttentionCall {
  llvm::StringRef family;
  llvm::SmallVector<Param> params; // of the family, without sinks and splits
  mlir::Value q, second, third;    // operands 0 to 2
  mlir::Value y, positions, sinks; // sinks may be null
  int64_t heads, kvHeads, valueLength, window;
  bool yBf16 = false; // rows of y, on a GPU lane
};

// Weights of every head that its result is multiplied with: `format`, rows of a head, bytes of all, and the
// rows of the results.
struct HeadProduct {
  llvm::StringRef format;
  mlir::Value weights;
  int64_t n, bytes;
  mlir::Value y;
  bool yBf16;
};

// True if the attention has splits that a product with `n` rows per head may put together itself: few enough
// bytes, as all blocks of a head read its splits. Ask for static entries of a GPU lane with few tokens.
bool takesUp(const AttentionCall &call, int64_t n, EntryBuilder &entry);
// Emits the attention and the product; `call.y` is not used.
void dispatchAttentionUp(AttentionCall call, const HeadProduct &product, EntryBuilder &entry,
                         llvm::StringRef path);

// Emits the attention, and the merge of its splits if it has several.
void dispatchAttention(AttentionCall call, EntryBuilder &entry, llvm::StringRef path);

} // namespace ktc::lower
