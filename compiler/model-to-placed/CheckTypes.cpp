// model-check-types: quantised-type legality.
#include "compiler/model-to-placed/Passes.h"

namespace ktc {

#define GEN_PASS_DEF_MODELCHECKTYPES
#include "ModelToPlacedPasses.h.inc"

using namespace mlir;

namespace {

// Attributes that name float32 vectors.
constexpr StringLiteral vectorRoles[] = {"bias",   "logit_bias", "gate_bias", "up_bias", "down_bias",
                                         "q_norm", "k_norm",     "kv_norm",   "sinks"};

struct CheckTypes : impl::ModelCheckTypesBase<CheckTypes> {
  void runOnOperation() override {
    bool failedAny = false;
    getOperation().walk([&](Operation *op) {
      if (isa<model::ModelDialect>(op->getDialect()) && failed(check(op)))
        failedAny = true;
    });
    if (failedAny)
      signalPassFailure();
  }

  static LogicalResult checkVector(Operation *op, StringRef role) {
    auto symbol = op->getAttrOfType<FlatSymbolRefAttr>(role);
    RankedTensorType type = symbol ? model::weightType(op, symbol) : RankedTensorType();
    if (!type || type.getElementType().isF32())
      return success();
    return op->emitOpError() << role << " @" << symbol.getValue() << ": expected f32, found "
                             << type.getElementType();
  }

  static LogicalResult checkMultiple(Operation *op, StringRef what, int64_t value) {
    if (value % 8 == 0)
      return success();
    return op->emitOpError() << what << " must be a multiple of 8, found " << value;
  }

  static LogicalResult check(Operation *op) {
    for (StringRef role : vectorRoles)
      if (failed(checkVector(op, role)))
        return failure();
    if (isa<model::RmsNormOp>(op))
      return checkVector(op, "weight");
    if (auto attention = dyn_cast<model::GqaAttentionOp>(op))
      return failed(checkMultiple(op, "head_dim", attention.getHeadDim()))
                 ? failure()
                 : checkMultiple(op, "v_dim", attention.getVDim());
    if (auto attention = dyn_cast<model::MlaAttentionOp>(op))
      return failed(checkMultiple(op, "latent", attention.getLatent()))
                 ? failure()
                 : checkMultiple(op, "rope_dims", attention.getRopeDims());
    return success();
  }
};

} // namespace
} // namespace ktc
