// Qwen3-MoE: normalised query and key heads of their own size, softmax router with normalised weights.
#include "compiler/gguf-to-model/arch/architectures.h"
#include "compiler/gguf-to-model/attention.h"
#include "compiler/gguf-to-model/feed_forward.h"

using namespace mlir;

namespace ktc {

void buildQwen3Moe(ModelBuilder &model) {
  GqaParameters gqa = readGqa(model, "neox", HeadNorm::Always);
  MoeOptions options;
  options.norm = true;
  MoeParameters experts = readMoe(model, options);
  model.buildDecoder([&](int64_t layer, Value x) { return gqaAttention(model, gqa, layer, x); },
                     [&](int64_t layer, Value x) { return moe(model, experts, layer, x); });
}

} // namespace ktc
