// Qwen2-MoE: biases on q, k and v, softmax router without normalisation, a shared expert with a sigmoid gate.
#include "compiler/gguf-to-model/arch/architectures.h"
#include "compiler/gguf-to-model/attention.h"
#include "compiler/gguf-to-model/feed_forward.h"

using namespace mlir;

namespace ktc {

void buildQwen2Moe(ModelBuilder &model) {
  GqaParameters gqa = readGqa(model, "neox", HeadNorm::None);
  MoeOptions options;
  options.sharedModule = "shared_expert";
  options.sharedGate = true;
  MoeParameters experts = readMoe(model, options);
  // Older files name the shared expert's width as that of a dense block.
  const char *key = model.keys.has("expert_shared_feed_forward_length") ? "expert_shared_feed_forward_length"
                                                                        : "feed_forward_length";
  experts.sharedFfn = model.keys.integer(key, 1, limit::ffn);
  model.buildDecoder([&](int64_t layer, Value x) { return gqaAttention(model, gqa, layer, x); },
                     [&](int64_t layer, Value x) { return moe(model, experts, layer, x); });
}

} // namespace ktc
