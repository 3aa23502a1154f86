// model-verify-placed: closes the phase.
#include "compiler/model-to-placed/ModuleRefs.h"
#include "compiler/model-to-placed/Passes.h"

namespace ktc {

#define GEN_PASS_DEF_MODELVERIFYPLACED
#include "ModelToPlacedPasses.h.inc"

using namespace mlir;

namespace {

struct VerifyPlaced : impl::ModelVerifyPlacedBase<VerifyPlaced> {
  void runOnOperation() override {
    getOperation().walk([&](Operation *op) {
      if (!isNetworkOp(op) || op->hasAttr("placement"))
        return;
      op->emitOpError() << op->getAttr("path") << " has no placement";
      signalPassFailure();
    });
  }
};

} // namespace
} // namespace ktc
