// Tiny models of every supported architecture, as builders whose keys and tensors tests can change.
#pragma once

#include "test/compiler/gguf-to-model/support/gguf_builder.h"

namespace ktc::test {

// Dimensions that all tiny models share.
constexpr uint64_t width = 32, vocab = 10, expertCount = 4, expertFfn = 64;

inline std::string blk(uint64_t layer, const std::string &name) {
  return "blk." + std::to_string(layer) + "." + name + ".weight";
}

// Keys and tensors that every architecture has.
inline GgufBuilder tinyModel(const std::string &arch, uint32_t layers) {
  GgufBuilder b;
  b.string("general.architecture", arch).string("general.name", "tiny");
  b.u32(arch + ".block_count", layers)
      .u32(arch + ".context_length", 128)
      .u32(arch + ".embedding_length", width);
  b.f32(arch + ".attention.layer_norm_rms_epsilon", 1e-5f);
  b.tensor("token_embd.weight", {width, vocab}, KT_TYPE_Q8_0).tensor("output_norm.weight", {width});
  b.tensor("output.weight", {width, vocab}, KT_TYPE_F16);
  for (uint32_t i = 0; i < layers; ++i)
    b.tensor(blk(i, "attn_norm"), {width}).tensor(blk(i, "ffn_norm"), {width});
  return b;
}

// 4 query heads, 2 key/value heads.
inline void addGqa(GgufBuilder &b, const std::string &arch, uint32_t layers, uint64_t headDim) {
  b.u32(arch + ".attention.head_count", 4).u32(arch + ".attention.head_count_kv", 2);
  for (uint32_t i = 0; i < layers; ++i) {
    b.tensor(blk(i, "attn_q"), {width, 4 * headDim}).tensor(blk(i, "attn_k"), {width, 2 * headDim});
    b.tensor(blk(i, "attn_v"), {width, 2 * headDim}).tensor(blk(i, "attn_output"), {4 * headDim, width});
  }
}

inline void addDenseFfn(GgufBuilder &b, uint32_t layer, uint64_t ffn, const std::string &suffix = "") {
  b.tensor(blk(layer, "ffn_gate" + suffix), {width, ffn}).tensor(blk(layer, "ffn_up" + suffix), {width, ffn});
  b.tensor(blk(layer, "ffn_down" + suffix), {ffn, width});
}

inline void addExperts(GgufBuilder &b, uint32_t layer) {
  b.tensor(blk(layer, "ffn_gate_inp"), {width, expertCount});
  b.tensor(blk(layer, "ffn_gate_exps"), {width, expertFfn, expertCount}, KT_TYPE_Q4_0);
  b.tensor(blk(layer, "ffn_up_exps"), {width, expertFfn, expertCount}, KT_TYPE_Q5_0);
  b.tensor(blk(layer, "ffn_down_exps"), {expertFfn, width, expertCount}, KT_TYPE_Q8_0);
}

inline void addExpertKeys(GgufBuilder &b, const std::string &arch) {
  b.u32(arch + ".expert_count", expertCount).u32(arch + ".expert_used_count", 2);
  b.u32(arch + ".expert_feed_forward_length", expertFfn);
}

// Two dense layers, head size 8.
inline GgufBuilder tinyLlama() {
  GgufBuilder b = tinyModel("llama", 2);
  addGqa(b, "llama", 2, 8);
  b.u32("llama.feed_forward_length", 48);
  addDenseFfn(b, 0, 48);
  addDenseFfn(b, 1, 48);
  return b;
}

inline GgufBuilder tinyMixtral() {
  GgufBuilder b = tinyModel("llama", 1);
  addGqa(b, "llama", 1, 8);
  b.u32("llama.feed_forward_length", expertFfn).u32("llama.expert_count", expertCount);
  b.u32("llama.expert_used_count", 2);
  addExperts(b, 0);
  return b;
}

// Head size 16: heads times their size are not the width.
inline GgufBuilder tinyQwen3Moe() {
  GgufBuilder b = tinyModel("qwen3moe", 1);
  addGqa(b, "qwen3moe", 1, 16);
  b.u32("qwen3moe.attention.key_length", 16).u32("qwen3moe.attention.value_length", 16);
  b.tensor(blk(0, "attn_q_norm"), {16}).tensor(blk(0, "attn_k_norm"), {16});
  addExpertKeys(b, "qwen3moe");
  addExperts(b, 0);
  return b;
}

inline GgufBuilder tinyQwen2Moe() {
  GgufBuilder b = tinyModel("qwen2moe", 1);
  addGqa(b, "qwen2moe", 1, 8);
  b.tensor("blk.0.attn_q.bias", {32}).tensor("blk.0.attn_k.bias", {16}).tensor("blk.0.attn_v.bias", {16});
  addExpertKeys(b, "qwen2moe");
  addExperts(b, 0);
  b.u32("qwen2moe.expert_shared_feed_forward_length", 96).tensor(blk(0, "ffn_gate_inp_shexp"), {width});
  addDenseFfn(b, 0, 96, "_shexp");
  return b;
}

// One dense layer and one with experts; 2 heads of [16 | 8], value heads of 24, latent 64.
inline GgufBuilder tinyDeepSeek2(bool legacy = false) {
  const std::string a = "deepseek2.";
  GgufBuilder b = tinyModel("deepseek2", 2);
  b.u32(a + "attention.head_count", 2).u32(a + "attention.head_count_kv", legacy ? 2 : 1);
  b.u32(a + "attention.kv_lora_rank", 64).u32(a + "rope.dimension_count", 8);
  b.u32(a + "attention.key_length", legacy ? 24 : 72).u32(a + "attention.value_length", legacy ? 24 : 64);
  if (!legacy)
    b.u32(a + "attention.key_length_mla", 24).u32(a + "attention.value_length_mla", 24);
  b.u32(a + "leading_dense_block_count", 1).u32(a + "feed_forward_length", 48);
  b.u32(a + "expert_shared_count", 2);
  addExpertKeys(b, "deepseek2");
  for (uint32_t i = 0; i < 2; ++i) {
    b.tensor(blk(i, "attn_q"), {width, 48}).tensor(blk(i, "attn_kv_a_mqa"), {width, 72});
    b.tensor(blk(i, "attn_kv_a_norm"), {64}).tensor(blk(i, "attn_output"), {48, width});
    if (legacy)
      b.tensor(blk(i, "attn_kv_b"), {64, 80}, KT_TYPE_Q8_0);
    else
      b.tensor(blk(i, "attn_k_b"), {16, 64, 2}).tensor(blk(i, "attn_v_b"), {64, 24, 2}, KT_TYPE_Q8_0);
  }
  addDenseFfn(b, 0, 48);
  addExperts(b, 1);
  addDenseFfn(b, 1, 2 * expertFfn, "_shexp");
  return b;
}

// Blocks with the second norm under its other name.
inline void renameSecondNorm(GgufBuilder &b, uint32_t layers) {
  for (uint32_t i = 0; i < layers; ++i)
    b.without(blk(i, "ffn_norm")).tensor(blk(i, "post_attention_norm"), {width});
}

// One dense layer and one with experts, biases on q, k, v, half of each head of 16 rotated.
inline GgufBuilder tinyGlm4Moe() {
  const std::string a = "glm4moe.";
  GgufBuilder b = tinyModel("glm4moe", 2);
  renameSecondNorm(b, 2);
  addGqa(b, "glm4moe", 2, 16);
  b.u32(a + "attention.key_length", 16).u32(a + "attention.value_length", 16);
  b.u32(a + "rope.dimension_count", 8).u32(a + "leading_dense_block_count", 1);
  b.u32(a + "feed_forward_length", 48).u32(a + "expert_shared_count", 2);
  addExpertKeys(b, "glm4moe");
  for (uint32_t i = 0; i < 2; ++i) {
    const std::string layer = "blk." + std::to_string(i) + ".";
    b.tensor(layer + "attn_q.bias", {64})
        .tensor(layer + "attn_k.bias", {32})
        .tensor(layer + "attn_v.bias", {32});
  }
  addDenseFfn(b, 0, 48);
  addExperts(b, 1);
  b.tensor("blk.1.exp_probs_b.bias", {expertCount});
  addDenseFfn(b, 1, 2 * expertFfn, "_shexp");
  return b;
}

// Three layers with experts and biases, heads of 8.
inline GgufBuilder tinyGptOss() {
  const std::string a = "gpt-oss.";
  GgufBuilder b = tinyModel("gpt-oss", 3);
  renameSecondNorm(b, 3);
  addGqa(b, "gpt-oss", 3, 8);
  b.u32(a + "attention.sliding_window", 128);
  addExpertKeys(b, "gpt-oss");
  for (uint32_t i = 0; i < 3; ++i) {
    const std::string layer = "blk." + std::to_string(i) + ".";
    b.tensor(layer + "attn_q.bias", {32})
        .tensor(layer + "attn_k.bias", {16})
        .tensor(layer + "attn_v.bias", {16});
    b.tensor(layer + "attn_output.bias", {width}).tensor(layer + "attn_sinks.weight", {4});
    addExperts(b, i);
    b.tensor(layer + "ffn_gate_inp.bias", {expertCount})
        .tensor(layer + "ffn_down_exps.bias", {width, expertCount});
    b.tensor(layer + "ffn_gate_exps.bias", {expertFfn, expertCount});
    b.tensor(layer + "ffn_up_exps.bias", {expertFfn, expertCount});
  }
  return b;
}

// YaRN by 40 on 4096 positions, as in DeepSeek's models.
inline GgufBuilder &addYarn(GgufBuilder &b, const std::string &arch, float logMultiplier) {
  b.string(arch + ".rope.scaling.type", "yarn").f32(arch + ".rope.scaling.factor", 40);
  b.u32(arch + ".rope.scaling.original_context_length", 4096);
  if (logMultiplier != 0)
    b.f32(arch + ".rope.scaling.yarn_log_multiplier", logMultiplier);
  return b;
}

} // namespace ktc::test
