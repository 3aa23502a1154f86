// model-select-mla-form: how latent attention is computed.
#include "compiler/model-to-placed/Passes.h"

#include "mlir/IR/Builders.h"

namespace ktc {

#define GEN_PASS_DEF_MODELSELECTMLAFORM
#include "ModelToPlacedPasses.h.inc"

namespace {

struct SelectMlaForm : impl::ModelSelectMlaFormBase<SelectMlaForm> {
  void runOnOperation() override {
    getOperation().walk([](model::MlaAttentionOp op) {
      if (!op.getForm())
        op.setForm("absorbed");
    });
  }
};

} // namespace
} // namespace ktc
