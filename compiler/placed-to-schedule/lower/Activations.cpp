// EntryBuilder: the forms of model values, and how values get from one lane to another.
//
// Kernels read and write mapped memory (sched-place-buffers) as they do any other, so most hand-overs need
// nothing here. What a GPU would read more than once, or update, is copied to its own memory first.
#include "compiler/placed-to-schedule/lower/EntryBuilder.h"

#include "runtime/abi/kt_abi.h"

using namespace mlir;

namespace ktc::lower {

static constexpr unsigned kNormF32 = 2, kNormBf16 = 4; // operands of rms_norm

void EntryBuilder::bind(Value value, Activation activation) {
  if (!activation.lane)
    activation.lane = lane;
  activations[value] = std::move(activation);
}

void EntryBuilder::copy(Value from, Value to, int64_t bytesPerToken) {
  builder.create<sched::CopyOp>(module.getLoc(), lane->name, from, to, 0, bytesPerToken, false,
                                DenseI32ArrayAttr(), IntegerAttr());
}

// A buffer that the GPU norm of `activation` writes as operand `operand` besides what it writes already.
Value EntryBuilder::normOutput(Activation &activation, unsigned operand, int64_t bytesPerElement,
                               StringRef name) {
  OpBuilder::InsertionGuard guard(builder);
  const Lane *reader = lane;
  lane = activation.lane;
  builder.setInsertionPoint(activation.norm);
  Value rows = alloc(activation.features * bytesPerElement, name);
  lane = reader;
  activation.norm->setOperand(operand, rows);
  SmallVector<int32_t> writes(activation.norm.getWrites());
  writes.insert(llvm::upper_bound(writes, static_cast<int32_t>(operand)), static_cast<int32_t>(operand));
  activation.norm.setWrites(writes);
  return rows;
}

// The float32 rows on the lane that makes them.
Value EntryBuilder::ownRowsOf(Activation &activation) {
  if (!activation.rows)
    activation.rows = normOutput(activation, kNormF32, 4, "norm");
  return activation.rows;
}

// A copy of the rows, made by the lane of a GPU: it can copy between its memory and the host's.
Value EntryBuilder::copyFor(Activation &activation, const Lane &producer, const Lane &reader) {
  for (auto &[known, rows] : activation.copies)
    if (known == &reader)
      return rows;
  const Lane *current = lane;
  lane = reader.isGpu ? &reader : &producer;
  Value from = ownRowsOf(activation);
  Value rows = alloc(activation.features * 4, "copy");
  copy(from, rows, activation.features * 4);
  lane = current;
  activation.copies.push_back({&reader, rows});
  return rows;
}

// True if rows are worth a copy for `reader`: a GPU would read host memory again and again, and what the GPU
// that makes the rows also reads should lie in its own memory.
static bool wantsCopy(Value value, const Lane &producer, const Lane &reader, const EntryBuilder &entry) {
  size_t byReader = 0, byProducer = 0;
  for (OpOperand &use : value.getUses()) {
    const Lane &user = entry.laneOf(use.getOwner());
    byReader += &user == &reader;
    byProducer += &user == &producer;
  }
  return (reader.isGpu && byReader > 1) || (producer.isGpu && byProducer > 0);
}

Value EntryBuilder::rows(Value value, RowKind kind, StringRef path) {
  Activation &act = activation(value);
  const Lane &reader = *lane, &producer = *act.lane;
  if (kind == RowKind::F32) {
    if (&producer == &reader || !wantsCopy(value, producer, reader, *this))
      return ownRowsOf(act);
    return copyFor(act, producer, reader);
  }
  Value &quantized = kind == RowKind::Q8k ? act.q8k : act.q8;
  if (!quantized) {
    lane = &producer; // which has the floats, and whose norm can make them on the way
    quantized = quantize(ownRowsOf(act), kind, 1, act.features, act.features, act.features, path);
    lane = &reader;
  }
  return quantized;
}

Value EntryBuilder::ownRows(Value value) {
  Activation &act = activation(value);
  return act.lane == lane ? ownRowsOf(act) : copyFor(act, *act.lane, *lane);
}

MatrixRows EntryBuilder::matrixRows(Value value, Type element, StringRef path) {
  if (!lane->isGpu) {
    const RowKind kind = rowKind(element);
    return {rows(value, kind, path), kind};
  }
  Activation &act = activation(value);
  const bool takesBf16 = quant::typeIdOf(element) != KT_TYPE_F32;
  if (takesBf16 && act.lane == lane && act.norm && !act.bf16)
    act.bf16 = normOutput(act, kNormBf16, 2, "norm bf16");
  if (takesBf16 && act.lane == lane && act.bf16)
    return {act.bf16, RowKind::Bf16};
  return {rows(value, RowKind::F32, path), RowKind::F32};
}

// Element types of the matrices that `op` multiplies its operand with; empty if it does anything else with it.
static SmallVector<Type> matrixTypes(OpOperand &use) {
  Operation *op = use.getOwner();
  SmallVector<Type> types;
  auto add = [&](FlatSymbolRefAttr weight) {
    if (weight)
      types.push_back(model::weightType(op, weight).getElementType());
  };
  if (auto linear = dyn_cast<model::LinearOp>(op)) {
    add(linear.getWeightAttr());
  } else if (auto router = dyn_cast<model::RouterOp>(op)) {
    add(router.getWeightAttr());
  } else if (auto head = dyn_cast<model::LmHeadOp>(op)) {
    add(head.getWeightAttr());
  } else if (auto ffn = dyn_cast<model::FfnOp>(op)) {
    for (FlatSymbolRefAttr weight : {ffn.getGateAttr(), ffn.getUpAttr(), ffn.getOutputGateAttr()})
      add(weight);
  } else if (auto experts = dyn_cast<model::ExpertsOp>(op); experts && use.get() == experts.getX()) {
    for (FlatSymbolRefAttr weight : {experts.getGateUpAttr(), experts.getGateAttr(), experts.getUpAttr()})
      add(weight);
  }
  return types;
}

bool EntryBuilder::onlyBf16Readers(Value value) const {
  return lane->isGpu && llvm::all_of(value.getUses(), [&](OpOperand &use) {
           SmallVector<Type> types = matrixTypes(use);
           return !types.empty() && &laneOf(use.getOwner()) == lane &&
                  llvm::all_of(types, [](Type type) { return quant::typeIdOf(type) != KT_TYPE_F32; });
         });
}

Value EntryBuilder::input(Value hostInput) {
  if (!lane->isGpu)
    return hostInput;
  Value &copied = inputs[{hostInput, lane}];
  if (!copied) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointAfter(hostInput.getDefiningOp());
    copied = alloc(4, "input");
    copy(hostInput, copied, 4);
  }
  return copied;
}

} // namespace ktc::lower
