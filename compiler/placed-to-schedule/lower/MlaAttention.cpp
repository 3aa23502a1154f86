// Lowering of multi-head latent attention in its absorbed form. On a GPU lane norm, rotation and cache append
// are one kernel.
#include "compiler/placed-to-schedule/lower/Attention.h"

#include "runtime/abi/kt_abi.h"
#include "templates/specs.h"

using namespace mlir;

namespace ktc::lower {

// A product per head with the weight [heads][n][k]. `x` is the input at the given strides: float32, on a GPU
// lane perhaps bf16.
static Value perHead(Operation *op, FlatSymbolRefAttr weight, MatrixRows x, int64_t xStride, int64_t xRowStride,
                     EntryBuilder &entry, StringRef path, StringRef name, bool yBf16 = false) {
  RankedTensorType type = model::weightType(op, weight);
  MatMul mm;
  mm.element = type.getElementType();
  mm.batch = type.getDimSize(0);
  mm.n = type.getDimSize(1);
  mm.k = type.getDimSize(2);
  RowKind kind = rowKind(mm.element);
  mm.x = x;
  if (!entry.getLane().isGpu && kind != RowKind::F32)
    mm.x = {entry.quantize(x.rows, kind, mm.batch, mm.k, xStride, xRowStride, path), kind};
  mm.xStride = xStride;
  mm.xBatchStride = xRowStride;
  mm.w = entry.weight(weight);
  mm.y = entry.alloc(mm.batch * mm.n * elementBytes(yBf16), name);
  mm.yBf16 = yBf16;
  mm.yStride = mm.batch * mm.n;
  mm.yBatchStride = mm.n;
  emitMatMul(mm, entry, path);
  return mm.y;
}

namespace {

// What the attention proper reads: absorbed queries, their rotary parts and the cache. Where `isWhole`, both
// are in the rows `absorbed`, as bfloat16.
struct Prepared {
  Value absorbed, qRope, cache;
  bool isWhole = false;
};

// Sizes of one operation, in elements.
struct Sizes {
  explicit Sizes(model::MlaAttentionOp op)
      : heads(op.getHeads()), nope(op.getNope()), ropeDims(op.getRopeDims()), latent(op.getLatent()),
        qRow(nope + ropeDims), kvRow(latent + ropeDims) {}

