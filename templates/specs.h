// Checked parameters of the families around the matrix products: norms, rope, cache, attention, router.
//
// The reference and the generator of a family must accept exactly the same parameters with the same defaults,
// so both read them through these functions. Strides are in float32 elements unless a comment says otherwise;
// the limits keep every offset that ends up in an instruction inside 31 bits.
#pragma once

#include "runtime/abi/kt_types.h"
#include "templates/params.h"

#include <cstdint>
#include <string_view>

namespace ktc {

// Where the rows of a unit-per-row family lie: row r of token t starts at x + t * stride + r * rowStride.
struct RowLayout {
  int64_t rows = 1;
  int64_t stride = 0;
  int64_t rowStride = 0;
};

struct QuantizeSpec {
  int64_t k = 0;      // multiple of `group`
  int64_t group = 32; // elements with one scale: 32 gives q8 rows, 256 q8k rows
  RowLayout x;
};

struct RmsNormSpec {
  int64_t k = 0;
  float eps = 0;
  int64_t group = 32; // of the quantised output, see QuantizeSpec
  RowLayout x, y;
  bool useRowOffset = false; // tokens start at step->rowOffset in x
  int64_t adds = 0;          // rows added to x before (GPU kernels)
  bool sigmoidGate = false;  // of the last added row
  int64_t products = 0;      // rows of float32 weights that normed rows are multiplied with (GPU kernels)
};

struct RopeSpec {
  int64_t dims = 0; // even
  RowLayout x;
  bool neox = false;
};

struct KvStoreSpec {
  int64_t width = 0;
  int64_t stride = 0;
  KtType type = KT_TYPE_F16;
  int64_t cacheStride = 0; // elements of `type`
};

// Positions per split where nothing else is said; a GPU has more blocks to share them.
inline constexpr int64_t defaultSplitPositions = 256;

struct AttentionGqaSpec {
  int64_t heads = 0, kvHeads = 0, headDim = 0, vDim = 0;
  float scale = 0;
  KtType type = KT_TYPE_F16;
  int64_t qStride = 0, yStride = 0;
  int64_t window = 0;
  bool sinks = false; // a logit per head that takes part in the denominator only
  bool dynamic = false;
  int64_t splits = 1; // of the positions; more than 1: partial results
  int64_t splitPositions = defaultSplitPositions;
  bool merge = false;   // of the partial results, in the same kernel (GPU kernels)
  bool bfloatY = false; // y rows are bfloat16 (GPU kernels)
};

struct AttentionMlaSpec {
  int64_t heads = 0, latent = 0, rope = 0;
  float scale = 0;
  KtType type = KT_TYPE_F16;
  int64_t qStride = 0, qRowStride = 0; // of the rotary part
  bool bfloatQ = false;                // queries are whole rows of bfloat16 in operand 0 (GPU kernels)
  int64_t context = 0;                 // most positions of a token, 0: not known (GPU kernels)
  bool dynamic = false;
  int64_t splits = 1;
  int64_t splitPositions = defaultSplitPositions;
  bool merge = false;
  bool bfloatY = false;
};

struct AttentionMergeSpec {
  int64_t heads = 0, vDim = 0, splits = 2, splitPositions = defaultSplitPositions, yStride = 0, window = 0;
  bool sinks = false;
  bool bfloatY = false;
};

// The splits put together and multiplied with weights of each head (GPU kernels).
struct AttentionUpSpec {
  AttentionMergeSpec merge; // without window and sinks
  const KtTypeInfo *format = nullptr;
  int64_t n = 0, m = 1, yStride = 0; // rows of a head, tokens
  bool bfloatY = false;
};

// Query and key heads on their way to attention: norm, rotation, cache append (GPU kernels).
struct GqaPrepareSpec {
  int64_t heads = 0, kvHeads = 0, headDim = 0, vDim = 0;
  int64_t qStride = 0, kStride = 0, vStride = 0;
  KtType type = KT_TYPE_F16;
  bool norm = false;
  float eps = 0;
  int64_t dims = 0; // rotated elements of a head, 0 = none
  bool neox = false;
};

// The same for absorbed attention: norm of the latent, rotation of q and k, cache append (GPU kernels).
struct MlaPrepareSpec {
  int64_t heads = 0, latent = 0, rope = 0;
  float eps = 0;
  bool neox = false;
  int64_t qStride = 0, qRowStride = 0, kvStride = 0;
  int64_t nope = 0; // elements of a query head before its rotary ones
  KtType type = KT_TYPE_F16;
  const KtTypeInfo *absorb = nullptr; // format of the weights that make absorbed queries of those elements
  bool bfloatY = false;               // which leave with their rotary parts, as bfloat16
};

enum class Gating { Softmax, Sigmoid, TopkSoftmax };

struct RouterSpec {
  int64_t experts = 0, topK = 0;
  Gating gating = Gating::Softmax;
  bool bias = false, norm = false;
  float scale = 1;
  int64_t groups = 1, groupsUsed = 1;
  int64_t m = 1;
  bool lists = false; // also write the expert lists of all m tokens (GPU kernels)
  int64_t defer = 0;  // of the last choices of a token, which get lists of their own
};

struct ExpertGroupSpec {
  int64_t experts = 0, topK = 0, m = 1;
  bool dynamic = false;
  int64_t first = 0, count = 0; // of the choices of every token that are listed
  bool listsAll() const { return count == topK; }
};

// Activations as panels multiply them: blocks of sixteen rows. Of every 256 elements of k all blocks lie side
// by side; slots of each expert by themselves.
struct PackSpec {
  int64_t k = 0, group = 32; // of the quantised rows, see QuantizeSpec
  int64_t m = 1;
  bool dynamic = false;
  int64_t experts = 0, topK = 1; // experts > 0: the rows are slots, packed in the order of the expert lists
};
// Rows of a packed block, its bytes for every (started) 256 elements of k, and its bytes in all.
inline constexpr int64_t packedRows = 16, packedSpanBytes = 4224;
inline constexpr int64_t packedBlockBytes(int64_t k) { return (k + 255) / 256 * packedSpanBytes; }
// Most blocks that `rows` packed rows of `experts` experts (0: in no groups) can have, and one that readers,
// who take two at a time, may touch behind them.
inline constexpr int64_t packedBlocks(int64_t rows, int64_t experts) {
  return (rows + packedRows - 1) / packedRows + (experts < rows ? experts : rows) + 1;
}

struct AddSpec {
  int64_t k = 0, xStride = 0, yStride = 0;
  bool sigmoidGate = false;
};

struct TopLogitsSpec {
  int64_t n = 0, count = 0;
};
// Parts of a row of n logits that `top_logits` summarises on its own, in 8 bytes each.
inline int64_t topLogitsChunks(int64_t n) { return n < 1024 * 32 ? (n + 31) / 32 : 1024; }

// Bytes of a quantised row of k elements in groups of 32 (q8) or 256 (q8k).
size_t quantizedRowBytes(int64_t k, int64_t group);

// Each returns the family's parameters with defaults filled in, or throws ParamError (param_check.h).
QuantizeSpec readQuantize(const Params &params);
RmsNormSpec readRmsNorm(const Params &params);
RopeSpec readRope(const Params &params);
KvStoreSpec readKvStore(const Params &params);
AttentionGqaSpec readAttentionGqa(const Params &params);
AttentionMlaSpec readAttentionMla(const Params &params);
AttentionMergeSpec readAttentionMerge(const Params &params);
AttentionUpSpec readAttentionUp(const Params &params);
GqaPrepareSpec readGqaPrepare(const Params &params);
MlaPrepareSpec readMlaPrepare(const Params &params);
TopLogitsSpec readTopLogits(const Params &params);
RouterSpec readRouter(const Params &params);
ExpertGroupSpec readExpertGroup(const Params &params);
PackSpec readPack(const Params &params);
AddSpec readAdd(const Params &params);
// Parameter `packed` of families `linear` and `down`: whether there is an operand with packed rows. Throws
// ParamError for kernels that have no use for one: exact ones, batches, and those that take float32 rows.
bool readPacked(const Params &params);
// Parameter `quantize` of family `down`: whether the kernel makes the quantised rows itself. Throws ParamError
// for kernels that cannot: dynamic ones, whose rows may be many, and those that take float32 rows.
bool readDownQuantize(const Params &params);
// GPU matrix kernels for exactly 1 to this many tokens stream the weights (templates/cuda); more go by tiles.
constexpr int64_t mostStreamTokens = 16;
// Tiles of sixteen rows that a block of such a kernel has, for `batch` matrices of `n` rows: two share the
// activations where there are blocks enough.
constexpr int64_t streamRowTiles(int64_t n, int64_t batch) { return (n + 31) / 32 * batch >= 512 ? 2 : 1; }
// Most elements of a row of a GPU's norm with `products`: they fit into 48 KiB of shared memory.
constexpr int64_t mostNormProductElements = 12288;
// Groups of 16 weights that share a scale in formats of integers below 128 (q4_k …), 0 for other formats.
// Streaming kernels multiply such integers and scale the sums, so that weights are not rounded.
int64_t groupsPerScale(uint32_t type);
// Element type of activations, params[name] (`x_type`, `y_type`): true for `bf16`, false for `f32` or if
// absent.
bool isBfloat(const Params &params, std::string_view name);

// Throws ParamError when `used`: what parameter `name` asks for exists only on the GPU.
void needGpu(std::string_view name, bool used);

} // namespace ktc
