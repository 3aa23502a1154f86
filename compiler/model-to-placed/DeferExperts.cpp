// model-defer-experts: which layers let the last chosen experts of a token arrive one layer later.
//
// While a GPU attends, the CPU has nothing to do: experts that need not be finished before the attention fill
// that time. This changes results, so it is done only when asked for and named in the plan.
#include "compiler/model-to-placed/Passes.h"

#include "dialects/model/Transforms.h"

#include <optional>

namespace ktc {

#define GEN_PASS_DEF_MODELDEFEREXPERTS
#include "ModelToPlacedPasses.h.inc"

using namespace mlir;

namespace {

StringRef deviceOf(Operation *op) {
  auto placement = op->getAttrOfType<model::PlacementAttr>("placement");
  return placement ? placement.getDevice() : StringRef("cpu");
}

// Routed experts, their router, and what comes before the next layer of routed experts.
struct MoeLayer {
  model::ExpertsOp experts;
  model::RouterOp router; // null: the choice is made in another way
  size_t attentions = 0;
  StringRef attentionDevice;
};

struct DeferExperts : impl::ModelDeferExpertsBase<DeferExperts> {
  using ModelDeferExpertsBase::ModelDeferExpertsBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto body = module.lookupSymbol<func::FuncOp>(model::kBodyFunction);
    if (!body || !body.getBody().hasOneBlock()) {
      module.emitError() << "expected a function @body of one block";
      return signalPassFailure();
    }
    bool anyGpu = false;
    body.walk([&](Operation *op) { anyGpu |= deviceOf(op) != "cpu"; });
    std::vector<MoeLayer> layers = collect(body);
    size_t deferred = 0;
    for (size_t i = 0; i + 1 < layers.size(); ++i) {
      if (!isDeferrable(layers[i], layers[i + 1], anyGpu))
        continue;
      if (failed(defer(layers[i], layers[i + 1])))
        return signalPassFailure();
      ++deferred;
    }
    if (deferred == 0) {
      module.emitError()
          << "there are no experts to defer: it takes routed experts on the CPU in two layers one "
             "after the other, and attention on a GPU if there is one";
      return signalPassFailure();
    }
    Builder builder(module.getContext());
    module->setAttr(model::attr::kTransforms,
                    builder.getStrArrayAttr({"defer-experts=" + std::to_string(count)}));
  }

  static std::vector<MoeLayer> collect(func::FuncOp body) {
    std::vector<MoeLayer> layers;
    for (Operation &op : body.getBody().front()) {
      if (auto experts = dyn_cast<model::ExpertsOp>(op)) {
        layers.push_back({experts, experts.getIds().getDefiningOp<model::RouterOp>(), 0, {}});
      } else if (isa<model::GqaAttentionOp, model::MlaAttentionOp>(op) && !layers.empty()) {
        ++layers.back().attentions;
        layers.back().attentionDevice = deviceOf(&op);
      }
    }
    return layers;
  }

  // The experts are on the CPU as those of the very next layer, and the attention between is not, unless
  // everything is on the CPU: then nothing is gained, but what deferring does to results can be measured.
  static bool isDeferrable(MoeLayer &layer, MoeLayer &next, bool anyGpu) {
    return layer.attentions == 1 && layer.router && layer.router.getIds().hasOneUse() &&
           deviceOf(layer.experts) == "cpu" && deviceOf(next.experts) == "cpu" &&
           (!anyGpu || layer.attentionDevice != "cpu");
  }

  LogicalResult defer(MoeLayer &layer, MoeLayer &next) {
    const int64_t topK = layer.router.getTopK();
    if (count < 1 || count >= topK)
      return layer.experts.emitOpError() << layer.experts.getPath() << ": cannot defer " << count.getValue()
                                         << " of " << topK << " experts: 1 to " << topK - 1 << " are possible";
    const IntegerAttr number = Builder(&getContext()).getI64IntegerAttr(count);
    layer.router->setAttr(model::attr::kDeferred, number);
    layer.experts->setAttr(model::attr::kDeferred, number);
    next.experts->setAttr(model::attr::kTakesDeferred, UnitAttr::get(&getContext()));
    return success();
  }
};

} // namespace
} // namespace ktc
