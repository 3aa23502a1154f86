// sched-hint-experts: while a GPU waits for the experts of one layer, it guesses those of the next.
//
// The residual stream changes little from layer to layer, so the next layer's norm and router, applied to the
// stream as it is before this layer's experts are added, choose mostly the same experts as they will later. The
// GPU has nothing to do meanwhile, and later, when the CPU waits for the GPU, its threads can read the
// beginning of what they will probably need. The guess lies in memory of its own, is read without any order,
// and decides nothing but what is read early:
//
//   gpu   norm  router  raise   (norm  router of the next layer → hint)      wait …
//   cpu                  └ wait   gate_up  down                raise   wait: reads ahead by the hint
//
// Between gate_up and down, where threads wait for the last of them, they read ahead by the lists of the chosen
// experts in the same way.
#include "compiler/placed-to-schedule/LaneTable.h"
#include "compiler/placed-to-schedule/MatrixOperands.h"
#include "compiler/placed-to-schedule/Passes.h"

#include "runtime/abi/kt_abi.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"

#include <algorithm>

namespace ktc {

#define GEN_PASS_DEF_SCHEDHINTEXPERTS
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

constexpr llvm::StringLiteral kHintArena = "hints";
constexpr int64_t kLineBytes = 64; // a hint has cache lines of its own: the GPU writes while the CPU reads

// Operands by family (templates/README.md and templates/cuda/README.md).
constexpr unsigned kNormX = 0, kNormW = 1, kNormF32 = 2, kNormBf16 = 4;
constexpr unsigned kLinearX = 0, kLinearW = 1, kLinearY = 2, kLinearBias = 3;
constexpr unsigned kRouterLogits = 0, kRouterBias = 1, kRouterIds = 2, kRouterWeights = 3, kRouterLists = 4;
constexpr unsigned kGateUpLists = 5;
constexpr unsigned kDownLists = 4;

// How one layer chooses its experts on a GPU, and what the CPU does with them.
struct Routing {
  sched::DispatchOp norm, linear, topk, gateUp;
};

struct HintExperts : impl::SchedHintExpertsBase<HintExperts> {
  using SchedHintExpertsBase::SchedHintExpertsBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    KernelEditor editor(module);
    LaneTable table(module);
    kernels = &editor;
    lanes = &table;
    // Hints are numbered by their place in an entry.
    SmallVector<SmallVector<std::pair<Routing, Routing>>> guesses;
    size_t count = 0;
    int64_t bytes = 0;
    for (auto entry : module.getOps<sched::EntryOp>()) {
      if (entry.getDynamic() || entry.getCapacity() != 1)
        continue;
      guesses.emplace_back();
      SmallVector<Routing> layers = routings(entry);
      for (size_t i = 1; i < layers.size(); ++i)
        if (canGuess(layers[i - 1], layers[i])) {
          guesses.back().push_back({layers[i - 1], layers[i]});
          bytes = std::max(bytes, kernels->integer(layers[i].topk, "top_k") * int64_t(sizeof(int32_t)));
        }
      count = std::max(count, guesses.back().size());
    }
    if (count == 0)
      return;
    const int64_t stride = (bytes + kLineBytes - 1) / kLineBytes * kLineBytes;
    // Persistent memory: what one replay leaves there, the next may read.
    declareMappedArena(module, kHintArena, "io", static_cast<int64_t>(count) * stride);
    for (auto &ofEntry : guesses)
      for (auto [i, guess] : llvm::enumerate(ofEntry))
        emitGuess(guess.first, guess.second, static_cast<int64_t>(i) * stride, bytes);
  }

  // The last command before `op` that writes the buffer of `value`, if it is a dispatch of `family`.
  sched::DispatchOp writerOf(Value value, Operation *op, StringRef family) {
    Operation *buffer = sched::baseOf(value).op;
    for (Operation *before = op->getPrevNode(); before; before = before->getPrevNode()) {
      if (!sched::isCommand(before) || llvm::none_of(sched::accessesOf(before).writes, [&](Value written) {
            return sched::baseOf(written).op == buffer;
          }))
        continue;
      auto dispatch = dyn_cast<sched::DispatchOp>(before);
      return dispatch && kernels->family(dispatch) == family ? dispatch : nullptr;
    }
    return nullptr;
  }

