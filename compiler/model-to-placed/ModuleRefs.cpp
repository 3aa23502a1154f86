// The model as the policy sees it. See the header.
#include "compiler/model-to-placed/ModuleRefs.h"

#include "runtime/abi/kt_types.h"

using namespace mlir;

namespace ktc {

bool isNetworkOp(Operation *op) { return isa<model::ModelDialect>(op->getDialect()) && op->hasAttr("path"); }

// "model.layers.12.mlp" → 12; paths outside of layers → -1.
static int layerOf(StringRef path) {
  StringRef rest = path;
  int layer = -1;
  if (!rest.consume_front("model.layers.") || rest.consumeInteger(10, layer))
    return -1;
  return layer;
}

// Bytes of `type` that one decoded token reads when `op` uses it.
static uint64_t bytesPerToken(Operation *op, RankedTensorType type) {
  uint64_t bytes = quant::tensorBytes(type);
  if (isa<model::EmbedOp>(op))
    return quant::rowBytes(type);
  if (auto experts = dyn_cast<model::ExpertsOp>(op))
    return bytes / type.getDimSize(0) * model::features(experts.getWeights());
  return bytes;
}

static policy::ModuleRef moduleRef(Operation *op) {
  policy::ModuleRef ref;
  ref.path = op->getAttrOfType<StringAttr>("path").str();
  ref.op = op->getName().stripDialect().str();
  ref.layer = layerOf(ref.path);
  for (NamedAttribute attribute : op->getAttrs()) {
    auto symbol = dyn_cast<FlatSymbolRefAttr>(attribute.getValue());
    RankedTensorType type = symbol ? model::weightType(op, symbol) : RankedTensorType();
    if (!type)
      continue;
    policy::WeightRef weight;
    weight.name = symbol.getValue().str();
    weight.format = ktTypeInfo(quant::typeIdOf(type.getElementType()))->name;
    weight.bytes = quant::tensorBytes(type);
    weight.bytesPerToken = bytesPerToken(op, type);
    ref.bytesPerToken += weight.bytesPerToken;
    ref.weights.push_back(std::move(weight));
  }
  return ref;
}

NetworkOps collectNetworkOps(ModuleOp module) {
  NetworkOps network;
  module.walk([&](Operation *op) {
    if (!isNetworkOp(op) || isa<model::AddOp>(op))
      return;
    network.operations.push_back(op);
    network.modules.push_back(moduleRef(op));
  });
  if (auto architecture = module->getAttrOfType<StringAttr>(model::attr::kArchitecture))
    policy::addHuggingFaceModules(architecture.getValue(), network.modules);
  return network;
}

} // namespace ktc
