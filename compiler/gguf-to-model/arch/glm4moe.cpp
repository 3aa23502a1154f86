// GLM-4.5 and GLM-4.5-Air: grouped-query attention with biases and rotation of half of each head, norms of the
// heads in the larger model only, some dense layers first, then sigmoid routing with a selection bias, and a
// shared expert.
//
// The last blocks of a file are for multi-token prediction and are not run.
#include "compiler/gguf-to-model/arch/architectures.h"
#include "compiler/gguf-to-model/attention.h"
#include "compiler/gguf-to-model/feed_forward.h"

using namespace mlir;

namespace ktc {

void buildGlm4Moe(ModelBuilder &model) {
  GqaParameters gqa = readGqa(model, "neox", HeadNorm::IfPresent);
  int64_t layers = model.common.layers;
  int64_t dense = model.keys.integerOr("leading_dense_block_count", 0, 0, layers);
  std::vector<int64_t> ffn = dense > 0 ? readDenseFfn(model) : std::vector<int64_t>();
  MoeParameters experts;
  if (dense < layers) {
    MoeOptions options;
    options.gating = readGating(model, "sigmoid");
    options.norm = model.keys.flagOr("expert_weights_norm", false);
    options.sharedModule = "shared_experts";
    experts = readMoe(model, options);
    // All shared experts are one block of their summed width.
    experts.sharedFfn = model.keys.integerOr("expert_shared_count", 0, 0, limit::experts) * experts.ffn[0];
  }
  model.buildDecoder([&](int64_t layer, Value x) { return gqaAttention(model, gqa, layer, x); },
                     [&](int64_t layer, Value x) {
                       return layer < dense ? denseFfn(model, ffn, layer, x) : moe(model, experts, layer, x);
                     },
                     "post_attention_norm");
}

} // namespace ktc
