// The schedule dialect: verifiers.
#include "dialects/schedule/Schedule.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/OpImplementation.h"
#include "runtime/abi/kt_abi.h"

using namespace mlir;

#define GET_OP_CLASSES
#include "ScheduleOps.cpp.inc"

namespace ktc::sched {

// Looks `ref` up from `op` and checks that it is an `OpT`; `what` names the expected thing in the message.
template <typename OpT> static LogicalResult checkSymbol(Operation *op, FlatSymbolRefAttr ref, StringRef what) {
  if (isa_and_nonnull<OpT>(SymbolTable::lookupNearestSymbolFrom(op, ref)))
    return success();
  return op->emitOpError() << "@" << ref.getValue() << " is not a " << what;
}

static LogicalResult checkNotNegative(Operation *op, StringRef what, int64_t value) {
  if (value >= 0)
    return success();
  return op->emitOpError() << what << " must not be negative, found " << value;
}

// Checks that `buffer` is memory that a command may write; `what` names it in the message.
static LogicalResult checkWritable(Operation *op, StringRef what, Value buffer) {
  Operation *base = baseOf(buffer).op;
  if (!isa_and_nonnull<WeightOp, NoneOp>(base))
    return success();
  return op->emitOpError() << what << " is written but is a " << base->getName();
}

LogicalResult DeviceOp::verify() {
  if (getKind() != "cpu" && getKind() != "cuda")
    return emitOpError() << "kind must be \"cpu\" or \"cuda\", found \"" << getKind() << "\"";
  return checkNotNegative(*this, "budget", getBudget());
}

LogicalResult LaneOp::verify() { return checkSymbol<DeviceOp>(*this, getDeviceAttr(), "device"); }

LogicalResult ArenaOp::verify() {
  if (getKind() != "activation" && getKind() != "kv_cache" && getKind() != "io")
    return emitOpError() << "kind must be \"activation\", \"kv_cache\" or \"io\", found \"" << getKind()
                         << "\"";
  if (failed(checkNotNegative(*this, "bytes", getBytes())))
    return failure();
  return checkSymbol<DeviceOp>(*this, getDeviceAttr(), "device");
}

LogicalResult ConstantOp::verify() {
  if (getKind() != "rope_table")
    return emitOpError() << "unknown constant kind \"" << getKind() << "\"";
  auto rope = getParams().getAs<model::RopeAttr>("rope");
  auto context = getParams().getAs<IntegerAttr>("context");
  if (!rope || !context || context.getInt() <= 0)
    return emitOpError() << "rope_table needs rope and a positive context";
  int64_t expected = context.getInt() * rope.getDims() * 4;
  if (static_cast<int64_t>(getBytes()) != expected)
    return emitOpError() << "expected " << expected << " bytes, found " << getBytes();
  return success();
}

LogicalResult KernelOp::verify() {
  for (NamedAttribute param : getParams()) {
    auto integer = dyn_cast<IntegerAttr>(param.getValue());
    auto real = dyn_cast<FloatAttr>(param.getValue());
    if (!(integer && integer.getType().isInteger(64)) && !(real && real.getType().isF64()) &&
        !isa<StringAttr>(param.getValue()))
      return emitOpError() << "parameter " << param.getName() << " must be i64, f64 or string, found "
                           << param.getValue();
  }
  return success();
}

LogicalResult EntryOp::verify() {
  if (static_cast<int64_t>(getCapacity()) <= 0)
    return emitOpError() << "capacity must be positive, found " << static_cast<int64_t>(getCapacity());
  if (getParts() && (partCount() <= 0 || static_cast<int64_t>(getCapacity()) % partCount() != 0))
    return emitOpError() << "capacity " << static_cast<int64_t>(getCapacity()) << " does not fall into "
                         << partCount() << " parts";
  if (getParts() && !getDynamic())
    return emitOpError() << "has parts, which only dynamic entries have";
  if (getBody().getNumArguments())
    return emitOpError() << "takes no arguments, found " << getBody().getNumArguments();
  for (Operation &op : getBody().front())
    if (!isCommand(&op) && !isa<AllocOp, FixedOp, WeightOp, ViewOp, NoneOp>(op))
      return op.emitOpError() << "is not allowed in an entry";
    else if (auto part = op.getAttrOfType<IntegerAttr>("part");
             part && (part.getInt() < 0 || part.getInt() >= partCount()))
      return op.emitOpError() << "works on part " << part.getInt() << " of " << partCount();
  return success();
}

LogicalResult AllocOp::verify() {
  auto arena = dyn_cast_or_null<ArenaOp>(SymbolTable::lookupNearestSymbolFrom(*this, getArenaAttr()));
  if (!arena || arena.getKind() != "activation")
    return emitOpError() << "@" << getArena() << " is not an activation arena";
  if (static_cast<int64_t>(getBytes()) <= 0)
    return emitOpError() << "bytes must be positive, found " << static_cast<int64_t>(getBytes());
  if (getOffset() && *getOffset() % KT_BUFFER_ALIGNMENT)
    return emitOpError() << "offset " << *getOffset() << " is not a multiple of " << KT_BUFFER_ALIGNMENT;
  return success();
}

LogicalResult FixedOp::verify() {
  auto arena = dyn_cast_or_null<ArenaOp>(SymbolTable::lookupNearestSymbolFrom(*this, getArenaAttr()));
  if (!arena || arena.getKind() == "activation")
    return emitOpError() << "@" << getArena() << " is not a persistent arena";
  if (failed(checkNotNegative(*this, "offset", getOffset())) ||
      failed(checkNotNegative(*this, "bytes", getBytes())))
    return failure();
  if (getOffset() > arena.getBytes() || getBytes() > arena.getBytes() - getOffset())
    return emitOpError() << "range " << getOffset() << " + " << getBytes() << " exceeds the "
                         << arena.getBytes() << " bytes of @" << getArena();
  return success();
}

LogicalResult WeightOp::verify() {
  Operation *symbol = SymbolTable::lookupNearestSymbolFrom(*this, getSymbolAttr());
  if (isa_and_nonnull<model::WeightOp, model::DerivedWeightOp, ConstantOp>(symbol))
    return success();
  return emitOpError() << "@" << getSymbol() << " is not a weight or constant";
}

LogicalResult ViewOp::verify() { return checkNotNegative(*this, "offset", getOffset()); }

// Two numbers per stream: a weight operand and its bytes per unit.
static LogicalResult checkStreams(DispatchOp op) {
  ArrayRef<int64_t> streams = op.getStreams().value_or(ArrayRef<int64_t>());
  if (streams.size() % 2)
    return op.emitOpError() << "streams has " << streams.size() << " numbers, expected pairs";
  for (; !streams.empty(); streams = streams.drop_front(2)) {
    if (streams[0] < 0 || streams[0] >= static_cast<int64_t>(op.getNumOperands()))
      return op.emitOpError() << "streams names operand " << streams[0] << " of " << op.getNumOperands();
    if (!isa_and_nonnull<WeightOp>(baseOf(op.getOperand(static_cast<unsigned>(streams[0]))).op))
      return op.emitOpError() << "streams operand " << streams[0] << ", which is no weight";
    if (streams[1] <= 0)
      return op.emitOpError() << "streams " << streams[1] << " bytes per unit, expected more than 0";
  }
  return success();
}

// Four numbers: the operand with the ids, how many they are, the number of experts, the operand with the lists.
static LogicalResult checkHint(DispatchOp op) {
  constexpr size_t numbers = 4;
  const size_t strides = op.getExpertBytes().value_or(ArrayRef<int64_t>()).size();
  const size_t wanted = op.getHint() ? op.getStreams().value_or(ArrayRef<int64_t>()).size() / 2 : 0;
  if (strides != wanted)
    return op.emitOpError() << "expert_bytes has " << strides << " numbers, expected " << wanted;
  if (!op.getHint())
    return success();
  const ArrayRef<int64_t> hint = *op.getHint();
  if (hint.size() != numbers)
    return op.emitOpError() << "hint has " << hint.size() << " numbers, expected " << numbers;
  for (int64_t operand : {hint[0], hint[3]})
    if (operand < 0 || operand >= static_cast<int64_t>(op.getNumOperands()))
      return op.emitOpError() << "hint names operand " << operand << " of " << op.getNumOperands();
  if (hint[0] != static_cast<int64_t>(op.getNumOperands()) - 1 || hint[0] == hint[3])
    return op.emitOpError() << "hint is operand " << hint[0] << ", expected the last one and no other's";
  const Base ids = baseOf(op.getOperand(static_cast<unsigned>(hint[0])));
  auto fixed = dyn_cast_or_null<FixedOp>(ids.op);
  auto lists = dyn_cast_or_null<AllocOp>(baseOf(op.getOperand(static_cast<unsigned>(hint[3]))).op);
  if (!fixed && !(lists && ids.op == lists))
    return op.emitOpError() << "hint operand " << hint[0]
                            << " is no range of a persistent arena, nor in the lists";
  const uint64_t bytes = fixed ? fixed.getBytes() : lists.getBytes();
  if (hint[1] <= 0 || hint[2] <= 0 || hint[1] > hint[2])
    return op.emitOpError() << "hint of " << hint[1] << " of " << hint[2] << " experts";
  if (ids.offset > bytes || static_cast<uint64_t>(hint[1]) > (bytes - ids.offset) / sizeof(int32_t))
    return op.emitOpError() << "hint of " << hint[1] << " ids at " << ids.offset << " of " << bytes << " bytes";
  if (llvm::any_of(*op.getExpertBytes(), [](int64_t bytes) { return bytes <= 0; }))
    return op.emitOpError() << "expert_bytes must be positive";
  return success();
}

LogicalResult DispatchOp::verify() {
  if (failed(checkSymbol<LaneOp>(*this, getLaneAttr(), "lane")) ||
      failed(checkSymbol<KernelOp>(*this, getKernelAttr(), "kernel")))
    return failure();
  for (int32_t index : getWrites()) {
    if (index < 0 || index >= static_cast<int32_t>(getNumOperands()))
      return emitOpError() << "writes names operand " << index << " of " << getNumOperands();
    if (failed(checkWritable(*this, "operand " + std::to_string(index), getOperand(index))))
      return failure();
  }
  if (failed(checkNotNegative(*this, "units", getUnits())) ||
      failed(checkNotNegative(*this, "units_per_token", getUnitsPerToken())))
    return failure();
  if (getGrain() && static_cast<int64_t>(*getGrain()) <= 0)
    return emitOpError() << "grain of " << static_cast<int64_t>(*getGrain()) << " units, expected more than 0";
  if (failed(checkStreams(*this)))
    return failure();
  return checkHint(*this);
}

LogicalResult CopyOp::verify() {
  if (failed(checkSymbol<LaneOp>(*this, getLaneAttr(), "lane")) ||
      failed(checkWritable(*this, "destination", getDestination())) ||
      failed(checkNotNegative(*this, "bytes", getBytes())))
    return failure();
  if (isa_and_nonnull<NoneOp>(baseOf(getSource()).op))
    return emitOpError() << "source is a sched.none";
  return checkNotNegative(*this, "bytes_per_token", getBytesPerToken());
}

LogicalResult FillOp::verify() {
  if (failed(checkSymbol<LaneOp>(*this, getLaneAttr(), "lane")) ||
      failed(checkWritable(*this, "destination", getDestination())))
    return failure();
  if (getValue() > 255)
    return emitOpError() << "value must be a byte, found " << getValue();
  if (failed(checkNotNegative(*this, "bytes", getBytes())))
    return failure();
  return checkNotNegative(*this, "bytes_per_token", getBytesPerToken());
}

LogicalResult SignalOp::verify() {
  if (failed(checkNotNegative(*this, "signal", getSignal())))
    return failure();
  return checkSymbol<LaneOp>(*this, getLaneAttr(), "lane");
}

LogicalResult WaitOp::verify() {
  if (failed(checkNotNegative(*this, "signal", getSignal())))
    return failure();
  return checkSymbol<LaneOp>(*this, getLaneAttr(), "lane");
}

} // namespace ktc::sched
