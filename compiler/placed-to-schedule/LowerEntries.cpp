// sched-lower-entries: the placed model becomes one schedule entry per shape.
//
// The two functions of the model stage are walked once per entry; each operation's lowering is in lower/.
// Persistent memory (inputs, outputs, hidden states, KV cache) is laid out here and is the same for all
// entries.
#include "compiler/placed-to-schedule/Passes.h"
#include "compiler/placed-to-schedule/lower/EntryBuilder.h"

#include "runtime/abi/kt_abi.h"
#include "llvm/ADT/TypeSwitch.h"

#include <algorithm>

namespace ktc {

#define GEN_PASS_DEF_SCHEDLOWERENTRIES
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

// Byte ranges of the io arena; logits of a GPU are at the start of an arena of their own, and the best of them
// here.
struct IoLayout {
  int64_t tokens = 0, positions = 0, hidden = 0, logits = 0, bytes = 0;
  int64_t bestIds = 0, bestLogits = 0, bestSums = 0;
  int64_t tokenBytes = 0, hiddenBytes = 0, logitRows = 0;
};

// What one entry consists of.
struct EntryPlan {
  std::string name;
  lower::EntryShape shape;
  bool body, head;
  int64_t parts = 1; // of the entry's tokens; the shape is that of one
};

struct LowerEntries : impl::SchedLowerEntriesBase<LowerEntries> {
  using SchedLowerEntriesBase::SchedLowerEntriesBase;

  void runOnOperation() override;

private:
  LogicalResult prepare();
  LogicalResult choosePartCount();
  void declareMemory(OpBuilder &builder);
  void layOutLogits();
  void declareLane(const lower::Lane &lane, OpBuilder &builder);
  lower::HeadOutputs headOutputs(int64_t rows, lower::EntryBuilder &entry) const;
  LogicalResult lowerEntry(const EntryPlan &plan, OpBuilder &builder);
  LogicalResult lowerOp(Operation *op, lower::EntryBuilder &entry, bool headOnly);

