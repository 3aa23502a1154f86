// gpt-oss: grouped-query attention with biases and a sink per head, every other layer over a sliding window; a
// router with a bias that takes the softmax over the chosen experts, and experts with biases and a limited
// activation.
//
// The models were trained with a YaRN range that is not rounded to whole pairs; no key of a file says so.
#include "compiler/gguf-to-model/arch/architectures.h"
#include "compiler/gguf-to-model/attention.h"
#include "compiler/gguf-to-model/feed_forward.h"

using namespace mlir;

namespace ktc {

// Layers 0, 2, 4, … see the last positions only. Another period may be given: of `period` layers the last sees
// all.
static std::vector<int64_t> readWindows(ModelBuilder &model) {
  int64_t layers = model.common.layers;
  int64_t window = model.keys.integer("attention.sliding_window", 1, limit::context);
  int64_t period = model.keys.integerOr("attention.sliding_window_pattern", 2, 0, ggufMaxBlocks);
  std::vector<int64_t> windows(static_cast<size_t>(layers), window);
  for (int64_t layer = period - 1; period > 0 && layer < layers; layer += period)
    windows[static_cast<size_t>(layer)] = 0;
  return windows;
}

// Layers with a window could rotate by another base; no model does, and it is not supported.
static void checkWindowRope(ModelBuilder &model) {
  double base = model.keys.realOr("rope.freq_base", 1e4),
         windowed = model.keys.realOr("rope.freq_base_swa", base);
  if (windowed != base)
    model.keys.fail("metadata key 'gpt-oss.rope.freq_base_swa': expected the " + std::to_string(base) +
                    " of rope.freq_base, found " + std::to_string(windowed));
}

void buildGptOss(ModelBuilder &model) {
  checkWindowRope(model);
  GqaParameters gqa = readGqa(model, "neox", HeadNorm::None, /*wholePairs=*/false);
  gqa.window = readWindows(model);
  gqa.sinks = true;
  MoeOptions options;
  options.router = "router";
  options.gating = "topk_softmax";
  options.act = "swiglu_oai";
  options.biases = true;
  MoeParameters experts = readMoe(model, options);
  model.buildDecoder([&](int64_t layer, Value x) { return gqaAttention(model, gqa, layer, x); },
                     [&](int64_t layer, Value x) { return moe(model, experts, layer, x); },
                     "post_attention_norm");
}

} // namespace ktc
