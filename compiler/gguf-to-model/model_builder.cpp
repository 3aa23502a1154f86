// ModelBuilder: see the header.
#include "compiler/gguf-to-model/model_builder.h"

#include "compiler/gguf-to-model/cursor.h"

#include <algorithm>

using namespace mlir;

namespace ktc {

namespace {

std::string shapeText(ArrayRef<int64_t> shape) {
  std::string text = "[";
  for (int64_t dim : llvm::reverse(shape))
    text += (text.size() > 1 ? ", " : "") + std::to_string(dim);
  return text + "]";
}

// The layer of "blk.12.…", or -1.
int64_t layerOf(StringRef name) {
  int64_t layer = -1;
  if (!name.consume_front("blk.") || name.split('.').first.getAsInteger(10, layer))
    return -1;
  return layer;
}

} // namespace

ModelBuilder::ModelBuilder(const GgufModel &model, MLIRContext &context)
    : keys(model), builder(&context), model(model) {
  module = ModuleOp::create(builder.getUnknownLoc());
}

RankedTensorType ModelBuilder::activation(int64_t features) {
  return RankedTensorType::get({ShapedType::kDynamic, features}, builder.getF32Type());
}

std::string ModelBuilder::tensorName(int64_t layer, const std::string &name) {
  return "blk." + std::to_string(layer) + "." + name;
}

std::string ModelBuilder::modulePath(int64_t layer, const std::string &name) {
  return "model.layers." + std::to_string(layer) + (name.empty() ? "" : ".") + name;
}

func::FuncOp ModelBuilder::createFunction(StringRef name, ArrayRef<Type> inputs, Type result) {
  builder.setInsertionPointToEnd(module->getBody());
  auto function =
      builder.create<func::FuncOp>(builder.getUnknownLoc(), name, builder.getFunctionType(inputs, result));
  function.addEntryBlock();
  return function;
}

void ModelBuilder::begin() {
  int64_t blocks = keys.integer("block_count", 1, ggufMaxBlocks);
  common.layers = blocks - keys.integerOr("nextn_predict_layers", 0, 0, blocks - 1);
  common.width = keys.integer("embedding_length", 1, limit::width);
  common.context = keys.integer("context_length", 1, limit::context);
  common.eps = keys.positiveReal("attention.layer_norm_rms_epsilon");
  const GgufTensor *embedding = model.findTensor("token_embd.weight");
  common.vocab = embedding ? static_cast<int64_t>(std::min<uint64_t>(embedding->ne[1], INT32_MAX)) : 1;
  const GgufValue *tokens = model.metadata().find("tokenizer.ggml.tokens");
  if (tokens && embedding && tokens->count != embedding->ne[1])
    keys.fail("tensor 'token_embd.weight': expected " + std::to_string(tokens->count) +
              " rows, one per token of the vocabulary, found " + std::to_string(embedding->ne[1]));

  module->getOperation()->setAttr(model::attr::kArchitecture, builder.getStringAttr(keys.architecture()));
  ::kt::Result<std::string> name = model.metadata().getStringOr("general.name", "");
  module->getOperation()->setAttr(model::attr::kName, builder.getStringAttr(name ? *name : ""));
  SmallVector<Attribute> paths;
  for (const GgufFile &file : model.files())
    paths.push_back(builder.getStringAttr(file.path));
  module->getOperation()->setAttr(model::attr::kFiles, builder.getArrayAttr(paths));
  module->getOperation()->setAttr(model::attr::kTrainedContext, builder.getI64IntegerAttr(common.context));
  module->getOperation()->setAttr(model::attr::kLayers, builder.getI64IntegerAttr(common.layers));

  auto ids = RankedTensorType::get({ShapedType::kDynamic}, builder.getI32Type());
  body = createFunction(model::kBodyFunction, {ids, ids}, activation(common.width));
  head = createFunction(model::kHeadFunction, {activation(common.width)}, activation(common.vocab));
  positionIds = body.getArgument(1);
  builder.setInsertionPointToStart(&body.getBody().front());
}

void ModelBuilder::finish(func::FuncOp function, Value result) {
  builder.create<func::ReturnOp>(function.getLoc(), result);
}

void ModelBuilder::buildDecoder(Layer attention, Layer feedForward, const std::string &feedForwardNorm) {
  FlatSymbolRefAttr embedding = weight("token_embd.weight", {common.vocab, common.width});
  Value x = create<model::EmbedOp>("model.embed_tokens", body.getArgument(0), common.width,
                                   named("weight", embedding));
  for (int64_t layer = 0; layer < common.layers && !keys.failed(); ++layer) {
    Value h = rmsNorm(modulePath(layer, "input_layernorm"), x, tensorName(layer, "attn_norm"));
    x = add(modulePath(layer), x, attention(layer, h));
    h = rmsNorm(modulePath(layer, "post_attention_layernorm"), x, tensorName(layer, feedForwardNorm));
    x = add(modulePath(layer), x, feedForward(layer, h));
  }
  finish(body, x);

  builder.setInsertionPointToStart(&head.getBody().front());
  x = rmsNorm("model.norm", head.getArgument(0), "output_norm");
  // Without a matrix of its own the head uses the embedding.
  bool isTied = !hasTensor("output.weight");
  FlatSymbolRefAttr output =
      weight(isTied ? "token_embd.weight" : "output.weight", {common.vocab, common.width});
  finish(head, create<model::LmHeadOp>("lm_head", x, common.vocab, named("weight", output)));
}

FlatSymbolRefAttr ModelBuilder::placeholder() {
  return FlatSymbolRefAttr::get(builder.getContext(), "placeholder");
}

// Trailing dimensions of 1 mean nothing, and a stack of matrices may be written as one tall matrix: both leave
// the bytes where they are expected.
bool ModelBuilder::checkShape(const GgufTensor &tensor, ArrayRef<int64_t> shape) {
  std::array<uint64_t, 4> expected = {1, 1, 1, 1};
  for (size_t i = 0; i < shape.size(); ++i)
    expected[i] = static_cast<uint64_t>(shape[shape.size() - 1 - i]);
  bool isTall = tensor.ne[0] == expected[0] && tensor.ne[1] == expected[1] * expected[2] * expected[3] &&
                tensor.ne[2] * tensor.ne[3] == 1;
  if (tensor.ne == expected || isTall)
    return true;
  keys.fail("tensor '" + std::string(tensor.name) + "': expected shape " + shapeText(shape) + ", found " +
            tensor.shapeText());
  return false;
}

FlatSymbolRefAttr ModelBuilder::weight(const std::string &name, ArrayRef<int64_t> shape) {
  const GgufTensor *tensor = model.findTensor(name);
  if (!tensor) {
    keys.fail("tensor '" + name + "' is missing: expected one of shape " + shapeText(shape));
    return placeholder();
  }
  used.insert(name);
  if (!checkShape(*tensor, shape))
    return placeholder();
  Type element = quant::elementTypeFor(builder.getContext(), tensor->type);
  if (!element) {
    keys.fail("tensor '" + name + "': expected a type that has kernels, found " +
              ktTypeInfo(tensor->type)->name);
    return placeholder();
  }
  if (declared.insert(name).second) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPoint(body);
    NamedAttribute attributes[] = {named("sym_name", builder.getStringAttr(name)),
                                   named("type", TypeAttr::get(RankedTensorType::get(shape, element))),
                                   named("file", builder.getI32IntegerAttr(static_cast<int32_t>(tensor->file))),
                                   integer("offset", static_cast<int64_t>(tensor->offset)),
                                   integer("bytes", static_cast<int64_t>(tensor->bytes))};
    builder.create<model::WeightOp>(builder.getUnknownLoc(), TypeRange(), ValueRange(), attributes);
  }
  return FlatSymbolRefAttr::get(builder.getContext(), name);
}