  func::FuncOp body, head;
  int64_t width = 0, vocab = 0;
  IoLayout io;
  lower::Settings settings;
  std::vector<lower::Lane> lanes;         // the first is that of the host
  const lower::Lane *logitLane = nullptr; // that computes the logits
  int64_t bestCount = 0;                  // of logits that a GPU picks out; 0 on the host
  Value tokens, positions;
  lower::HeadOutputs outputs;
};

// Checks that `function` has a body of one block and takes and gives the kinds of values that its contract
// says.
static LogicalResult checkFunction(func::FuncOp function, ArrayRef<bool (*)(Type)> arguments,
                                   StringRef signature) {
  FunctionType type = function.getFunctionType();
  bool matches = !function.isExternal() && function.getBody().hasOneBlock() &&
                 type.getNumInputs() == arguments.size() && type.getNumResults() == 1 &&
                 model::isActivation(type.getResult(0));
  for (size_t i = 0; matches && i < arguments.size(); ++i)
    matches = arguments[i](type.getInput(i));
  if (matches)
    return success();
  return function.emitOpError() << "must have one block and the signature " << signature;
}

// True if the model has no weights of fewer than eight bits: then rounding them again, as panels do, would cost
// more than the format itself has (Q8_0: a KL divergence of 5e-3 instead of 2e-3 on tiny-books). Below, it
// costs less.
static bool keepsEightBits(ModuleOp module) {
  bool any = false, lower = false;
  for (auto weight : module.getOps<model::WeightOp>()) {
    const uint32_t id = quant::typeIdOf(cast<RankedTensorType>(weight.getType()).getElementType());
    any |= id == KT_TYPE_Q8_0;
    lower |= id != KT_TYPE_Q8_0 && !ktTypeTakesF32Activations(id);
  }
  return any && !lower;
}

LogicalResult LowerEntries::prepare() {
  ModuleOp module = getOperation();
  body = module.lookupSymbol<func::FuncOp>(model::kBodyFunction);
  head = module.lookupSymbol<func::FuncOp>(model::kHeadFunction);
  if (!body || !head)
    return module.emitError() << "expected functions @body and @head";
  if (failed(checkFunction(body, {model::isTokenIds, model::isTokenIds}, "(tokens, positions) -> hidden")) ||
      failed(checkFunction(head, {model::isActivation}, "(hidden) -> logits")))
    return failure();
  if (body.getResultTypes()[0] != head.getArgumentTypes()[0])
    return head.emitOpError() << "takes " << head.getArgumentTypes()[0] << ", but @body returns "
                              << body.getResultTypes()[0];
  if (decodeSizes.empty())
    decodeSizes = {1, 2, 4, 8, 16};
  if (chunk < 0 || headRows <= 0 || context <= 0 || llvm::any_of(decodeSizes, [](int64_t m) { return m <= 0; }))
    return module.emitError() << "decode sizes, chunk, head-rows and context must be positive";
  if (kvType != "f16" && kvType != "bf16" && kvType != "f32" && kvType != "q8_0")
    return module.emitError() << "kv-type must be f16, bf16, f32 or q8_0, found " << kvType;
  settings.context = context;
  settings.kvType = kvType;
  settings.prefetch = prefetch;
  settings.exact = keepsEightBits(module);
  FailureOr<std::vector<lower::Lane>> used = lower::collectLanes({body, head});
  if (failed(used))
    return failure();
  lanes = std::move(*used);
  if (failed(choosePartCount()))
    return failure();
  headRows = std::min<int64_t>(headRows, chunk); // the head reads rows of the hidden states that a chunk leaves
  width = cast<RankedTensorType>(body.getResultTypes()[0]).getDimSize(1);
  vocab = cast<RankedTensorType>(head.getResultTypes()[0]).getDimSize(1);
  logitLane = &lanes.front();
  for (auto op : head.getOps<model::LmHeadOp>())
    logitLane = &lower::laneOf(op, lanes);
  bestCount = logitLane->isGpu ? std::min(vocab, lower::kBestLogits) : 0;
  return success();
}

// True if the CPU works between two pieces of work of a GPU: each waits for the other then.
static bool takesTurns(func::FuncOp body) {
  int64_t turns = 0; // 1: of a GPU, 2: of the CPU after it
  for (Operation &op : body.getBody().front())
    if (auto placement = op.getAttrOfType<model::PlacementAttr>("placement")) {
      const bool onCpu = placement.getDevice() == lower::kCpuDevice;
      if (turns == 2 && !onCpu)
        return true;
      if (onCpu == (turns == 1))
        ++turns;
    }
  return false;
}

// Decides the size of a chunk and its `parts` if they are left to us. Experts are decoded once for each part,
// so parts of fewer tokens lose more than they gain.
LogicalResult LowerEntries::choosePartCount() {
  constexpr int64_t partTokens = 2048;
  if (parts == 0) {
    const bool isLong = chunk == 0 ? context > partTokens : chunk % 2 == 0 && chunk / 2 >= partTokens;
    parts = isLong && takesTurns(body) ? 2 : 1;
  }
  if (chunk == 0)
    chunk = partTokens * parts;
  if (parts > 0 && chunk % parts == 0)
    return success();
  return getOperation().emitError() << "a chunk of " << int64_t(chunk) << " tokens does not fall into "
                                    << int64_t(parts) << " parts";
}

static int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

void LowerEntries::layOutLogits() {
  io.bytes = io.logits = io.hidden + io.hiddenBytes;
  if (!logitLane->isGpu) {
    io.bytes += aligned(io.logitRows * vocab * 4);
    return;
  }
  io.logits = 0;
  io.bestIds = io.bytes;
  io.bestLogits = io.bestIds + aligned(io.logitRows * bestCount * 4);
  io.bestSums = io.bestLogits + aligned(io.logitRows * bestCount * 4);
  io.bytes = io.bestSums + aligned(io.logitRows * 4);
}

lower::HeadOutputs LowerEntries::headOutputs(int64_t rows, lower::EntryBuilder &entry) const {
  lower::HeadOutputs result;
  result.logits = entry.fixed(logitLane->ioArena, io.logits, rows * vocab * 4, sched::names::kLogits);
  result.count = bestCount;
  if (bestCount == 0)
    return result;
  result.ids = entry.fixed(lower::kIoArena, io.bestIds, rows * bestCount * 4, sched::names::kBestIds);
  result.best = entry.fixed(lower::kIoArena, io.bestLogits, rows * bestCount * 4, sched::names::kBestLogits);
  result.sums = entry.fixed(lower::kIoArena, io.bestSums, rows * 4, sched::names::kBestSums);
  return result;
}

void LowerEntries::declareMemory(OpBuilder &builder) {
  ModuleOp module = getOperation();
  int64_t largestDecode = *llvm::max_element(decodeSizes);
  io.tokenBytes = aligned(std::max<int64_t>(chunk, largestDecode) * 4);
  io.hiddenBytes = aligned(chunk * width * 4);
  io.logitRows = std::max<int64_t>(headRows, largestDecode);
  io.positions = io.tokenBytes;
  io.hidden = 2 * io.tokenBytes;
  layOutLogits();
  declareLane(lanes.front(), builder);
  builder.create<sched::ArenaOp>(module.getLoc(), lower::kIoArena, "io", lower::kCpuDevice, io.bytes, false);
  for (const lower::Lane &lane : ArrayRef(lanes).drop_front())
    declareLane(lane, builder);
  if (logitLane->isGpu)
    builder.create<sched::ArenaOp>(module.getLoc(), logitLane->ioArena, "io", logitLane->device,
                                   aligned(io.logitRows * vocab * 4), false);
}

// The device of `lane`, the lane, and the arenas of the device.
void LowerEntries::declareLane(const lower::Lane &lane, OpBuilder &builder) {
  Location loc = getOperation().getLoc();
  if (!getOperation().lookupSymbol(lane.device))
    builder.create<sched::DeviceOp>(loc, lane.device, lane.isGpu ? "cuda" : "cpu", 0);
  builder.create<sched::LaneOp>(loc, lane.name, lane.device);
  builder.create<sched::ArenaOp>(loc, lane.activationArena, "activation", lane.device, 0, false);
  builder.create<sched::ArenaOp>(loc, lane.kvArena, "kv_cache", lane.device, 0, false);
}

LogicalResult LowerEntries::lowerOp(Operation *op, lower::EntryBuilder &entry, bool headOnly) {
  entry.setLane(entry.laneOf(op));
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](model::EmbedOp op) { return lower::lowerEmbed(op, entry, tokens); })
      .Case([&](model::RmsNormOp op) { return lower::lowerRmsNorm(op, entry, headOnly); })
      .Case([&](model::LinearOp op) { return lower::lowerLinear(op, entry); })
      .Case([&](model::GqaAttentionOp op) { return lower::lowerGqaAttention(op, entry, positions); })
      .Case([&](model::MlaAttentionOp op) { return lower::lowerMlaAttention(op, entry, positions); })
      .Case([&](model::RouterOp op) { return lower::lowerRouter(op, entry); })
      .Case([&](model::ExpertsOp op) { return lower::lowerExperts(op, entry); })
      .Case([&](model::FfnOp op) { return lower::lowerFfn(op, entry); })
      .Case([&](model::AddOp op) { return lower::lowerAdd(op, entry); })
      .Case([&](model::LmHeadOp op) { return lower::lowerLmHead(op, entry, outputs); })
      .Case([&](func::ReturnOp) { return success(); })
      .Default([](Operation *op) { return op->emitOpError() << "has no lowering to the schedule"; });
}

