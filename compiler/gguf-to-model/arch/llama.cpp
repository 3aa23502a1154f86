// Llama (dense) and Mixtral (experts), which share a name in files. Their converters permute the rows of q and
// k, so that rope pairs neighbours.
#include "compiler/gguf-to-model/arch/architectures.h"
#include "compiler/gguf-to-model/attention.h"
#include "compiler/gguf-to-model/feed_forward.h"

using namespace mlir;

namespace ktc {

void buildLlama(ModelBuilder &model) {
  GqaParameters gqa = readGqa(model, "norm", HeadNorm::None);
  auto attention = [&](int64_t layer, Value x) { return gqaAttention(model, gqa, layer, x); };
  if (model.keys.integerOr("expert_count", 0, 0, limit::experts) == 0) {
    std::vector<int64_t> ffn = readDenseFfn(model);
    model.buildDecoder(attention, [&](int64_t layer, Value x) { return denseFfn(model, ffn, layer, x); });
    return;
  }
  MoeOptions options;
  options.module = "block_sparse_moe";
  options.norm = true;
  MoeParameters experts = readMoe(model, options);
  model.buildDecoder(attention, [&](int64_t layer, Value x) { return moe(model, experts, layer, x); });
}

} // namespace ktc
