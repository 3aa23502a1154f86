// The model dialect: registration, attribute verifiers and type predicates.
#include "dialects/model/Model.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#include "ModelDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "ModelAttributes.cpp.inc"

namespace ktc::model {

void ModelDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "ModelAttributes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "ModelOps.cpp.inc"
      >();
}

LogicalResult RopeAttr::verify(llvm::function_ref<InFlightDiagnostic()> emitError, StringRef style,
                               int64_t dims, Real base, StringRef scaling, Real factor, int64_t originalContext,
                               Real betaFast, Real betaSlow, Real magnitude, bool, FlatSymbolRefAttr) {
  if (style != "norm" && style != "neox")
    return emitError() << "rope style must be \"norm\" or \"neox\", found \"" << style << "\"";
  if (dims <= 0 || dims % 2)
    return emitError() << "rope dims must be even and positive, found " << dims;
  if (!(base > 0) || !(factor > 0) || !(magnitude > 0))
    return emitError() << "rope base, factor and magnitude must be positive";
  if (scaling != "none" && scaling != "linear" && scaling != "yarn")
    return emitError() << "rope scaling must be \"none\", \"linear\" or \"yarn\", found \"" << scaling << "\"";
  if (scaling == "yarn" && (originalContext <= 0 || !(betaFast >= betaSlow) || !(betaSlow > 0)))
    return emitError() << "yarn needs original_context > 0 and beta_fast >= beta_slow > 0";
  return success();
}

bool isActivation(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 2 && tensor.isDynamicDim(0) && !tensor.isDynamicDim(1) &&
         tensor.getDimSize(1) > 0 && tensor.getElementType().isF32();
}

bool isTokenIds(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 1 && tensor.isDynamicDim(0) &&
         tensor.getElementType().isSignlessInteger(32);
}

bool isChosenIds(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 2 && tensor.isDynamicDim(0) && !tensor.isDynamicDim(1) &&
         tensor.getElementType().isSignlessInteger(32);
}

int64_t features(Value value) { return cast<RankedTensorType>(value.getType()).getDimSize(1); }

RankedTensorType weightType(Operation *from, FlatSymbolRefAttr ref) {
  Operation *symbol = SymbolTable::lookupNearestSymbolFrom(from, ref);
  if (auto weight = dyn_cast_or_null<WeightOp>(symbol))
    return cast<RankedTensorType>(weight.getType());
  if (auto derived = dyn_cast_or_null<DerivedWeightOp>(symbol))
    return cast<RankedTensorType>(derived.getType());
  return {};
}

} // namespace ktc::model