FlatSymbolRefAttr ModelBuilder::f32Weight(const std::string &name, ArrayRef<int64_t> shape) {
  const GgufTensor *tensor = model.findTensor(name);
  if (tensor && tensor->type != KT_TYPE_F32)
    keys.fail("tensor '" + name + "': expected type f32, found " + ktTypeInfo(tensor->type)->name);
  return weight(name, shape);
}

FlatSymbolRefAttr ModelBuilder::optionalF32Weight(const std::string &name, ArrayRef<int64_t> shape) {
  return hasTensor(name) ? f32Weight(name, shape) : FlatSymbolRefAttr();
}

Value ModelBuilder::linear(const std::string &path, Value x, const std::string &name, int64_t outputs) {
  FlatSymbolRefAttr matrix = weight(name + ".weight", {outputs, model::features(x)});
  FlatSymbolRefAttr bias = optionalF32Weight(name + ".bias", {outputs});
  return create<model::LinearOp>(path, x, outputs, {named("weight", matrix), named("bias", bias)});
}

Value ModelBuilder::rmsNorm(const std::string &path, Value x, const std::string &name) {
  int64_t features = model::features(x);
  FlatSymbolRefAttr scale = f32Weight(name + ".weight", {features});
  return create<model::RmsNormOp>(path, x, features, {named("weight", scale), real("eps", common.eps)});
}

Value ModelBuilder::add(const std::string &path, Value lhs, Value rhs) {
  return create<model::AddOp>(path, {lhs, rhs}, model::features(lhs), {});
}

std::vector<std::string> ModelBuilder::checkUnusedTensors() {
  std::vector<std::string> warnings;
  std::string unusedBlocks;
  for (const GgufTensor &tensor : model.tensors()) {
    std::string name(tensor.name);
    if (used.contains(name))
      continue;
    int64_t layer = layerOf(name);
    if (layer >= common.layers) {
      // Multi-token prediction: one warning for all of it.
      unusedBlocks = "blocks from blk." + std::to_string(common.layers) + " on";
      continue;
    }
    // A bias or a scale that we do not know of would make every result wrong.
    StringRef suffix = StringRef(name).rsplit('.').second;
    if (suffix == "bias" || suffix == "scale")
      keys.fail("tensor '" + name + "': expected no such tensor in a " + keys.architecture() +
                " model, and it cannot be ignored");
    warnings.push_back("tensor '" + printable(name) + "' is not used by a " + keys.architecture() + " model");
  }
  if (!unusedBlocks.empty())
    warnings.push_back(unusedBlocks + " (multi-token prediction) are not used");
  return warnings;
}

} // namespace ktc
