// Feed-forward blocks of the importer: see the header.
#include "compiler/gguf-to-model/feed_forward.h"

#include <algorithm>

using namespace mlir;

namespace ktc {

// A block of three projections whose tensors end in `suffix`.
static Value ffnBlock(ModelBuilder &model, const std::string &path, int64_t layer, const std::string &suffix,
                      int64_t ffn, FlatSymbolRefAttr outputGate, Value x) {
  int64_t width = model.common.width;
  auto tensor = [&](const std::string &part) {
    return ModelBuilder::tensorName(layer, "ffn_" + part + suffix + ".weight");
  };
  return model.create<model::FfnOp>(path, x, width,
                                    {model.named("gate", model.weight(tensor("gate"), {ffn, width})),
                                     model.named("up", model.weight(tensor("up"), {ffn, width})),
                                     model.named("down", model.weight(tensor("down"), {width, ffn})),
                                     model.named("output_gate", outputGate), model.text("act", "silu")});
}

std::vector<int64_t> readDenseFfn(ModelBuilder &model) {
  return model.keys.perLayer("feed_forward_length", model.common.layers, -1, 1, limit::ffn);
}

Value denseFfn(ModelBuilder &model, const std::vector<int64_t> &ffn, int64_t layer, Value x) {
  return ffnBlock(model, ModelBuilder::modulePath(layer, "mlp"), layer, "", ffn[static_cast<size_t>(layer)], {},
                  x);
}

// Width of an expert where the file does not state it: that of a dense block, or its share.
static std::vector<int64_t> readExpertFfn(ModelBuilder &model, const std::vector<int64_t> &used) {
  ModelKeys &keys = model.keys;
  int64_t layers = model.common.layers;
  if (keys.has("expert_feed_forward_length"))
    return keys.perLayer("expert_feed_forward_length", layers, -1, 1, limit::ffn);
  std::vector<int64_t> ffn = keys.perLayer("feed_forward_length", layers, -1, 1, limit::ffn);
  if (keys.architecture() != "llama")
    for (size_t i = 0; i < ffn.size(); ++i)
      ffn[i] = std::max<int64_t>(ffn[i] / used[i], 1);
  return ffn;
}

static void readGroups(ModelBuilder &model, MoeParameters &moe) {
  ModelKeys &keys = model.keys;
  std::string prefix = "metadata key '" + keys.architecture() + ".";
  int64_t most = *std::max_element(moe.used.begin(), moe.used.end());
  moe.groups = std::max<int64_t>(keys.integerOr("expert_group_count", 1, 0, moe.experts), 1);
  if (moe.groups == 1)
    return;
  moe.groupsUsed = keys.integer("expert_group_used_count", 1, moe.groups);
  int64_t size = moe.experts / moe.groups;
  if (moe.experts % moe.groups || size < 2)
    keys.fail(prefix + "expert_group_count': expected groups of two or more that divide " +
              std::to_string(moe.experts) + " experts, found " + std::to_string(moe.groups));
  if (size * moe.groupsUsed < most)
    keys.fail(prefix + "expert_group_used_count': expected groups that hold the " + std::to_string(most) +
              " experts of a token, found " + std::to_string(moe.groupsUsed) + " groups of " +
              std::to_string(size));
}

std::string readGating(ModelBuilder &model, const std::string &fallback) {
  static const char *const names[] = {"", "softmax", "sigmoid", "topk_softmax"};
  int64_t id = model.keys.integerOr("expert_gating_func", 0, 0, 3);
  return id ? names[id] : fallback;
}

MoeParameters readMoe(ModelBuilder &model, MoeOptions options) {
  ModelKeys &keys = model.keys;
  MoeParameters moe;
  moe.options = std::move(options);
  moe.experts = keys.integer("expert_count", 1, limit::experts);
  moe.used = keys.perLayer("expert_used_count", model.common.layers, -1, 1, moe.experts);
  moe.ffn = readExpertFfn(model, moe.used);
  readGroups(model, moe);
  moe.scale = keys.realOr("expert_weights_scale", 1);
  if (moe.scale == 0) // what converters write for "no scale"
    moe.scale = 1;
  return moe;
}

// The old layout of Mixtral files has a matrix per expert, which would need a copy of all experts.
static void rejectExpertPerTensor(ModelBuilder &model, int64_t layer) {
  if (model.hasTensor(ModelBuilder::tensorName(layer, "ffn_gate.0.weight")))
    model.keys.fail(
        "tensor '" + ModelBuilder::tensorName(layer, "ffn_gate.0.weight") +
        "': expected the experts of a layer in one tensor, found one tensor per expert: convert the "
        "model again");
}

// The weights of a layer's routed experts, as attributes of model.experts.
static SmallVector<NamedAttribute> expertWeights(ModelBuilder &model, const MoeParameters &moe, int64_t layer) {
  int64_t width = model.common.width, ffn = moe.ffn[static_cast<size_t>(layer)];
  auto tensor = [&](const char *name) { return ModelBuilder::tensorName(layer, name); };
  SmallVector<NamedAttribute> attributes;
  auto add = [&](StringRef role, FlatSymbolRefAttr weight) { attributes.push_back(model.named(role, weight)); };
  if (model.hasTensor(tensor("ffn_gate_up_exps.weight"))) {
    add("gate_up", model.weight(tensor("ffn_gate_up_exps.weight"), {moe.experts, 2 * ffn, width}));
  } else {
    add("gate", model.weight(tensor("ffn_gate_exps.weight"), {moe.experts, ffn, width}));
    add("up", model.weight(tensor("ffn_up_exps.weight"), {moe.experts, ffn, width}));
  }
  add("down", model.weight(tensor("ffn_down_exps.weight"), {moe.experts, width, ffn}));
  if (moe.options.biases) {
    add("gate_bias", model.f32Weight(tensor("ffn_gate_exps.bias"), {moe.experts, ffn}));
    add("up_bias", model.f32Weight(tensor("ffn_up_exps.bias"), {moe.experts, ffn}));
    add("down_bias", model.f32Weight(tensor("ffn_down_exps.bias"), {moe.experts, width}));
  }
  attributes.push_back(model.text("act", moe.options.act));
  return attributes;
}

static Value routedExperts(ModelBuilder &model, const MoeParameters &moe, int64_t layer, Value x) {
  int64_t width = model.common.width, used = moe.used[static_cast<size_t>(layer)];
  auto path = [&](const std::string &name) {
    return ModelBuilder::modulePath(layer, moe.options.module + "." + name);
  };
  auto tensor = [&](const char *name) { return ModelBuilder::tensorName(layer, name); };
  rejectExpertPerTensor(model, layer);
  FlatSymbolRefAttr router = model.weight(tensor("ffn_gate_inp.weight"), {moe.experts, width}), logitBias;
  if (moe.options.biases)
    logitBias = model.f32Weight(tensor("ffn_gate_inp.bias"), {moe.experts});
  FlatSymbolRefAttr bias = model.optionalF32Weight(tensor("exp_probs_b.bias"), {moe.experts});
  auto idsType = RankedTensorType::get({ShapedType::kDynamic, used}, model.builder.getI32Type());
  auto choice = model.createAny<model::RouterOp>(
      path(moe.options.router), x, {idsType, model.activation(used)},
      {model.named("weight", router), model.named("logit_bias", logitBias), model.named("bias", bias),
       model.integer("experts", moe.experts), model.integer("top_k", used),
       model.text("gating", moe.options.gating), model.integer("groups", moe.groups),
       model.integer("groups_used", moe.groupsUsed), model.flag("norm", moe.options.norm),
       model.real("scale", moe.scale)});
  return model.create<model::ExpertsOp>(path("experts"), {x, choice.getIds(), choice.getWeights()}, width,
                                        expertWeights(model, moe, layer));
}

Value moe(ModelBuilder &model, const MoeParameters &moe, int64_t layer, Value x) {
  Value y = routedExperts(model, moe, layer, x);
  if (moe.sharedFfn == 0)
    return y;
  FlatSymbolRefAttr gate;
  if (moe.options.sharedGate)
    gate = model.weight(ModelBuilder::tensorName(layer, "ffn_gate_inp_shexp.weight"), {model.common.width});
  std::string module = moe.options.module;
  Value shared = ffnBlock(model, ModelBuilder::modulePath(layer, module + "." + moe.options.sharedModule),
                          layer, "_shexp", moe.sharedFfn, gate, x);
  return model.add(ModelBuilder::modulePath(layer, module), y, shared);
}

} // namespace ktc