LogicalResult LowerEntries::lowerEntry(const EntryPlan &plan, OpBuilder &builder) {
  auto op = builder.create<sched::EntryOp>(getOperation().getLoc(), plan.name, plan.shape.tokens * plan.parts,
                                           plan.shape.dynamic,
                                           plan.parts > 1 ? builder.getI64IntegerAttr(plan.parts) : nullptr);
  Block &block = op.getBody().emplaceBlock();
  lower::EntryBuilder entry(getOperation(), OpBuilder::atBlockEnd(&block), plan.shape, settings, lanes);
  int64_t rows = plan.shape.tokens;
  if (plan.body) {
    tokens = entry.fixed(lower::kIoArena, io.tokens, rows * 4, sched::names::kTokens);
    positions = entry.fixed(lower::kIoArena, io.positions, rows * 4, sched::names::kPositions);
  }
  if (plan.head)
    outputs = headOutputs(rows, entry);

  lower::Activation hidden;
  if (plan.body) {
    for (Operation &inner : body.getBody().front())
      if (failed(lowerOp(&inner, entry, false)))
        return failure();
    Value result = body.getBody().front().getTerminator()->getOperand(0);
    entry.setLane(*entry.activation(result).lane);
    entry.ownRows(result);
    hidden = entry.activation(result);
  }
  if (!plan.head) {
    Value kept = entry.fixed(lower::kIoArena, io.hidden, rows * width * 4, sched::names::kHidden);
    entry.copy(hidden.rows, kept, width * 4);
    return success();
  }
  bool headOnly = !plan.body;
  if (headOnly) {
    entry.setLane(entry.laneOf(&head.getBody().front().front()));
    hidden = {entry.fixed(lower::kIoArena, io.hidden, io.hiddenBytes, sched::names::kHidden), width};
  }
  entry.bind(head.getArgument(0), hidden);
  for (Operation &inner : head.getBody().front())
    if (failed(lowerOp(&inner, entry, headOnly)))
      return failure();
  return success();
}

void LowerEntries::runOnOperation() {
  ModuleOp module = getOperation();
  if (failed(prepare()))
    return signalPassFailure();
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  declareMemory(builder);
  std::vector<EntryPlan> plans;
  for (int64_t m : decodeSizes)
    plans.push_back({"decode_" + std::to_string(m), {m, false}, true, true, 1});
  plans.push_back({"prefill", {chunk / parts, true}, true, false, parts});
  plans.push_back({"head", {headRows, true}, false, true, 1});
  for (const EntryPlan &plan : plans)
    if (failed(lowerEntry(plan, builder)))
      return signalPassFailure();
  for (const lower::Lane &lane : lanes)
    if (auto arena = module.lookupSymbol<sched::ArenaOp>(lane.kvArena))
      arena->removeAttr("ranges");
  body.erase();
  head.erase();
}

} // namespace
} // namespace ktc