  // The layers of an entry whose experts are chosen by a GPU and computed by the CPU, in order.
  SmallVector<Routing> routings(sched::EntryOp entry) {
    SmallVector<Routing> found;
    for (auto gateUp : entry.getBody().getOps<sched::DispatchOp>()) {
      if (lanes->isGpu(gateUp) || kernels->family(gateUp) != "gate_up" ||
          kernels->integer(gateUp, "dense") != 0)
        continue;
      Routing routing{{}, {}, {}, gateUp};
      routing.topk = writerOf(gateUp->getOperand(kGateUpLists), gateUp, "router_topk");
      // Lists of deferred choices are others.
      if (!routing.topk || !lanes->isGpu(routing.topk) || routing.topk.getNumOperands() <= kRouterLists ||
          routing.topk->getOperand(kRouterLists) != gateUp->getOperand(kGateUpLists))
        continue;
      routing.linear = writerOf(routing.topk->getOperand(kRouterLogits), routing.topk, "linear");
      if (routing.linear)
        routing.norm = writerOf(routing.linear->getOperand(kLinearX), routing.linear, "rms_norm");
      if (routing.norm)
        found.push_back(routing);
    }
    return found;
  }

  // True if the work of `now` is long enough, the norm of `next` can be applied to what that of `now` reads, on
  // the same GPU, and the rows of the experts lie in whole units.
  bool canGuess(Routing &now, Routing &next) {
    auto sameShape = [&](StringRef name) {
      return kernels->integer(now.norm, name) == kernels->integer(next.norm, name);
    };
    return static_cast<int64_t>(now.gateUp.getBytesRead()) >= leastBytes &&
           now.topk.getLane() == next.norm.getLane() && now.topk.getLane() == next.topk.getLane() &&
           sameShape("k") && sameShape("x_stride") && sameShape("rows") && !streamsOf(next.gateUp).empty();
  }

  // The matrices of the chosen experts; none if one of them is no weight or has incomplete units.
  SmallVector<MatrixOperand> streamsOf(sched::DispatchOp dispatch) {
    SmallVector<MatrixOperand> matrices = matrixOperands(dispatch, *kernels);
    for (const MatrixOperand &matrix : matrices)
      if (matrix.rowBytes <= 0 || matrix.rows <= 0 || matrix.rows % KT_ROWS_PER_UNIT != 0 ||
          !isa_and_nonnull<sched::WeightOp>(sched::baseOf(dispatch->getOperand(matrix.operand)).op))
        return {};
    return matrices;
  }

  // `value`, which no command makes, defined at the builder's place.
  static Value here(OpBuilder &builder, Value value) {
    IRMapping mapping;
    Operation *definition = value.getDefiningOp();
    for (Value operand : definition->getOperands())
      mapping.map(operand, here(builder, operand));
    return builder.clone(*definition, mapping)->getResult(0);
  }

  // A temporary buffer like that behind `value`.
  static Value bufferLike(OpBuilder &builder, Value value, StringRef name) {
    auto alloc = cast<sched::AllocOp>(sched::baseOf(value).op);
    return builder.create<sched::AllocOp>(alloc.getLoc(), alloc.getResult().getType(), alloc.getArena(),
                                          alloc.getBytes(), IntegerAttr(), builder.getStringAttr(name));
  }

  // A copy of `like` with other operands that nobody waits for.
  void emitShadow(OpBuilder &builder, sched::DispatchOp like, ArrayRef<StringRef> without,
                  ArrayRef<Value> operands, ArrayRef<int32_t> writes) {
    NamedAttrList params(kernels->params(like));
    for (StringRef name : without)
      params.erase(name);
    auto copy = cast<sched::DispatchOp>(builder.clone(*like.getOperation()));
    copy.setKernel(kernels->make(kernels->family(like), params.getDictionary(builder.getContext())));
    copy.getOperands_Mutable().assign(operands);
    copy.setWrites(writes);
    copy.setPath((like.getPath() + kGuess).str());
    copy.setShadow(true);
  }

