// Lowering of embedding, norms, linear projections, lm_head and residual sums.
#include "compiler/placed-to-schedule/lower/EntryBuilder.h"

#include "runtime/abi/kt_abi.h"
#include "templates/specs.h"

using namespace mlir;

namespace ktc::lower {

LogicalResult lowerEmbed(model::EmbedOp op, EntryBuilder &entry, Value tokens) {
  RankedTensorType type = model::weightType(op, op.getWeightAttr());
  int64_t width = type.getDimSize(1);
  Value rows = entry.alloc(width * 4, "residual");
  entry.dispatch("embed",
                 {{"format", entry.text(formatName(type.getElementType()))},
                  {"k", entry.integer(width)},
                  {"vocab", entry.integer(type.getDimSize(0))},
                  {"y_stride", entry.integer(width)}},
                 {entry.input(tokens), entry.weight(op.getWeightAttr()), rows}, {2}, {0, 1}, op.getPath(),
                 static_cast<int64_t>(quant::rowBytes(type)) * entry.getShape().tokens);
  entry.bind(op.getResult(), {rows, width});
  return success();
}

// On a GPU lane the norm's outputs, operands 2 (float32) and 4 (bf16), are made when somebody asks for them.
LogicalResult lowerRmsNorm(model::RmsNormOp op, EntryBuilder &entry, bool fromRowOffset) {
  const int64_t features = entry.activation(op.getX()).features;
  const bool isGpu = entry.getLane().isGpu;
  Value x = entry.rows(op.getX(), RowKind::F32, op.getPath());
  Value rows = isGpu ? Value() : entry.alloc(features * 4, "norm");
  SmallVector<Value> operands = {x, entry.weight(op.getWeightAttr()), isGpu ? entry.none() : rows,
                                 entry.none()};
  if (isGpu)
    operands.push_back(entry.none());
  sched::DispatchOp norm = entry.dispatch("rms_norm",
                                          {{"k", entry.integer(features)},
                                           {"eps", entry.real(op.getEps().convertToDouble())},
                                           {"rows", entry.integer(1)},
                                           {"x_stride", entry.integer(features)},
                                           {"x_row_stride", entry.integer(features)},
                                           {"y_stride", entry.integer(features)},
                                           {"y_row_stride", entry.integer(features)},
                                           {"row_offset", entry.integer(fromRowOffset)}},
                                          operands, isGpu ? SmallVector<int32_t>() : SmallVector<int32_t>{2},
                                          {0, 1}, op.getPath(), features * 4);
  Activation result{rows, features};
  if (isGpu)
    result.norm = norm;
  entry.bind(op.getResult(), std::move(result));
  return success();
}

// y = W x for a whole activation; `y` may be given (the logits) or is allocated.
static Value projection(Operation *op, Value x, FlatSymbolRefAttr weight, FlatSymbolRefAttr bias, Value y,
                        EntryBuilder &entry, StringRef path, StringRef name) {
  RankedTensorType type = model::weightType(op, weight);
  MatMul mm;
  mm.element = type.getElementType();
  mm.n = type.getDimSize(0);
  mm.k = type.getDimSize(1);
  mm.x = entry.matrixRows(x, mm.element, path);
  mm.w = entry.weight(weight);
  mm.bias = bias ? entry.weight(bias) : Value();
  mm.y = y ? y : entry.alloc(mm.n * 4, name);
  mm.xStride = mm.k;
  mm.yStride = mm.n;
  emitMatMul(mm, entry, path);
  return mm.y;
}

LogicalResult lowerLinear(model::LinearOp op, EntryBuilder &entry) {
  Value y = projection(op, op.getX(), op.getWeightAttr(), op.getBiasAttr(), {}, entry, op.getPath(), "linear");
  entry.bind(op.getResult(), {y, model::features(op.getResult())});
  return success();
}

LogicalResult lowerLmHead(model::LmHeadOp op, EntryBuilder &entry, const HeadOutputs &outputs) {
  const int64_t vocab = model::features(op.getResult());
  projection(op, op.getX(), op.getWeightAttr(), {}, outputs.logits, entry, op.getPath(), "logits");
  entry.bind(op.getResult(), {outputs.logits, vocab});
  if (outputs.count == 0)
    return success();
  Value scratch = entry.alloc(topLogitsChunks(vocab) * 8, "summaries of logits");
  entry.dispatch("top_logits", {{"n", entry.integer(vocab)}, {"count", entry.integer(outputs.count)}},
                 {outputs.logits, outputs.ids, outputs.best, outputs.sums, scratch, entry.counters()},
                 {1, 2, 3, 4, 5}, {0, 1}, op.getPath());
  return success();
}

// x += y in the buffer of x. Pre-norm networks never read x again except through the sum; anything else is
// copied first.
LogicalResult lowerAdd(model::AddOp op, EntryBuilder &entry) {
  Value lhs = op.getLhs(), rhs = op.getRhs();
  // The kernel can gate what it adds, not what it adds to.
  if (entry.activation(lhs).gate)
    std::swap(lhs, rhs);
  if (entry.activation(lhs).gate)
    return op.emitOpError() << "cannot add two gated blocks";
  int64_t width = model::features(op.getResult());
  bool readLater =
      llvm::any_of(lhs.getUsers(), [&](Operation *user) { return user != op && op->isBeforeInBlock(user); });
  Value sum = entry.ownRows(lhs);
  if (readLater) {
    Value kept = sum;
    sum = entry.alloc(width * 4, "sum");
    entry.copy(kept, sum, width * 4);
  }
  Value added = entry.rows(rhs, RowKind::F32, op.getPath()), gate = entry.activation(rhs).gate;
  entry.dispatch("add",
                 {{"k", entry.integer(width)},
                  {"x_stride", entry.integer(width)},
                  {"y_stride", entry.integer(width)},
                  {"gate", entry.text(gate ? "sigmoid" : "none")}},
                 {added, sum, gate ? gate : entry.none()}, {1}, {0, 1}, op.getPath());
  entry.bind(op.getResult(), {sum, width});
  return success();
}

} // namespace ktc::lower
