// Attention blocks of the importer: see the header.
#include "compiler/gguf-to-model/attention.h"

#include <cmath>

using namespace mlir;

namespace ktc {

GqaParameters readGqa(ModelBuilder &model, StringRef ropeStyle, HeadNorm headNorm, bool wholePairs) {
  ModelKeys &keys = model.keys;
  int64_t layers = model.common.layers;
  GqaParameters gqa;
  gqa.headNorm = headNorm;
  gqa.heads = keys.perLayer("attention.head_count", layers, -1, 1, limit::heads);
  gqa.kvHeads = gqa.heads;
  if (keys.has("attention.head_count_kv"))
    gqa.kvHeads = keys.perLayer("attention.head_count_kv", layers, -1, 1, limit::heads);
  for (size_t i = 0; i < gqa.heads.size(); ++i)
    if (gqa.heads[i] % gqa.kvHeads[i])
      keys.fail("metadata key '" + keys.architecture() +
                ".attention.head_count_kv': expected a divisor of the " + std::to_string(gqa.heads[i]) +
                " heads of layer " + std::to_string(i) + ", found " + std::to_string(gqa.kvHeads[i]));
  int64_t derived = std::max<int64_t>(model.common.width / gqa.heads[0], 1);
  gqa.headDim = keys.integerOr("attention.key_length", derived, 1, limit::headDim);
  gqa.vDim = keys.integerOr("attention.value_length", derived, 1, limit::headDim);
  gqa.rope = readRope(model, ropeStyle,
                      keys.integerOr("rope.dimension_count", gqa.headDim, 2, std::max<int64_t>(gqa.headDim, 2)),
                      wholePairs);
  return gqa;
}

Value gqaAttention(ModelBuilder &model, const GqaParameters &gqa, int64_t layer, Value x) {
  auto path = [&](const char *name) { return ModelBuilder::modulePath(layer, name); };
  auto tensor = [&](const char *name) { return ModelBuilder::tensorName(layer, name); };
  int64_t heads = gqa.heads[static_cast<size_t>(layer)], kvHeads = gqa.kvHeads[static_cast<size_t>(layer)];
  Value q = model.linear(path("self_attn.q_proj"), x, tensor("attn_q"), heads * gqa.headDim);
  Value k = model.linear(path("self_attn.k_proj"), x, tensor("attn_k"), kvHeads * gqa.headDim);
  Value v = model.linear(path("self_attn.v_proj"), x, tensor("attn_v"), kvHeads * gqa.vDim);
  FlatSymbolRefAttr qNorm, kNorm, sinks;
  bool hasNorm = model.hasTensor(tensor("attn_q_norm.weight")) || model.hasTensor(tensor("attn_k_norm.weight"));
  if (gqa.headNorm == HeadNorm::Always || (gqa.headNorm == HeadNorm::IfPresent && hasNorm)) {
    qNorm = model.f32Weight(tensor("attn_q_norm.weight"), {gqa.headDim});
    kNorm = model.f32Weight(tensor("attn_k_norm.weight"), {gqa.headDim});
  }
  if (gqa.sinks)
    sinks = model.f32Weight(tensor("attn_sinks.weight"), {heads});
  NamedAttribute attributes[] = {model.integer("layer", layer),
                                 model.integer("heads", heads),
                                 model.integer("kv_heads", kvHeads),
                                 model.integer("head_dim", gqa.headDim),
                                 model.integer("v_dim", gqa.vDim),
                                 model.real("scale", gqa.rope.scoreMagnitude * gqa.rope.scoreMagnitude /
                                                         std::sqrt(static_cast<double>(gqa.headDim))),
                                 model.named("rope", gqa.rope.attribute),
                                 model.named("q_norm", qNorm),
                                 model.named("k_norm", kNorm),
                                 model.real("norm_eps", model.common.eps),
                                 model.named("sinks", sinks),
                                 model.integer("window", gqa.window.empty() ? 0 : gqa.window[size_t(layer)])};
  Value y = model.create<model::GqaAttentionOp>(path("self_attn"), {q, k, v, model.positions()},
                                                heads * gqa.vDim, attributes);
  return model.linear(path("self_attn.o_proj"), y, tensor("attn_output"), model.common.width);
}

MlaParameters readMla(ModelBuilder &model) {
  ModelKeys &keys = model.keys;
  MlaParameters mla;
  mla.heads = keys.integer("attention.head_count", 1, limit::heads);
  mla.queryRank = keys.integerOr("attention.q_lora_rank", 0, 0, limit::width);
  mla.latent = keys.integer("attention.kv_lora_rank", 1, limit::headDim);
  mla.ropeDims = keys.integer("rope.dimension_count", 2, limit::headDim);
  bool isCurrent = keys.has("attention.key_length_mla") && keys.has("attention.value_length_mla");
  std::string keyLength = isCurrent ? "attention.key_length_mla" : "attention.key_length";
  int64_t keyDim = keys.integer(keyLength, 1, limit::headDim);
  mla.vDim =
      keys.integer(isCurrent ? "attention.value_length_mla" : "attention.value_length", 1, limit::headDim);
  mla.nope = std::max<int64_t>(keyDim - mla.ropeDims, 1);
  if (keyDim <= mla.ropeDims)
    keys.fail("metadata key '" + keys.architecture() + "." + keyLength + "': expected more than the " +
              std::to_string(mla.ropeDims) + " rotated elements, found " + std::to_string(keyDim));
  int64_t cached = mla.latent + mla.ropeDims;
  if (isCurrent && keys.integerOr("attention.key_length", cached, 1, limit::width) != cached)
    keys.fail("metadata key '" + keys.architecture() + ".attention.key_length': expected " +
              std::to_string(cached) + ", kv_lora_rank and the rotated elements, found another value");
  mla.rope = readRope(model, "norm", mla.ropeDims);
  return mla;
}

static Value mlaQuery(ModelBuilder &model, const MlaParameters &mla, int64_t layer, Value x) {
  auto path = [&](const char *name) { return ModelBuilder::modulePath(layer, name); };
  auto tensor = [&](const char *name) { return ModelBuilder::tensorName(layer, name); };
  int64_t width = mla.heads * (mla.nope + mla.ropeDims);
  if (mla.queryRank == 0)
    return model.linear(path("self_attn.q_proj"), x, tensor("attn_q"), width);
  Value q = model.linear(path("self_attn.q_a_proj"), x, tensor("attn_q_a"), mla.queryRank);
  q = model.rmsNorm(path("self_attn.q_a_layernorm"), q, tensor("attn_q_a_norm"));
  return model.linear(path("self_attn.q_b_proj"), q, tensor("attn_q_b"), width);
}

Value mlaAttention(ModelBuilder &model, const MlaParameters &mla, int64_t layer, Value x) {
  auto path = [&](const char *name) { return ModelBuilder::modulePath(layer, name); };
  auto tensor = [&](const char *name) { return ModelBuilder::tensorName(layer, name); };
  Value q = mlaQuery(model, mla, layer, x);
  Value kv =
      model.linear(path("self_attn.kv_a_proj_with_mqa"), x, tensor("attn_kv_a_mqa"), mla.latent + mla.ropeDims);
  FlatSymbolRefAttr kvNorm = model.f32Weight(tensor("attn_kv_a_norm.weight"), {mla.latent});
  FlatSymbolRefAttr kB, vB, kvB;
  // Some files carry both layouts; the split one needs no transformation.
  if (model.hasTensor(tensor("attn_k_b.weight")) || !model.hasTensor(tensor("attn_kv_b.weight"))) {
    kB = model.weight(tensor("attn_k_b.weight"), {mla.heads, mla.latent, mla.nope});
    vB = model.weight(tensor("attn_v_b.weight"), {mla.heads, mla.vDim, mla.latent});
    model.ignoreTensor(tensor("attn_kv_b.weight"));
  } else {
    kvB = model.weight(tensor("attn_kv_b.weight"), {mla.heads * (mla.nope + mla.vDim), mla.latent});
  }
  double magnitude = mla.rope.scoreMagnitude;
  NamedAttribute attributes[] = {
      model.integer("layer", layer),
      model.integer("heads", mla.heads),
      model.integer("nope", mla.nope),
      model.integer("rope_dims", mla.ropeDims),
      model.integer("v_dim", mla.vDim),
      model.integer("latent", mla.latent),
      model.real("scale", magnitude * magnitude / std::sqrt(static_cast<double>(mla.nope + mla.ropeDims))),
      model.named("rope", mla.rope.attribute),
      model.named("kv_norm", kvNorm),
      model.real("norm_eps", model.common.eps),
      model.named("k_b", kB),
      model.named("v_b", vB),
      model.named("kv_b", kvB)};
  Value y = model.create<model::MlaAttentionOp>(path("self_attn"), {q, kv, model.positions()},
                                                mla.heads * mla.vDim, attributes);
  return model.linear(path("self_attn.o_proj"), y, tensor("attn_output"), model.common.width);
}

} // namespace ktc
