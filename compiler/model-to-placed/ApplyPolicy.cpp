// model-apply-policy: from rules to placement attributes.
#include "compiler/model-to-placed/ApplyPolicy.h"
#include "compiler/model-to-placed/ModuleRefs.h"
#include "compiler/model-to-placed/Passes.h"
#include "compiler/probe/probe.h"

namespace ktc {

#define GEN_PASS_DEF_MODELAPPLYPOLICY
#include "ModelToPlacedPasses.h.inc"

using namespace mlir;

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
  module.walk([](model::AddOp add) {
    if (Operation *producer = add.getLhs().getDefiningOp())
      if (Attribute placement = producer->getAttr("placement"))
        add->setAttr("placement", placement);
  });
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
