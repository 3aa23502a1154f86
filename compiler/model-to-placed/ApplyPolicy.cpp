// model-apply-policy: from rules to placement attributes.
#include "compiler/model-to-placed/ApplyPolicy.h"
#include "compiler/model-to-placed/ModuleRefs.h"
#include "compiler/model-to-placed/Passes.h"
#include "compiler/probe/probe.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace ktc {

#define GEN_PASS_DEF_MODELAPPLYPOLICY
#include "ModelToPlacedPasses.h.inc"

using namespace mlir;

// The placement of a sum by who reads it: that of the norm, since both work on the residual stream, or of
// another sum; for the sum that the body returns, of the head's first operation. Null if there is none of them.
static Attribute placementByReader(model::AddOp add) {
  for (Operation *user : add.getResult().getUsers()) {
    if (isa<model::RmsNormOp, model::AddOp>(user))
      if (Attribute placement = user->getAttr("placement"))
        return placement;
    if (!isa<func::ReturnOp>(user))
      continue;
    auto head = add->getParentOfType<ModuleOp>().lookupSymbol<func::FuncOp>(model::kHeadFunction);
    if (head && !head.isExternal() && head != add->getParentOp())
      return head.getBody().front().front().getAttr("placement");
  }
  return {};
}

// Rules name no sums. Backwards, because a sum may be read by another; then those without a reader of that kind
// go where their first operand is.
static void placeSums(ModuleOp module) {
  SmallVector<model::AddOp> sums;
  module.walk([&](model::AddOp add) {
    add->removeAttr("placement");
    sums.push_back(add);
  });
  for (model::AddOp add : llvm::reverse(sums))
    if (Attribute placement = placementByReader(add))
      add->setAttr("placement", placement);
  for (model::AddOp add : sums)
    if (Operation *producer = add.getLhs().getDefiningOp(); producer && !add->hasAttr("placement"))
      if (Attribute placement = producer->getAttr("placement"))
        add->setAttr("placement", placement);
}

kt::Result<policy::PlacementTable> applyPolicyToModule(ModuleOp module, const policy::Policy &policy,
                                                       const policy::Machine &machine,
                                                       policy::Diagnostics &diagnostics) {
  NetworkOps network = collectNetworkOps(module);
  kt::Result<policy::PlacementTable> table = policy::applyPolicy(policy, network.modules, machine, diagnostics);
  if (!table)
    return table;
  MLIRContext *context = module.getContext();
  for (auto [op, placement] : llvm::zip_first(network.operations, table->placements))
    op->setAttr("placement", model::PlacementAttr::get(context, placement.device, placement.prefillDevice,
                                                       placement.ruleLocation));
  placeSums(module);
  return table;
}

namespace {

// The pass for ktc-opt; `ktc` calls applyPolicyToModule with what its options say.
struct ApplyPolicy : impl::ModelApplyPolicyBase<ApplyPolicy> {
  using ModelApplyPolicyBase::ModelApplyPolicyBase;

  void runOnOperation() override {
    policy::Diagnostics diagnostics;
    auto fail = [&](const kt::Error &error) {
      getOperation().emitError() << error.message;
      signalPassFailure();
    };
    kt::Result<policy::Policy> parsed = policy::loadPolicy(rules, diagnostics);
    if (!parsed)
      return fail(parsed.error());
    policy::Machine machine;
    if (machineFile.empty()) {
      machine = detectMachine();
    } else {
      kt::Result<policy::Machine> loaded = policy::loadMachine(machineFile, diagnostics);
      if (!loaded)
        return fail(loaded.error());
      machine = *loaded;
    }
    kt::Result<policy::PlacementTable> table =
        applyPolicyToModule(getOperation(), *parsed, machine, diagnostics);
    if (!table)
      return fail(table.error());
    for (const policy::Diagnostic &diagnostic : diagnostics.all())
      getOperation().emitRemark() << diagnostic.str();
  }
};

} // namespace
} // namespace ktc
