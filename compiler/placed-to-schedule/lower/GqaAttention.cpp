// Lowering of grouped-query attention. On a GPU lane norms, rotation and cache append are one kernel.
#include "compiler/placed-to-schedule/lower/Attention.h"

using namespace mlir;

namespace ktc::lower {

namespace {

// Operands of the steps before the attention proper.
struct Inputs {
  Value q, k, v, positions; // q, k and v are updated in place
};

struct Caches {
  Value keys, values;
};

} // namespace

static Caches cachesOf(model::GqaAttentionOp op, EntryBuilder &entry) {
  const int64_t kvHeads = op.getKvHeads();
  Value keys = entry.kvCache(op.getLayer(), 0, kvHeads * static_cast<int64_t>(op.getHeadDim()));
  return {keys, entry.kvCache(op.getLayer(), 1, kvHeads * static_cast<int64_t>(op.getVDim()))};
}

static Caches prepareOnCpu(model::GqaAttentionOp op, const Inputs &in, EntryBuilder &entry) {
  const int64_t heads = op.getHeads(), kvHeads = op.getKvHeads(), headDim = op.getHeadDim(),
                vDim = op.getVDim();
  StringRef path = op.getPath();
  HeadRows qHeads{in.q, heads, heads * headDim, headDim}, kHeads{in.k, kvHeads, kvHeads * headDim, headDim};
  double eps = op.getNormEps().convertToDouble();
  if (op.getQNormAttr())
    normHeads(qHeads, headDim, op.getQNormAttr(), eps, entry, path);
  if (op.getKNormAttr())
    normHeads(kHeads, headDim, op.getKNormAttr(), eps, entry, path);
  if (auto rope = op.getRopeAttr()) {
    rotateHeads(qHeads, rope, in.positions, entry, path);
    rotateHeads(kHeads, rope, in.positions, entry, path);
  }
  Caches caches = cachesOf(op, entry);
  appendToCache(in.k, kvHeads * headDim, kvHeads * headDim, caches.keys, kvHeads * headDim, in.positions, entry,
                path);
  appendToCache(in.v, kvHeads * vDim, kvHeads * vDim, caches.values, kvHeads * vDim, in.positions, entry, path);
  return caches;
}

static Caches prepareOnGpu(model::GqaAttentionOp op, const Inputs &in, EntryBuilder &entry) {
  const int64_t heads = op.getHeads(), kvHeads = op.getKvHeads(), headDim = op.getHeadDim(),
                vDim = op.getVDim();
  Caches caches = cachesOf(op, entry);
  auto optional = [&](FlatSymbolRefAttr symbol) { return symbol ? entry.weight(symbol) : entry.none(); };
  model::RopeAttr rope = op.getRopeAttr();
  SmallVector<Param> params = {{"heads", entry.integer(heads)},
                               {"kv_heads", entry.integer(kvHeads)},
                               {"head_dim", entry.integer(headDim)},
                               {"v_dim", entry.integer(vDim)},
                               {"q_stride", entry.integer(heads * headDim)},
                               {"k_stride", entry.integer(kvHeads * headDim)},
                               {"v_stride", entry.integer(kvHeads * vDim)},
                               {"kv_type", entry.text(entry.getSettings().kvType)},
                               {"norm", entry.integer(op.getQNormAttr() || op.getKNormAttr() ? 1 : 0)},
                               {"eps", entry.real(op.getNormEps().convertToDouble())},
                               {"dims", entry.integer(rope ? rope.getDims() : 0)}};
  if (rope)
    params.push_back({"style", entry.text(rope.getStyle())});
  entry.dispatch("gqa_prepare", params,
                 {in.q, in.k, in.v, optional(op.getQNormAttr()), optional(op.getKNormAttr()),
                  rope ? entry.weight(entry.ropeTable(rope)) : entry.none(), in.positions, caches.keys,
                  caches.values},
                 {0, 1, 2, 7, 8}, {0, heads + kvHeads}, op.getPath());
  return caches;
}

LogicalResult lowerGqaAttention(model::GqaAttentionOp op, EntryBuilder &entry, Value positions) {
  int64_t heads = op.getHeads(), kvHeads = op.getKvHeads(), headDim = op.getHeadDim(), vDim = op.getVDim();
  StringRef path = op.getPath();
  if (failed(checkCacheBlocks(op, "head_dim", headDim, entry)) ||
      failed(checkCacheBlocks(op, "v_dim", vDim, entry)))
    return failure();
  const Inputs in = {entry.ownRows(op.getQ()), entry.ownRows(op.getK()), entry.ownRows(op.getV()),
                     entry.input(positions)};
  const Caches caches = entry.getLane().isGpu ? prepareOnGpu(op, in, entry) : prepareOnCpu(op, in, entry);
  const bool yBf16 = entry.onlyBf16Readers(op.getResult());
  Value y = entry.alloc(heads * vDim * elementBytes(yBf16), "attention");
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
                     in.q,
                     caches.keys,
                     caches.values,
                     y,
                     in.positions,
                     op.getSinksAttr() ? entry.weight(op.getSinksAttr()) : Value(),
                     heads,
                     kvHeads,
                     vDim,
                     static_cast<int64_t>(op.getWindow()),
                     yBf16},
                    entry, path);
  Activation result{yBf16 ? Value() : y, heads * vDim};
  result.bf16 = yBf16 ? y : Value();
  entry.bind(op.getResult(), std::move(result));
  return success();
}

} // namespace ktc::lower
