// Attention blocks of the importer: grouped-query attention and multi-head latent attention.
#pragma once

#include "compiler/gguf-to-model/rope.h"

namespace ktc {

// RMS norm of each head of q and k, before rope. IfPresent: in layers whose tensors are there.
enum class HeadNorm { None, Always, IfPresent };

// Grouped-query attention. Heads are per layer; a layer's key/value heads divide its heads.
struct GqaParameters {
  std::vector<int64_t> heads, kvHeads;
  int64_t headDim = 0, vDim = 0;
  HeadNorm headNorm = HeadNorm::None;
  std::vector<int64_t> window; // last positions that a layer sees, 0: all; empty: all in every layer
  bool sinks = false;          // a score without a value for every head, in tensor `attn_sinks`
  RopeParameters rope;
};

// Reads the attention keys. `ropeStyle` is "norm" or "neox"; head sizes default to width / heads. `wholePairs`
// as in readRope.
GqaParameters readGqa(ModelBuilder &model, llvm::StringRef ropeStyle, HeadNorm headNorm,
                      bool wholePairs = true);

// Projections q, k, v (with biases where the file has them), attention, output projection.
mlir::Value gqaAttention(ModelBuilder &model, const GqaParameters &gqa, int64_t layer, mlir::Value x);

// Multi-head latent attention.
struct MlaParameters {
  int64_t heads = 0;
  int64_t queryRank = 0; // 0: q comes from one projection
  int64_t latent = 0;
  int64_t nope = 0, ropeDims = 0; // parts of a query head
  int64_t vDim = 0;
  RopeParameters rope;
};

// Reads the attention keys of both metadata layouts: the current one describes the compressed cache as one
// shared head and gives the head sizes as *_mla, the older one gives the head sizes themselves.
MlaParameters readMla(ModelBuilder &model);

// Query path, compressed key/value projection, attention with either tensor layout (attn_k_b and attn_v_b, or
// the joint attn_kv_b), output projection.
mlir::Value mlaAttention(ModelBuilder &model, const MlaParameters &mla, int64_t layer, mlir::Value x);

} // namespace ktc