  int64_t heads, nope, ropeDims, latent, qRow, kvRow;
};

} // namespace

static Value absorb(model::MlaAttentionOp op, Value q, EntryBuilder &entry) {
  const Sizes size(op);
  return perHead(op, op.getKBAttr(), {q, RowKind::F32}, size.heads * size.qRow, size.qRow, entry, op.getPath(),
                 "absorbed q");
}

static Prepared prepareOnCpu(model::MlaAttentionOp op, Value q, Value kv, Value positions,
                             EntryBuilder &entry) {
  const Sizes size(op);
  StringRef path = op.getPath();
  Value c = entry.alloc(size.latent * 4, "latent");
  entry.dispatch("rms_norm",
                 {{"k", entry.integer(size.latent)},
                  {"eps", entry.real(op.getNormEps().convertToDouble())},
                  {"rows", entry.integer(1)},
                  {"x_stride", entry.integer(size.kvRow)},
                  {"x_row_stride", entry.integer(size.kvRow)},
                  {"y_stride", entry.integer(size.latent)},
                  {"y_row_stride", entry.integer(size.latent)},
                  {"row_offset", entry.integer(0)}},
                 {kv, entry.weight(op.getKvNormAttr()), c, entry.none()}, {2}, {0, 1}, path, size.latent * 4);
  Value qRope = entry.view(q, size.nope * 4), kRope = entry.view(kv, size.latent * 4);
  rotateHeads({qRope, size.heads, size.heads * size.qRow, size.qRow}, op.getRope(), positions, entry, path);
  rotateHeads({kRope, 1, size.kvRow, size.kvRow}, op.getRope(), positions, entry, path);
  Value cache = entry.kvCache(op.getLayer(), 0, size.kvRow);
  appendToCache(c, size.latent, size.latent, cache, size.kvRow, positions, entry, path);
  appendToCache(kRope, size.ropeDims, size.kvRow, entry.view(cache, entry.getSettings().kvBytes(size.latent)),
                size.kvRow, positions, entry, path);
  return {absorb(op, q, entry), qRope, cache};
}

// True if `weight` can be multiplied by kernels that stream weights for a few tokens, as parts of other
// kernels.
static bool streams(Operation *op, FlatSymbolRefAttr weight, EntryBuilder &entry) {
  return entry.getLane().isGpu && !entry.getShape().dynamic && entry.getShape().tokens <= mostStreamTokens &&
         quant::typeIdOf(model::weightType(op, weight).getElementType()) != KT_TYPE_F32;
}

// The products of absorbed queries are part of the kernel where they can be: neither needs the other.
static Prepared prepareOnGpu(model::MlaAttentionOp op, Value q, Value kv, Value positions,
                             EntryBuilder &entry) {
  const Sizes size(op);
  Value qRope = entry.view(q, size.nope * 4), cache = entry.kvCache(op.getLayer(), 0, size.kvRow);
  SmallVector<Param> params = {{"heads", entry.integer(size.heads)},
                               {"latent", entry.integer(size.latent)},
                               {"rope", entry.integer(size.ropeDims)},
                               {"eps", entry.real(op.getNormEps().convertToDouble())},
                               {"style", entry.text(op.getRope().getStyle())},
                               {"q_stride", entry.integer(size.heads * size.qRow)},
                               {"q_row_stride", entry.integer(size.qRow)},
                               {"kv_stride", entry.integer(size.kvRow)},
                               {"kv_type", entry.text(entry.getSettings().kvType)}};
  SmallVector<Value> operands = {
      qRope,     kv,   entry.weight(op.getKvNormAttr()), entry.weight(entry.ropeTable(op.getRope())),
      positions, cache};
  if (!streams(op, op.getKBAttr(), entry)) {
    entry.dispatch("mla_prepare", params, operands, {0, 5}, {0, size.heads + 1}, op.getPath(), size.latent * 4);
    return {absorb(op, q, entry), qRope, cache};
  }
  const RankedTensorType weight = model::weightType(op, op.getKBAttr());
  params.push_back({"nope", entry.integer(size.nope)});
  params.push_back({"format", entry.text(formatName(weight.getElementType()))});
  // Attention multiplies 16-bit floats of the cache's kind.
  const bool isWhole = entry.getSettings().kvType != "f16";
  if (isWhole)
    params.push_back({"y_type", entry.text("bf16")});
  Value absorbed = entry.alloc(size.heads * (isWhole ? size.kvRow * 2 : size.latent * 4), "absorbed q");
  operands[0] = q;
  operands.append({entry.none(), entry.weight(op.getKBAttr()), absorbed});
  entry.dispatch("mla_prepare", params, operands,
                 isWhole ? SmallVector<int32_t>{5, 8} : SmallVector<int32_t>{0, 5, 8}, {0, size.heads + 1},
                 op.getPath(),
                 size.latent * 4 + static_cast<int64_t>(quant::rowBytes(weight)) * size.heads * size.latent);
  if (isWhole)
    return {absorbed, entry.none(), cache, true};
  return {absorbed, qRope, cache};
}

LogicalResult lowerMlaAttention(model::MlaAttentionOp op, EntryBuilder &entry, Value positions) {
  if (!op.getForm() || *op.getForm() != "absorbed" || !op.getKB())
    return op.emitOpError() << "has no form; run model-select-mla-form and model-split-kv-b first";
  const Sizes size(op);
  const int64_t heads = size.heads, latent = size.latent, vDim = op.getVDim();
  StringRef path = op.getPath();
  if (failed(checkCacheBlocks(op, "latent", latent, entry)) ||
      failed(checkCacheBlocks(op, "rope_dims", size.ropeDims, entry)))
    return failure();
  Value q = entry.ownRows(op.getQ()), kv = entry.ownRows(op.getKv()), places = entry.input(positions);
  const bool isGpu = entry.getLane().isGpu;
  const Prepared prepared =
      isGpu ? prepareOnGpu(op, q, kv, places, entry) : prepareOnCpu(op, q, kv, places, entry);

  const RankedTensorType up = model::weightType(op, op.getVBAttr());
  const bool mixedBf16 = isGpu && quant::typeIdOf(up.getElementType()) != KT_TYPE_F32;
  const bool yBf16 = entry.onlyBf16Readers(op.getResult());
  AttentionCall call = {"attention_mla",
                        {{"heads", entry.integer(heads)},
                         {"latent", entry.integer(latent)},
                         {"rope", entry.integer(size.ropeDims)},
                         {"scale", entry.real(op.getScale().convertToDouble())},
                         {"kv_type", entry.text(entry.getSettings().kvType)},
                         {"q_stride", entry.integer(heads * size.qRow)},
                         {"q_row_stride", entry.integer(size.qRow)}},
                        prepared.absorbed,
                        prepared.qRope,
                        prepared.cache,
                        Value(),
                        places,
                        Value(),
                        heads,
                        1,
                        latent,
                        0,
                        mixedBf16};
  if (prepared.isWhole)
    call.params.push_back({"q_type", entry.text("bf16")});
  Value y;
  if (streams(op, op.getVBAttr(), entry) && takesUp(call, vDim, entry)) {
    y = entry.alloc(heads * vDim * elementBytes(yBf16), "attention");
    dispatchAttentionUp(call,
                        {formatName(up.getElementType()), entry.weight(op.getVBAttr()), vDim,
                         static_cast<int64_t>(quant::rowBytes(up)) * heads * vDim, y, yBf16},
                        entry, path);
  } else {
    call.y = entry.alloc(heads * latent * elementBytes(mixedBf16), "mixed latent");
    dispatchAttention(call, entry, path);
    y = perHead(op, op.getVBAttr(), {call.y, mixedBf16 ? RowKind::Bf16 : RowKind::F32}, heads * latent, latent,
                entry, path, "attention", yBf16);
  }
  Activation result{yBf16 ? Value() : y, heads * vDim};
  result.bf16 = yBf16 ? y : Value();
  entry.bind(op.getResult(), std::move(result));
  return success();
}

} // namespace ktc::lower
