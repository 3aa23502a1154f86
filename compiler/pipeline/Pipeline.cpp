// The compiler's phases and their passes, each with the reason for its place.
#include "compiler/pipeline/Pipeline.h"

#include "compiler/model-to-placed/Passes.h"
#include "compiler/placed-to-schedule/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

namespace ktc {

void registerDialects(DialectRegistry &registry) {
  registry.insert<quant::KtDialect, model::ModelDialect, sched::SchedDialect, func::FuncDialect>();
}

void addPreparePasses(OpPassManager &passes) {
  // Refuse what no kernel can run before any work is done for it.
  passes.addPass(createModelCheckTypes());
  // The absorbed form needs k_b and v_b, so the joint weight is split before the form is chosen.
  passes.addPass(createModelSplitKvB());
  passes.addPass(createModelSelectMlaForm());
  // Before lowering, which turns every sum into an accumulation.
  passes.addPass(createModelReassociateResidual());
}

void addSchedulePasses(OpPassManager &passes, const ScheduleOptions &options) {
  passes.addPass(createModelVerifyPlaced());
  // Needs the placement; lowering does what it marks.
  if (options.deferExperts > 0)
    passes.addPass(createModelDeferExperts({options.deferExperts}));
  SchedLowerEntriesOptions lowering;
  lowering.decodeSizes = options.decodeSizes;
  lowering.chunk = options.chunk;
  lowering.parts = options.parts;
  lowering.headRows = options.headRows;
  lowering.context = options.context;
  lowering.kvType = options.kvType;
  lowering.prefetch = options.prefetch;
  passes.addPass(createSchedLowerEntries(lowering));
  // Fusions first: they remove commands and buffers that barriers and memory would otherwise be planned for.
  passes.addPass(createSchedFuseNormQuantize());
  passes.addPass(createSchedFuseResidual());
  // After the norm, which takes a quantize dispatch without any work done twice.
  passes.addPass(createSchedFuseQuantizeDown());
  // After the residual, which takes sums that need no norm.
  passes.addPass(createSchedFuseAddNorm());
  // After what goes into the norms, and before routers become part of other products.
  if (options.expertHints == "on")
    passes.addPass(createSchedHintExperts({0}));
  else if (options.expertHints == "auto")
    passes.addPass(createSchedHintExperts());
  // After the hints, which look for a router's norm and product.
  passes.addPass(createSchedFuseNormProducts());
  // After the residual, whose sums become part of single products.
  passes.addPass(createSchedFuseLinears());
  // After the fusions, which decide who writes quantised rows. With packed rows threads share pieces of a
  // matrix, whichever memory node they lie on; with several nodes each keeps to the rows of its own.
  if (options.memoryNodes <= 1)
    passes.addPass(createSchedPackRows());
  // Which commands access a buffer is known now.
  passes.addPass(createSchedStageTransfers());
  // After all that changes what a part consists of, before lanes are put in order.
  passes.addPass(createSchedPipelineParts());
  passes.addPass(createSchedPlaceBuffers());
  passes.addPass(createSchedInsertSignals());
  // Lifetimes are counted in barrier groups, so barriers come before memory; a signal needs them too.
  passes.addPass(createSchedInsertBarriers());
  passes.addPass(createSchedPlanPrefetch());
  passes.addPass(createSchedSplitNodes({options.memoryNodes}));
  passes.addPass(createSchedPlanMemory());
  passes.addPass(createSchedCheckMemory());
  // Buffers that share bytes are ordered by edges.
  passes.addPass(createSchedOrderGraph());
}

void registerPasses() {
  registerModelToPlacedPasses();
  registerPlacedToSchedulePasses();
  PassPipelineRegistration<>("model-to-placed", "Prepare the model and place it with the policy `cpu`",
                             [](OpPassManager &passes) {
                               addPreparePasses(passes);
                               passes.addPass(createModelApplyPolicy());
                               passes.addPass(createModelVerifyPlaced());
                             });
  PassPipelineRegistration<>("placed-to-schedule", "Lower a placed model to a checked schedule",
                             [](OpPassManager &passes) { addSchedulePasses(passes, {}); });
}

} // namespace ktc
