// The model dialect: verifiers. Each failure names the weight or attribute, what was expected and what was
// found.
#include "dialects/model/Model.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/OpImplementation.h"
#include "runtime/abi/kt_types.h"

using namespace mlir;

#define GET_OP_CLASSES
#include "ModelOps.cpp.inc"

namespace ktc::model {

static std::string shapeText(ArrayRef<int64_t> shape) {
  std::string text = "[";
  for (int64_t dim : shape)
    text += (text.size() > 1 ? ", " : "") + std::to_string(dim);
  return text + "]";
}

// Checks that `ref` names a weight of exactly `shape`. `role` is the attribute's name, for messages.
static LogicalResult checkWeight(Operation *op, StringRef role, FlatSymbolRefAttr ref,
                                 ArrayRef<int64_t> shape) {
  RankedTensorType type = weightType(op, ref);
  if (!type)
    return op->emitOpError() << role << " names no weight: @" << ref.getValue();
  if (type.getShape() != shape)
    return op->emitOpError() << role << " @" << ref.getValue() << ": expected shape " << shapeText(shape)
                             << ", found " << shapeText(type.getShape());
  return success();
}

static LogicalResult checkOptionalWeight(Operation *op, StringRef role, FlatSymbolRefAttr ref,
                                         ArrayRef<int64_t> shape) {
  return ref ? checkWeight(op, role, ref, shape) : success();
}

static LogicalResult checkFeatures(Operation *op, StringRef what, Value value, int64_t expected) {
  if (features(value) == expected)
    return success();
  return op->emitOpError() << what << ": expected " << expected << " features, found " << features(value);
}

static LogicalResult checkWeightElements(Operation *op, RankedTensorType type) {
  if (!quant::isWeightElementType(type.getElementType()))
    return op->emitOpError() << "element type " << type.getElementType() << " is not a weight format";
  if (type.getRank() == 0 || llvm::any_of(type.getShape(), [](int64_t dim) { return dim <= 0; }))
    return op->emitOpError() << "every dimension must be positive, found " << shapeText(type.getShape());
  const KtTypeInfo *info = ktTypeInfo(quant::typeIdOf(type.getElementType()));
  if (type.getShape().back() % info->blockElements)
    return op->emitOpError() << "row length " << type.getShape().back() << " is not a multiple of the "
                             << info->blockElements << " elements of a " << info->name << " block";
  return success();
}

LogicalResult WeightOp::verify() {
  auto type = cast<RankedTensorType>(getType());
  if (failed(checkWeightElements(*this, type)))
    return failure();
  if (static_cast<int32_t>(getFile()) < 0 || static_cast<int64_t>(getOffset()) < 0)
    return emitOpError() << "file and offset must not be negative";
  if (getBytes() != quant::tensorBytes(type))
    return emitOpError() << "expected " << quant::tensorBytes(type) << " bytes for " << type << ", found "
                         << getBytes();
  return success();
}

LogicalResult DerivedWeightOp::verify() {
  auto type = cast<RankedTensorType>(getType());
  if (failed(checkWeightElements(*this, type)))
    return failure();
  if (getTransform() != "mla_k_b" && getTransform() != "mla_v_b")
    return emitOpError() << "unknown transform \"" << getTransform() << "\"";
  RankedTensorType source = weightType(*this, getSourceAttr());
  if (!source)
    return emitOpError() << "source names no weight: @" << getSource();
  bool isKey = getTransform() == "mla_k_b";
  int64_t latent = type.getRank() == 3 ? type.getDimSize(isKey ? 1 : 2) : -1;
  if (source.getRank() != 2 || source.getDimSize(1) != latent || source.getDimSize(0) % type.getDimSize(0))
    return emitOpError() << "source " << shapeText(source.getShape()) << " does not split into "
                         << shapeText(type.getShape());
  // Each head's rows in the source are its key rows and its value rows; neither part is empty.
  int64_t headRows = source.getDimSize(0) / type.getDimSize(0), partRows = type.getDimSize(isKey ? 2 : 1);
  if (partRows >= headRows)
    return emitOpError() << "takes " << partRows << " rows of each head, but the source has " << headRows;
  return success();
}

LogicalResult EmbedOp::verify() {
  RankedTensorType type = weightType(*this, getWeightAttr());
  int64_t vocab = type && type.getRank() == 2 ? type.getDimSize(0) : 1;
  return checkWeight(*this, "weight", getWeightAttr(), {vocab, features(getResult())});
}

LogicalResult RmsNormOp::verify() {
  if (!(getEps().convertToDouble() > 0))
    return emitOpError() << "eps must be positive";
  if (failed(checkFeatures(*this, "result", getResult(), features(getX()))))
    return failure();
  return checkWeight(*this, "weight", getWeightAttr(), {features(getX())});
}

LogicalResult LinearOp::verify() {
  if (failed(checkWeight(*this, "weight", getWeightAttr(), {features(getResult()), features(getX())})))
    return failure();
  return checkOptionalWeight(*this, "bias", getBiasAttr(), {features(getResult())});
}

LogicalResult GqaAttentionOp::verify() {
  int64_t heads = getHeads(), kvHeads = getKvHeads(), headDim = getHeadDim(), vDim = getVDim();
  if (headDim <= 0 || vDim <= 0)
    return emitOpError() << "head_dim and v_dim must be positive, found " << headDim << " and " << vDim;
  if (static_cast<int64_t>(getWindow()) < 0)
    return emitOpError() << "window must not be negative, found " << static_cast<int64_t>(getWindow());
  if (heads <= 0 || kvHeads <= 0 || heads % kvHeads)
    return emitOpError() << "heads must be a positive multiple of kv_heads, found " << heads << " and "
                         << kvHeads;
  if (failed(checkFeatures(*this, "q", getQ(), heads * headDim)) ||
      failed(checkFeatures(*this, "k", getK(), kvHeads * headDim)) ||
      failed(checkFeatures(*this, "v", getV(), kvHeads * vDim)) ||
      failed(checkFeatures(*this, "result", getResult(), heads * vDim)))
    return failure();
  if (getRope() && getRope()->getDims() > headDim)
    return emitOpError() << "rope dims " << getRope()->getDims() << " exceed head_dim " << headDim;
  if (failed(checkOptionalWeight(*this, "q_norm", getQNormAttr(), {headDim})) ||
      failed(checkOptionalWeight(*this, "sinks", getSinksAttr(), {heads})))
    return failure();
  return checkOptionalWeight(*this, "k_norm", getKNormAttr(), {headDim});
}

LogicalResult MlaAttentionOp::verify() {
  int64_t heads = getHeads(), nope = getNope(), ropeDims = getRopeDims(), vDim = getVDim(),
          latent = getLatent();
  if (heads <= 0 || nope <= 0 || ropeDims <= 0 || vDim <= 0 || latent <= 0)
    return emitOpError() << "heads, nope, rope_dims, v_dim and latent must be positive";
  if (failed(checkFeatures(*this, "q", getQ(), heads * (nope + ropeDims))) ||
      failed(checkFeatures(*this, "kv", getKv(), latent + ropeDims)) ||
      failed(checkFeatures(*this, "result", getResult(), heads * vDim)))
    return failure();
  if (getRope().getDims() != ropeDims)
    return emitOpError() << "rope dims " << getRope().getDims() << " differ from rope_dims " << ropeDims;
  if (getForm() && *getForm() != "absorbed")
    return emitOpError() << "unknown form \"" << *getForm() << "\"";
  if (failed(checkWeight(*this, "kv_norm", getKvNormAttr(), {latent})))
    return failure();
  if (getKvB())
    return getKB() || getVB() ? emitOpError() << "kv_b excludes k_b and v_b"
                              : checkWeight(*this, "kv_b", getKvBAttr(), {heads * (nope + vDim), latent});
  if (!getKB() || !getVB())
    return emitOpError() << "needs k_b and v_b, or kv_b";
  if (failed(checkWeight(*this, "k_b", getKBAttr(), {heads, latent, nope})))
    return failure();
  return checkWeight(*this, "v_b", getVBAttr(), {heads, vDim, latent});
}

LogicalResult RouterOp::verify() {
  int64_t experts = getExperts(), topK = getTopK(), groups = getGroups(), used = getGroupsUsed();
  if (experts <= 0 || topK <= 0 || topK > experts)
    return emitOpError() << "top_k must be in 1.." << experts << ", found " << topK;
  if (getGating() != "softmax" && getGating() != "sigmoid" && getGating() != "topk_softmax")
    return emitOpError() << "unknown gating \"" << getGating() << "\"";
  if (groups <= 0 || experts % groups || used <= 0 || used > groups)
    return emitOpError() << groups << " groups, " << used << " used: groups must divide " << experts
                         << " experts and contain the used ones";
  if (groups > 1 && (experts / groups < 2 || experts / groups * used < topK))
    return emitOpError() << "top_k " << topK << " does not fit " << used << " groups of " << experts / groups;
  if (cast<RankedTensorType>(getIds().getType()).getDimSize(1) != topK || features(getWeights()) != topK)
    return emitOpError() << "results must have top_k = " << topK << " columns";
  if (failed(checkWeight(*this, "weight", getWeightAttr(), {experts, features(getX())})) ||
      failed(checkOptionalWeight(*this, "logit_bias", getLogitBiasAttr(), {experts})))
    return failure();
  return checkOptionalWeight(*this, "bias", getBiasAttr(), {experts});
}

static bool isGatedActivation(StringRef act) {
  return act == "silu" || act == "gelu_tanh" || act == "swiglu_oai";
}

static LogicalResult checkExpertBiases(ExpertsOp op, int64_t experts, int64_t ffn) {
  if (!op.getGateBias() != !op.getUpBias())
    return op.emitOpError() << "needs gate_bias and up_bias, or neither";
  if (failed(checkOptionalWeight(op, "gate_bias", op.getGateBiasAttr(), {experts, ffn})) ||
      failed(checkOptionalWeight(op, "up_bias", op.getUpBiasAttr(), {experts, ffn})))
    return failure();
  return checkOptionalWeight(op, "down_bias", op.getDownBiasAttr(), {experts, features(op.getX())});
}

LogicalResult ExpertsOp::verify() {
  RankedTensorType down = weightType(*this, getDownAttr());
  if (!down || down.getRank() != 3)
    return emitOpError() << "down names no weight of rank 3: @" << getDown();
  int64_t experts = down.getDimSize(0), ffn = down.getDimSize(2), width = features(getX());
  if (!isGatedActivation(getAct()))
    return emitOpError() << "unknown activation \"" << getAct() << "\"";
  if (cast<RankedTensorType>(getIds().getType()).getDimSize(1) != features(getWeights()))
    return emitOpError() << "ids and weights differ in their number of columns";
  if (failed(checkFeatures(*this, "result", getResult(), width)) ||
      failed(checkWeight(*this, "down", getDownAttr(), {experts, width, ffn})) ||
      failed(checkExpertBiases(*this, experts, ffn)))
    return failure();
  if (getGateUp())
    return getGate() || getUp() ? emitOpError() << "gate_up excludes gate and up"
                                : checkWeight(*this, "gate_up", getGateUpAttr(), {experts, 2 * ffn, width});
  if (!getGate() || !getUp())
    return emitOpError() << "needs gate and up, or gate_up";
  if (failed(checkWeight(*this, "gate", getGateAttr(), {experts, ffn, width})))
    return failure();
  return checkWeight(*this, "up", getUpAttr(), {experts, ffn, width});
}

LogicalResult FfnOp::verify() {
  RankedTensorType down = weightType(*this, getDownAttr());
  if (!down || down.getRank() != 2)
    return emitOpError() << "down names no weight of rank 2: @" << getDown();
  int64_t ffn = down.getDimSize(1), width = features(getX());
  if (!isGatedActivation(getAct()))
    return emitOpError() << "unknown activation \"" << getAct() << "\"";
  if (failed(checkFeatures(*this, "result", getResult(), width)) ||
      failed(checkWeight(*this, "down", getDownAttr(), {width, ffn})) ||
      failed(checkWeight(*this, "gate", getGateAttr(), {ffn, width})) ||
      failed(checkWeight(*this, "up", getUpAttr(), {ffn, width})))
    return failure();
  return checkOptionalWeight(*this, "output_gate", getOutputGateAttr(), {width});
}

LogicalResult LmHeadOp::verify() {
  return checkWeight(*this, "weight", getWeightAttr(), {features(getResult()), features(getX())});
}

} // namespace ktc::model
