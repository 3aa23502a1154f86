// Lowering of grouped-query and multi-head latent attention: norms and rope in place, cache append, attention
// proper.
#include "compiler/placed-to-schedule/lower/EntryBuilder.h"

#include "runtime/abi/kt_abi.h"

#include <algorithm>

using namespace mlir;

namespace ktc::lower {

// Rows of `count` heads inside every token: where they start and how they are spaced (elements).
struct HeadRows {
  Value start;
  int64_t count, tokenStride, rowStride;
};

static void normHeads(HeadRows rows, int64_t width, FlatSymbolRefAttr weight, double eps, EntryBuilder &entry,
                      StringRef path) {
  entry.dispatch("rms_norm",
                 {{"k", entry.integer(width)},
                  {"eps", entry.real(eps)},
                  {"rows", entry.integer(rows.count)},
                  {"x_stride", entry.integer(rows.tokenStride)},
                  {"x_row_stride", entry.integer(rows.rowStride)},
                  {"y_stride", entry.integer(rows.tokenStride)},
                  {"y_row_stride", entry.integer(rows.rowStride)},
                  {"row_offset", entry.integer(0)}},
                 {rows.start, entry.weight(weight), rows.start, entry.none()}, {2}, {0, rows.count}, path,
                 width * 4);
}

static void rotateHeads(HeadRows rows, model::RopeAttr rope, Value positions, EntryBuilder &entry,
                        StringRef path) {
  entry.dispatch("rope",
                 {{"dims", entry.integer(rope.getDims())},
                  {"rows", entry.integer(rows.count)},
                  {"x_stride", entry.integer(rows.tokenStride)},
                  {"x_row_stride", entry.integer(rows.rowStride)},
                  {"style", entry.text(rope.getStyle())}},
                 {rows.start, entry.weight(entry.ropeTable(rope)), positions}, {0}, {0, rows.count}, path);
}

static void appendToCache(Value x, int64_t width, int64_t xStride, Value cache, int64_t cacheStride,
                          Value positions, EntryBuilder &entry, StringRef path) {
  entry.dispatch("kv_store",
                 {{"width", entry.integer(width)},
                  {"x_stride", entry.integer(xStride)},
                  {"kv_type", entry.text(entry.getSettings().kvType)},
                  {"cache_stride", entry.integer(cacheStride)}},
                 {x, cache, positions}, {1}, {0, 1}, path);
}

// A head, or a part of one, must fill whole blocks of the cache's type.
static LogicalResult checkCacheBlocks(Operation *op, StringRef what, int64_t elements, EntryBuilder &entry) {
  const int64_t block = entry.getSettings().kvBlock();
  if (elements % block == 0)
    return success();
  return op->emitOpError() << "cannot have a KV cache of type " << entry.getSettings().kvType << ": " << what
                           << " must be a multiple of " << block << ", found " << elements;
}

// The attention proper, of either family, into the float32 rows `y`.
struct AttentionCall {
  StringRef family;
  SmallVector<Param> params; // of the family, without sinks and splits
  Value q, second, third;    // operands 0 to 2
  Value y, positions, sinks; // sinks may be null
  int64_t heads, kvHeads, valueLength, window;
};

// How many splits the positions of a decoded token have at most: one per 256 positions, enough for the threads
// of a large machine together with the heads, and few where partial results of many heads would need much
// memory.
static int64_t mostSplits(int64_t heads, int64_t window, EntryBuilder &entry) {
  const int64_t limit = heads <= 32 ? 16 : heads <= 64 ? 8 : 4;
  const int64_t context = entry.getSettings().context;
  const int64_t seen = window > 0 ? std::min(window, context) : context;
  int64_t splits = 1;
  while (splits < limit && splits * 256 < seen)
    splits *= 2;
  return entry.getShape().dynamic ? 1 : splits;
}

static void dispatchAttention(AttentionCall call, EntryBuilder &entry, StringRef path) {
  const int64_t splits = mostSplits(call.heads, call.window, entry);
  SmallVector<Value> operands = {call.q, call.second, call.third, call.y, call.positions};
  if (splits == 1) {
    if (call.sinks) {
      call.params.push_back({"sinks", entry.integer(1)});
      operands.push_back(call.sinks);
    }
    entry.dispatch(call.family, call.params, operands, {3},
                   {0, entry.getShape().dynamic ? call.kvHeads : call.heads}, path);
    return;
  }
  Value partials = entry.alloc(call.heads * splits * (call.valueLength + 16) * 4, "attention partials");
  operands[3] = entry.none();
  operands.append({entry.none(), partials});
  call.params.push_back({"splits", entry.integer(splits)});
  entry.dispatch(call.family, call.params, operands, {6}, {0, call.heads * splits}, path);
  entry.dispatch("attention_merge",
                 {{"heads", entry.integer(call.heads)},
                  {"v_dim", entry.integer(call.valueLength)},
                  {"splits", entry.integer(splits)},
                  {"y_stride", entry.integer(call.heads * call.valueLength)},
                  {"window", entry.integer(call.window)},
                  {"sinks", entry.integer(call.sinks ? 1 : 0)}},
                 {partials, call.y, call.positions, call.sinks ? call.sinks : entry.none()}, {1},
                 {0, call.heads}, path);
}

LogicalResult lowerGqaAttention(model::GqaAttentionOp op, EntryBuilder &entry, Value positions) {
  int64_t heads = op.getHeads(), kvHeads = op.getKvHeads(), headDim = op.getHeadDim(), vDim = op.getVDim();
  StringRef path = op.getPath();
  if (failed(checkCacheBlocks(op, "head_dim", headDim, entry)) ||
      failed(checkCacheBlocks(op, "v_dim", vDim, entry)))
    return failure();
  Value q = entry.activation(op.getQ()).rows, k = entry.activation(op.getK()).rows,
        v = entry.activation(op.getV()).rows;
  HeadRows qHeads{q, heads, heads * headDim, headDim}, kHeads{k, kvHeads, kvHeads * headDim, headDim};
  double eps = op.getNormEps().convertToDouble();
  if (op.getQNormAttr())
    normHeads(qHeads, headDim, op.getQNormAttr(), eps, entry, path);
  if (op.getKNormAttr())
    normHeads(kHeads, headDim, op.getKNormAttr(), eps, entry, path);
  if (auto rope = op.getRopeAttr()) {
    rotateHeads(qHeads, rope, positions, entry, path);
    rotateHeads(kHeads, rope, positions, entry, path);
  }
  Value keys = entry.kvCache(op.getLayer(), 0, kvHeads * headDim);
  Value values = entry.kvCache(op.getLayer(), 1, kvHeads * vDim);
  appendToCache(k, kvHeads * headDim, kvHeads * headDim, keys, kvHeads * headDim, positions, entry, path);
  appendToCache(v, kvHeads * vDim, kvHeads * vDim, values, kvHeads * vDim, positions, entry, path);
  Value y = entry.alloc(heads * vDim * 4, "attention");
  dispatchAttention({"attention_gqa",
                     {{"heads", entry.integer(heads)},
                      {"kv_heads", entry.integer(kvHeads)},
                      {"head_dim", entry.integer(headDim)},
                      {"v_dim", entry.integer(vDim)},
                      {"scale", entry.real(op.getScale().convertToDouble())},
                      {"kv_type", entry.text(entry.getSettings().kvType)},
                      {"q_stride", entry.integer(heads * headDim)},
                      {"y_stride", entry.integer(heads * vDim)},
                      {"window", entry.integer(op.getWindow())}},
                     q,
                     keys,
                     values,
                     y,
                     positions,
                     op.getSinksAttr() ? entry.weight(op.getSinksAttr()) : Value(),
                     heads,
                     kvHeads,
                     vDim,
                     static_cast<int64_t>(op.getWindow())},
                    entry, path);
  entry.bind(op.getResult(), {y, heads * vDim, {}});
  return success();
}

// A product per head with the weight [heads][n][k]. `x` is the float32 input at the given strides.
static Value perHead(Operation *op, FlatSymbolRefAttr weight, Value x, int64_t xStride, int64_t xRowStride,
                     EntryBuilder &entry, StringRef path, StringRef name) {
  RankedTensorType type = model::weightType(op, weight);
  MatMul mm;
  mm.element = type.getElementType();
  mm.batch = type.getDimSize(0);
  mm.n = type.getDimSize(1);
  mm.k = type.getDimSize(2);
  RowKind kind = rowKind(mm.element);
  mm.x = kind == RowKind::F32 ? x : entry.quantize(x, kind, mm.batch, mm.k, xStride, xRowStride, path);
  mm.xStride = xStride;
  mm.xBatchStride = xRowStride;
  mm.w = entry.weight(weight);
  mm.y = entry.alloc(mm.batch * mm.n * 4, name);
  mm.yStride = mm.batch * mm.n;
  mm.yBatchStride = mm.n;
  emitMatMul(mm, entry, path);
  return mm.y;
}

LogicalResult lowerMlaAttention(model::MlaAttentionOp op, EntryBuilder &entry, Value positions) {
  if (!op.getForm() || *op.getForm() != "absorbed" || !op.getKB())
    return op.emitOpError() << "has no form; run model-select-mla-form and model-split-kv-b first";
  int64_t heads = op.getHeads(), nope = op.getNope(), ropeDims = op.getRopeDims(), latent = op.getLatent();
  int64_t vDim = op.getVDim();
  int64_t qRow = nope + ropeDims, kvRow = latent + ropeDims;
  StringRef path = op.getPath();
  if (failed(checkCacheBlocks(op, "latent", latent, entry)) ||
      failed(checkCacheBlocks(op, "rope_dims", ropeDims, entry)))
    return failure();
  Value q = entry.activation(op.getQ()).rows, kv = entry.activation(op.getKv()).rows;

  Value c = entry.alloc(latent * 4, "latent");
  entry.dispatch("rms_norm",
                 {{"k", entry.integer(latent)},
                  {"eps", entry.real(op.getNormEps().convertToDouble())},
                  {"rows", entry.integer(1)},
                  {"x_stride", entry.integer(kvRow)},
                  {"x_row_stride", entry.integer(kvRow)},
                  {"y_stride", entry.integer(latent)},
                  {"y_row_stride", entry.integer(latent)},
                  {"row_offset", entry.integer(0)}},
                 {kv, entry.weight(op.getKvNormAttr()), c, entry.none()}, {2}, {0, 1}, path, latent * 4);
  Value qRope = entry.view(q, nope * 4), kRope = entry.view(kv, latent * 4);
  rotateHeads({qRope, heads, heads * qRow, qRow}, op.getRope(), positions, entry, path);
  rotateHeads({kRope, 1, kvRow, kvRow}, op.getRope(), positions, entry, path);
  Value cache = entry.kvCache(op.getLayer(), 0, kvRow);
  appendToCache(c, latent, latent, cache, kvRow, positions, entry, path);
  appendToCache(kRope, ropeDims, kvRow, entry.view(cache, entry.getSettings().kvBytes(latent)), kvRow,
                positions, entry, path);

  Value absorbed = perHead(op, op.getKBAttr(), q, heads * qRow, qRow, entry, path, "absorbed q");
  Value mixed = entry.alloc(heads * latent * 4, "mixed latent");
  dispatchAttention({"attention_mla",
                     {{"heads", entry.integer(heads)},
                      {"latent", entry.integer(latent)},
                      {"rope", entry.integer(ropeDims)},
                      {"scale", entry.real(op.getScale().convertToDouble())},
                      {"kv_type", entry.text(entry.getSettings().kvType)},
                      {"q_stride", entry.integer(heads * qRow)},
                      {"q_row_stride", entry.integer(qRow)}},
                     absorbed,
                     qRope,
                     cache,
                     mixed,
                     positions,
                     Value(),
                     heads,
                     1,
                     latent,
                     0},
                    entry, path);
  Value y = perHead(op, op.getVBAttr(), mixed, heads * latent, latent, entry, path, "attention");
  entry.bind(op.getResult(), {y, heads * vDim, {}});
  return success();
}

} // namespace ktc::lower
