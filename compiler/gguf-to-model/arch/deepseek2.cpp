// DeepSeek-V2, V2-Lite, V3, R1, and models of the same structure (Kimi K2): latent attention, some dense layers
// first, then softmax or sigmoid routing over groups of experts, and shared experts that are always added.
#include "compiler/gguf-to-model/arch/architectures.h"
#include "compiler/gguf-to-model/attention.h"
#include "compiler/gguf-to-model/feed_forward.h"

using namespace mlir;

namespace ktc {

namespace {

MoeParameters readExperts(ModelBuilder &model) {
  // Files from before the key mean softmax, except those of one model family with a sigmoid router, known by
  // its vocabulary.
  constexpr int64_t sigmoidVocab = 154880;
  MoeOptions options;
  options.gating = readGating(model, model.common.vocab == sigmoidVocab ? "sigmoid" : "softmax");
  options.norm = model.keys.flagOr("expert_weights_norm", false);
  options.sharedModule = "shared_experts";
  MoeParameters experts = readMoe(model, options);
  // All shared experts are one block of their summed width.
  int64_t shared = model.keys.integerOr("expert_shared_count", 0, 0, limit::experts);
  experts.sharedFfn = shared * experts.ffn[0];
  return experts;
}

} // namespace

void buildDeepSeek2(ModelBuilder &model) {
  MlaParameters mla = readMla(model);
  int64_t layers = model.common.layers;
  bool hasExperts = model.keys.integerOr("expert_count", 0, 0, limit::experts) > 0;
  int64_t dense = hasExperts ? model.keys.integerOr("leading_dense_block_count", 0, 0, layers) : layers;
  std::vector<int64_t> ffn = dense > 0 ? readDenseFfn(model) : std::vector<int64_t>();
  MoeParameters experts = dense < layers ? readExperts(model) : MoeParameters();
  model.buildDecoder([&](int64_t layer, Value x) { return mlaAttention(model, mla, layer, x); },
                     [&](int64_t layer, Value x) {
                       return layer < dense ? denseFfn(model, ffn, layer, x) : moe(model, experts, layer, x);
                     });
}

} // namespace ktc
