// Parameter checks of the families in specs.h: a few shared readers, then one short function per family.
#include "templates/specs.h"

#include "runtime/abi/kt_abi.h"
#include "templates/param_check.h"

#include <algorithm>
#include <string>

namespace ktc {
namespace {

constexpr int64_t maxElements = int64_t(1) << 24; // of one row
constexpr int64_t maxStride = int64_t(1) << 28;   // of 4-byte elements: below 2 GiB
constexpr int64_t maxRows = int64_t(1) << 16;
constexpr int64_t maxTokens = int64_t(1) << 20;

[[noreturn]] void reject(std::string_view name, const std::string &expected, int64_t found) {
  throw ParamError("parameter '" + std::string(name) + "' must be " + expected + ", found " +
                   std::to_string(found));
}

// An integer in low..high that is a multiple of `step`.
int64_t needMultiple(const Params &params, std::string_view name, int64_t step, int64_t low, int64_t high) {
  int64_t value = needInt(params, name, low, high);
  if (value % step != 0)
    reject(name, "a multiple of " + std::to_string(step), value);
  return value;
}

// The optional index of a string among `choices`; the first is the default.
template <size_t N>
size_t optionalChoice(const Params &params, std::string_view name, const std::string_view (&choices)[N]) {
  return params.find(name) == params.end() ? 0 : needChoice(params, name, choices);
}

int64_t stride(const Params &params, std::string_view name, int64_t fallback, int64_t low = 0) {
  return optionalInt(params, name, std::min(fallback, maxStride), low, maxStride);
}

KtType readKvType(const Params &params) {
  constexpr KtType types[] = {KT_TYPE_F16, KT_TYPE_BF16, KT_TYPE_F32, KT_TYPE_Q8_0};
  return types[optionalChoice(params, "kv_type", {"f16", "bf16", "f32", "q8_0"})];
}

// A number of cache elements from one place to the next: whole blocks of the type.
void checkCacheElements(KtType type, std::string_view name, int64_t elements) {
  if (type == KT_TYPE_Q8_0 && elements % 32 != 0)
    reject(name, "a multiple of 32 for q8_0", elements);
}

// How many splits positions have at most: a power of two.
int64_t readSplits(const Params &params, int64_t least, bool dynamic) {
  const int64_t splits = optionalInt(params, "splits", least, least, dynamic ? 1 : 64);
  if ((splits & (splits - 1)) != 0)
    reject("splits", "a power of two", splits);
  return splits;
}

// How many positions a split is for.
int64_t readSplitPositions(const Params &params) {
  const int64_t positions = optionalInt(params, "split_positions", defaultSplitPositions, 16, 65536);
  if (positions % 16 != 0)
    reject("split_positions", "a multiple of 16", positions);
  return positions;
}

// Whether attention merges its splits itself.
bool readMerge(const Params &params, int64_t splits) {
  const bool merge = flag(params, "merge");
  if (merge && splits < 2)
    throw ParamError("parameter 'merge' needs splits, found 1");
  return merge;
}

// Rows of `length` elements; `prefix` is "x" or "y". By default rows are packed one after the other.
RowLayout readLayout(const Params &params, const std::string &prefix, int64_t length) {
  RowLayout layout;
  layout.rows = optionalInt(params, "rows", 1, 1, maxRows);
  layout.rowStride = stride(params, prefix + "_row_stride", length);
  layout.stride = stride(params, prefix + "_stride", layout.rows * layout.rowStride);
  return layout;
}

// `m` and `dynamic` mean the same everywhere; families whose units carry the token only check them.
void checkTokens(const Params &params) {
  optionalInt(params, "m", 1, 1, maxTokens);
  flag(params, "dynamic");
}

bool readBfloatY(const Params &params) { return optionalChoice(params, "y_type", {"f32", "bf16"}) == 1; }

float readEps(const Params &params) {
  const float eps = static_cast<float>(needReal(params, "eps"));
  if (!(eps >= 0 && eps <= 1))
    throw ParamError("parameter 'eps' must be in 0..1, found " + std::to_string(eps));
  return eps;
}

// Elements that share a scale of a quantised row.
int64_t readGroup(const Params &params) {
  int64_t group = optionalInt(params, "group", 32);
  if (group != 32 && group != 256)
    reject("group", "32 or 256", group);
  return group;
}

} // namespace

size_t quantizedRowBytes(int64_t k, int64_t group) { return group == 32 ? ktQ8RowBytes(k) : ktQ8kRowBytes(k); }

QuantizeSpec readQuantize(const Params &params) {
  QuantizeSpec spec;
  spec.group = readGroup(params);
  spec.k = needMultiple(params, "k", spec.group, spec.group, maxElements);
  spec.x = readLayout(params, "x", spec.k);
  checkTokens(params);
  return spec;
}

RmsNormSpec readRmsNorm(const Params &params) {
  RmsNormSpec spec;
  spec.group = readGroup(params);
  spec.k = spec.group == 32 ? needInt(params, "k", 1, maxElements)
                            : needMultiple(params, "k", spec.group, spec.group, maxElements);
  spec.eps = readEps(params);
  spec.x = readLayout(params, "x", spec.k);
  spec.y = readLayout(params, "y", spec.k);
  spec.useRowOffset = flag(params, "row_offset");
  spec.adds = optionalInt(params, "adds", 0, 0, 2);
  spec.sigmoidGate = optionalChoice(params, "add_gate", {"none", "sigmoid"}) == 1;
  if (spec.adds > 0 && (spec.x.rows > 1 || spec.useRowOffset))
    reject("adds", "0 with several rows per token or a row offset", spec.adds);
  if (spec.sigmoidGate && spec.adds == 0)
    throw ParamError("parameter 'add_gate' needs 'adds'");
  spec.products = optionalInt(params, "products", 0, 0, 1 << 16);
  if (spec.products > 0 && (spec.x.rows > 1 || spec.useRowOffset || spec.adds > 0 || flag(params, "dynamic")))
    reject("products", "0 with several rows per token, a row offset, 'adds' or 'dynamic'", spec.products);
  checkTokens(params);
  return spec;
}

RopeSpec readRope(const Params &params) {
  RopeSpec spec;
  spec.dims = needMultiple(params, "dims", 2, 2, 1 << 16);
  spec.x = readLayout(params, "x", spec.dims);
  spec.neox = optionalChoice(params, "style", {"norm", "neox"}) == 1;
  checkTokens(params);
  return spec;
}

KvStoreSpec readKvStore(const Params &params) {
  KvStoreSpec spec;
  spec.width = needInt(params, "width", 1, maxElements);
  spec.stride = stride(params, "x_stride", spec.width);
  spec.type = readKvType(params);
  spec.cacheStride = stride(params, "cache_stride", spec.width, spec.width);
  checkCacheElements(spec.type, "width", spec.width);
  checkCacheElements(spec.type, "cache_stride", spec.cacheStride);
  checkTokens(params);
  return spec;
}

AttentionGqaSpec readAttentionGqa(const Params &params) {
  AttentionGqaSpec spec;
  spec.heads = needInt(params, "heads", 1, 4096);
  spec.kvHeads = optionalInt(params, "kv_heads", spec.heads, 1, 4096);
  spec.headDim = needMultiple(params, "head_dim", 8, 8, 4096);
  spec.vDim = params.find("v_dim") == params.end() ? spec.headDim : needMultiple(params, "v_dim", 8, 8, 4096);
  spec.scale = static_cast<float>(needReal(params, "scale"));
  spec.type = readKvType(params);
  checkCacheElements(spec.type, "head_dim", spec.headDim);
  checkCacheElements(spec.type, "v_dim", spec.vDim);
  spec.qStride = stride(params, "q_stride", spec.heads * spec.headDim);
  spec.yStride = stride(params, "y_stride", spec.heads * spec.vDim);
  spec.window = optionalInt(params, "window", 0, 0, INT32_MAX);
  spec.sinks = flag(params, "sinks");
  spec.dynamic = flag(params, "dynamic");
  spec.splits = readSplits(params, 1, spec.dynamic);
  spec.splitPositions = readSplitPositions(params);
  spec.merge = readMerge(params, spec.splits);
  spec.bfloatY = readBfloatY(params);
  checkTokens(params);
  if (spec.heads % spec.kvHeads != 0)
    reject("heads", "a multiple of kv_heads = " + std::to_string(spec.kvHeads), spec.heads);
  return spec;
}

AttentionMlaSpec readAttentionMla(const Params &params) {
  AttentionMlaSpec spec;
  spec.heads = needInt(params, "heads", 1, 4096);
  spec.latent = needMultiple(params, "latent", 8, 8, 4096);
  spec.rope = needMultiple(params, "rope", 8, 8, 4096);
  spec.scale = static_cast<float>(needReal(params, "scale"));
  spec.type = readKvType(params);
  checkCacheElements(spec.type, "latent", spec.latent);
  checkCacheElements(spec.type, "rope", spec.rope);
  // Offsets of four heads must fit into an instruction.
  spec.qRowStride = optionalInt(params, "q_row_stride", spec.rope, 0, maxStride / 4);
  spec.qStride = stride(params, "q_stride", spec.heads * spec.qRowStride);
  spec.dynamic = flag(params, "dynamic");
  spec.splits = readSplits(params, 1, spec.dynamic);
  spec.splitPositions = readSplitPositions(params);
  spec.merge = readMerge(params, spec.splits);
  spec.bfloatY = readBfloatY(params);
  spec.bfloatQ = isBfloat(params, "q_type");
  spec.context = optionalInt(params, "context", 0, 0, INT32_MAX);
  checkTokens(params);
  return spec;
}

AttentionMergeSpec readAttentionMerge(const Params &params) {
  AttentionMergeSpec spec;
  spec.heads = needInt(params, "heads", 1, 4096);
  spec.vDim = needMultiple(params, "v_dim", 8, 8, 4096);
  spec.splits = readSplits(params, 2, false);
  spec.splitPositions = readSplitPositions(params);
  spec.bfloatY = readBfloatY(params);
  spec.yStride = stride(params, "y_stride", spec.heads * spec.vDim);
  spec.window = optionalInt(params, "window", 0, 0, INT32_MAX);
  spec.sinks = flag(params, "sinks");
  checkTokens(params);
  return spec;
}

AttentionUpSpec readAttentionUp(const Params &params) {
  AttentionUpSpec spec;
  Params merge = params; // of which all but `y_stride` and `y_type` mean the same
  merge.erase("y_stride");
  merge.erase("y_type");
  spec.merge = readAttentionMerge(merge);
  if (spec.merge.window != 0 || spec.merge.sinks)
    throw ParamError("parameters 'window' and 'sinks' must be absent");
  spec.format = &needFormat(params, "format");
  needWholeBlocks(*spec.format, spec.merge.vDim);
  spec.n = needInt(params, "n", 1, 1 << 16);
  spec.m = optionalInt(params, "m", 1, 1, mostStreamTokens);
  spec.yStride = stride(params, "y_stride", spec.merge.heads * spec.n);
  spec.bfloatY = readBfloatY(params);
  return spec;
}

GqaPrepareSpec readGqaPrepare(const Params &params) {
  GqaPrepareSpec spec;
  spec.heads = needInt(params, "heads", 1, 4096);
  spec.kvHeads = optionalInt(params, "kv_heads", spec.heads, 1, 4096);
  spec.headDim = needMultiple(params, "head_dim", 8, 8, 4096);
  spec.vDim = params.find("v_dim") == params.end() ? spec.headDim : needMultiple(params, "v_dim", 8, 8, 4096);
  spec.qStride = stride(params, "q_stride", spec.heads * spec.headDim);
  spec.kStride = stride(params, "k_stride", spec.kvHeads * spec.headDim);
  spec.vStride = stride(params, "v_stride", spec.kvHeads * spec.vDim);
  spec.type = readKvType(params);
  checkCacheElements(spec.type, "head_dim", spec.headDim);
  checkCacheElements(spec.type, "v_dim", spec.vDim);
  spec.norm = flag(params, "norm");
  if (spec.norm)
    spec.eps = readEps(params);
  spec.dims = optionalInt(params, "dims", 0, 0, spec.headDim);
  if (spec.dims % 2 != 0)
    reject("dims", "even", spec.dims);
  spec.neox = optionalChoice(params, "style", {"norm", "neox"}) == 1;
  checkTokens(params);
  if (spec.heads % spec.kvHeads != 0)
    reject("heads", "a multiple of kv_heads = " + std::to_string(spec.kvHeads), spec.heads);
  return spec;
}

MlaPrepareSpec readMlaPrepare(const Params &params) {
  MlaPrepareSpec spec;
  spec.heads = needInt(params, "heads", 1, 4096);
  spec.latent = needMultiple(params, "latent", 8, 8, 4096);
  spec.rope = needMultiple(params, "rope", 8, 8, 4096);
  spec.eps = readEps(params);
  spec.neox = optionalChoice(params, "style", {"norm", "neox"}) == 1;
  spec.type = readKvType(params);
  checkCacheElements(spec.type, "latent", spec.latent);
  checkCacheElements(spec.type, "rope", spec.rope);
  spec.qRowStride = optionalInt(params, "q_row_stride", spec.rope, 0, maxStride / 4);
  spec.qStride = stride(params, "q_stride", spec.heads * spec.qRowStride);
  spec.kvStride = stride(params, "kv_stride", spec.latent + spec.rope);
  spec.nope = optionalInt(params, "nope", 0, 0, 4096);
  if (params.contains("format")) {
    spec.absorb = &needFormat(params, "format");
    if (spec.nope == 0)
      throw ParamError("parameter 'format' needs 'nope'");
    needWholeBlocks(*spec.absorb, spec.nope);
  }
  spec.bfloatY = readBfloatY(params);
  if (spec.bfloatY && !spec.absorb)
    throw ParamError("parameter 'y_type' bf16 needs 'format'");
  checkTokens(params);
  return spec;
}

TopLogitsSpec readTopLogits(const Params &params) {
  TopLogitsSpec spec;
  spec.n = needInt(params, "n", 1, maxElements);
  spec.count = needInt(params, "count", 1, std::min<int64_t>(spec.n, 1024));
  checkTokens(params);
  return spec;
}

RouterSpec readRouter(const Params &params) {
  RouterSpec spec;
  spec.experts = needInt(params, "experts", 1, 65536);
  spec.topK = needInt(params, "top_k", 1, 256);
  constexpr Gating gatings[] = {Gating::Softmax, Gating::Sigmoid, Gating::TopkSoftmax};
  spec.gating = gatings[optionalChoice(params, "gating", {"softmax", "sigmoid", "topk_softmax"})];
  spec.bias = flag(params, "bias");
  spec.norm = flag(params, "norm");
  if (params.find("scale") != params.end())
    spec.scale = static_cast<float>(needReal(params, "scale"));
  spec.groups = optionalInt(params, "groups", 1, 1, 256);
  spec.groupsUsed = optionalInt(params, "groups_used", spec.groups, 1, spec.groups);
  spec.m = optionalInt(params, "m", 1, 1, maxTokens);
  spec.lists = flag(params, "lists");
  if (spec.lists && flag(params, "dynamic"))
    reject("lists", "0 in a dynamic kernel", 1);
  spec.defer = optionalInt(params, "defer", 0, 0, spec.topK - 1);
  if (spec.defer > 0 && !spec.lists)
    reject("defer", "0 without lists", spec.defer);
  if (spec.experts % spec.groups != 0)
    reject("groups", "a divisor of experts = " + std::to_string(spec.experts), spec.groups);
  int64_t eligible = spec.experts / spec.groups * spec.groupsUsed;
  if (spec.topK > eligible)
    reject("top_k", "at most the " + std::to_string(eligible) + " experts to choose from", spec.topK);
  return spec;
}

ExpertGroupSpec readExpertGroup(const Params &params) {
  ExpertGroupSpec spec;
  spec.experts = needInt(params, "experts", 1, 65536);
  spec.topK = needInt(params, "top_k", 1, 256);
  spec.m = optionalInt(params, "m", 1, 1, maxTokens);
  spec.dynamic = flag(params, "dynamic");
  spec.first = optionalInt(params, "first", 0, 0, spec.topK - 1);
  spec.count = optionalInt(params, "count", spec.topK - spec.first, 1, spec.topK - spec.first);
  return spec;
}

PackSpec readPack(const Params &params) {
  PackSpec spec;
  spec.group = readGroup(params);
  spec.k = needMultiple(params, "k", spec.group, spec.group, maxElements);
  spec.m = needInt(params, "m", 1, maxTokens);
  spec.dynamic = flag(params, "dynamic");
  spec.experts = optionalInt(params, "experts", 0, 0, 65536);
  spec.topK = optionalInt(params, "top_k", 1, 1, 256);
  if (spec.experts == 0 && spec.topK != 1)
    reject("top_k", "1 without experts", spec.topK);
  return spec;
}

bool readPacked(const Params &params) {
  if (!flag(params, "packed"))
    return false;
  if (!flag(params, "dynamic") || flag(params, "exact"))
    reject("packed", "0 in a kernel that never uses panels", 1);
  if (optionalInt(params, "batch", 1) != 1)
    reject("packed", "0 with batches", 1);
  const KtTypeInfo &format = needFormat(params, "format");
  if (ktTypeTakesF32Activations(format.id))
    reject("packed", std::string("0 for ") + format.name + ", which takes float32 rows", 1);
  return true;
}

AddSpec readAdd(const Params &params) {
  AddSpec spec;
  spec.k = needInt(params, "k", 1, maxElements);
  spec.xStride = stride(params, "x_stride", spec.k);
  spec.yStride = stride(params, "y_stride", spec.k);
  spec.sigmoidGate = optionalChoice(params, "gate", {"none", "sigmoid"}) == 1;
  checkTokens(params);
  return spec;
}

bool readDownQuantize(const Params &params) {
  if (!flag(params, "quantize"))
    return false;
  if (flag(params, "dynamic"))
    reject("quantize", "0 in a dynamic kernel", 1);
  const KtTypeInfo &format = needFormat(params, "format");
  if (ktTypeTakesF32Activations(format.id))
    reject("quantize", std::string("0 for ") + format.name + ", which takes float32 rows", 1);
  return true;
}

int64_t groupsPerScale(uint32_t type) {
  switch (type) {
  case KT_TYPE_Q4_0:
  case KT_TYPE_Q4_1:
  case KT_TYPE_Q5_0:
  case KT_TYPE_Q5_1:
  case KT_TYPE_Q4_K:
  case KT_TYPE_Q5_K:
    return 2;
  case KT_TYPE_Q2_K:
  case KT_TYPE_Q3_K:
  case KT_TYPE_Q6_K:
    return 1;
  default:
    return 0;
  }
}

bool isBfloat(const Params &params, std::string_view name) {
  return optionalChoice(params, name, {"f32", "bf16"}) == 1;
}

void needGpu(std::string_view name, bool used) {
  if (used)
    throw ParamError("parameter '" + std::string(name) + "' asks for what only GPU kernels do");
}

} // namespace ktc