  void emitGuess(Routing &now, Routing &next, int64_t offset, int64_t bytes) {
    const Location loc = now.topk.getLoc();
    OpBuilder builder = OpBuilder::atBlockBegin(now.topk->getBlock());
    Value ids = builder.create<sched::FixedOp>(loc, now.topk->getOperand(kRouterIds).getType(), kHintArena,
                                               offset, bytes, builder.getStringAttr("expert hint"));
    builder.setInsertionPointAfter(now.topk);
    Value none = builder.create<sched::NoneOp>(loc, ids.getType());
    const Value x = next.linear->getOperand(kLinearX);
    const bool isBf16 = next.norm.getNumOperands() > kNormBf16 && next.norm->getOperand(kNormBf16) == x;
    Value rows = bufferLike(builder, x, "guessed rows");
    emitShadow(builder, next.norm, {"adds", "add_gate", "group"},
               {now.norm->getOperand(kNormX), here(builder, next.norm->getOperand(kNormW)),
                isBf16 ? none : rows, none, isBf16 ? rows : none},
               {int32_t(isBf16 ? kNormBf16 : kNormF32)});
    Value logits = bufferLike(builder, next.linear->getOperand(kLinearY), "guessed logits");
    emitShadow(builder, next.linear, {},
               {rows, here(builder, next.linear->getOperand(kLinearW)), logits,
                next.linear.getNumOperands() > kLinearBias ? here(builder, next.linear->getOperand(kLinearBias))
                                                           : none},
               {int32_t(kLinearY)});
    Value weights = bufferLike(builder, next.topk->getOperand(kRouterWeights), "guessed weights");
    emitShadow(builder, next.topk, {"lists", "defer"},
               {logits, here(builder, next.topk->getOperand(kRouterBias)), ids, weights},
               {int32_t(kRouterIds), int32_t(kRouterWeights)});
    // Without those that are deferred.
    const int64_t listed = kernels->integer(next.gateUp, "choices"),
                  choices = listed > 0 ? listed : kernels->integer(next.topk, "top_k");
    const int64_t gateBytes = kernels->integer(next.gateUp, "gate_expert_rows"),
                  upBytes = kernels->integer(next.gateUp, "up_expert_rows");
    annotate(next.gateUp, ids, choices, kGateUpLists, {gateBytes, upBytes});
    if (sched::DispatchOp down = downOf(next.gateUp)) {
      OpBuilder here(down);
      Value chosen = here.create<sched::ViewOp>(loc, ids.getType(), down->getOperand(kDownLists),
                                                ktExpertListIds() * sizeof(int32_t));
      annotate(down, chosen, choices, kDownLists, {kernels->integer(down, "n")});
    }
  }

  // The `down` with the experts of `gateUp`, which the threads meet before; null if there is none that can be
  // prefetched.
  sched::DispatchOp downOf(sched::DispatchOp gateUp) {
    for (Operation *op = gateUp->getNextNode(); op; op = op->getNextNode()) {
      auto dispatch = dyn_cast<sched::DispatchOp>(op);
      if (!dispatch || dispatch.getLane() != gateUp.getLane())
        continue;
      if (kernels->family(dispatch) == "quantize")
        continue;
      const bool isDown = kernels->family(dispatch) == "down" && kernels->integer(dispatch, "dense") == 0 &&
                          dispatch->getOperand(kDownLists) == gateUp->getOperand(kGateUpLists);
      return isDown && !streamsOf(dispatch).empty() ? dispatch : nullptr;
    }
    return nullptr;
  }

  // Tells the CPU where the ids of `choices` experts are and where the rows of each are: every matrix has
  // `expertRows` from one expert to the next.
  void annotate(sched::DispatchOp dispatch, Value ids, int64_t choices, unsigned lists,
                ArrayRef<int64_t> expertRows) {
    SmallVector<int64_t> streams, strides;
    for (auto [matrix, rows] : llvm::zip_equal(streamsOf(dispatch), expertRows)) {
      streams.append({matrix.operand, KT_ROWS_PER_UNIT * matrix.rowBytes});
      strides.push_back(rows * matrix.rowBytes);
    }
    const int64_t operand = dispatch.getNumOperands(), experts = kernels->integer(dispatch, "experts");
    dispatch.getOperands_Mutable().append(ids);
    dispatch.setStreams(ArrayRef<int64_t>(streams));
    dispatch.setExpertBytes(ArrayRef<int64_t>(strides));
    dispatch.setHint(ArrayRef<int64_t>{operand, choices, experts, lists});
  }

  static constexpr llvm::StringLiteral kGuess = " (guess)";

  KernelEditor *kernels = nullptr;
  const LaneTable *lanes = nullptr;
};

} // namespace
} // namespace ktc
