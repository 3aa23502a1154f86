// The importer on tiny models: what each key and tensor layout turns into, and an error for each contradiction.
#include "compiler/gguf-to-model/import.h"
#include "test/compiler/gguf-to-model/support/tiny_models.h"

#include "llvm/Support/raw_ostream.h"
#include <functional>
#include <gtest/gtest.h>
#include <random>

namespace ktc {
namespace {

using namespace test;

// What an import gave: the module as text, or the error.
struct Imported {
  std::string text;
  std::string error;
  std::vector<std::string> warnings;
};

Imported import(GgufBuilder builder) {
  Bytes bytes = builder.build();
  Imported imported;
  ::kt::Result<GgufModel> model = GgufModel::parse("m.gguf", bytes);
  if (!model) {
    imported.error = model.error().message;
    return imported;
  }
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  ::kt::Result<ImportedModel> result = importModel(*model, context);
  if (!result) {
    imported.error = result.error().message;
    return imported;
  }
  llvm::raw_string_ostream stream(imported.text);
  result->module->print(stream);
  imported.warnings = result->warnings;
  return imported;
}

#define EXPECT_TEXT(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(Import, Llama) {
  Imported m = import(tinyLlama());
  EXPECT_TEXT(m.text, "model.architecture = \"llama\"");
  EXPECT_TEXT(m.text, "model.layers = 2");
  EXPECT_TEXT(m.text, "model.trained_context = 128");
  EXPECT_TEXT(m.text, "model.weight @token_embd.weight : tensor<10x32x!kt.q8_0> {bytes = 340 : i64, file = 0");
  EXPECT_TEXT(m.text, "model.rms_norm %0 {eps = 1.000000e-05 : f64, path = \"model.layers.0.input_layernorm\"");
  EXPECT_TEXT(m.text, "heads = 4 : i64, kv_heads = 2 : i64, layer = 0");
  EXPECT_TEXT(m.text, "rope = #model.rope<style = \"norm\", dims = 8, base = 10000.0>, scale = 0.353553");
  EXPECT_TEXT(m.text, "path = \"model.layers.1.mlp\"");
  EXPECT_TEXT(m.text, "model.lm_head %0 {path = \"lm_head\", weight = @output.weight}");
  EXPECT_TRUE(m.warnings.empty());
}

TEST(Import, TiedHeadUsesTheEmbedding) {
  Imported m = import(tinyLlama().without("output.weight"));
  EXPECT_TEXT(m.text, "model.lm_head %0 {path = \"lm_head\", weight = @token_embd.weight}");
}

TEST(Import, HeadsAndWidthsPerLayer) {
  GgufBuilder b = tinyLlama().without("llama.feed_forward_length").without("llama.attention.head_count_kv");
  b.array<uint32_t>("llama.feed_forward_length", U32, {48, 16, 7});
  b.array<int32_t>("llama.attention.head_count_kv", I32, {2, 4});
  b.change(blk(1, "ffn_gate"), {width, 16})
      .change(blk(1, "ffn_up"), {width, 16})
      .change(blk(1, "ffn_down"), {16, width});
  b.change(blk(1, "attn_k"), {width, 32}).change(blk(1, "attn_v"), {width, 32});
  Imported m = import(b);
  EXPECT_TEXT(m.text, "kv_heads = 4 : i64, layer = 1");
  EXPECT_TEXT(m.text, "@blk.1.ffn_up.weight : tensor<16x32xf32>");
}

TEST(Import, RopeScalingAndFactors) {
  EXPECT_TEXT(import(tinyLlama().tensor("rope_freqs.weight", {4})).text,
              "base = 10000.0, freq_factors = @rope_freqs.weight>");
  EXPECT_TEXT(import(tinyLlama().f32("llama.rope.freq_base", 5e5f).f32("llama.rope.scaling.factor", 4)).text,
              "base = 500000.0, scaling = \"linear\", factor = 4.0>");
  EXPECT_TEXT(import(tinyLlama().f32("llama.rope.scale_linear", 2)).text,
              "scaling = \"linear\", factor = 2.0>");
  EXPECT_TEXT(
      import(tinyLlama().string("llama.rope.scaling.type", "none").f32("llama.rope.scaling.factor", 4)).text,
      "base = 10000.0>");
  EXPECT_TEXT(import(tinyLlama().u32("llama.rope.dimension_count", 4)).text, "dims = 4, base");
  // 1 + 0.1 ln 40: without a multiplier the correction stays with cos and sin.
  GgufBuilder yarn = tinyLlama();
  EXPECT_TEXT(import(addYarn(yarn, "llama", 0)).text,
              "factor = 40.0, original_context = 4096, magnitude = 1.36888794541139");
  // Other architectures than deepseek2 store the multiplier itself; with 1 both corrections cancel.
  GgufBuilder cancelled = tinyLlama();
  EXPECT_TEXT(import(addYarn(cancelled, "llama", 1)).text, "original_context = 4096>, scale = 0.35355");
}

TEST(Import, Mixtral) {
  Imported m = import(tinyMixtral());
  EXPECT_TEXT(m.text, "model.router %8 {experts = 4 : i64, gating = \"softmax\", norm = true, path = "
                      "\"model.layers.0.block_sparse_moe.gate\", top_k = 2 : i64");
  EXPECT_TEXT(m.text, "path = \"model.layers.0.block_sparse_moe.experts\"");
  EXPECT_TEXT(m.text, "@blk.0.ffn_gate_exps.weight : tensor<4x64x32x!kt.q4_0>");
  EXPECT_TEXT(m.text, "@blk.0.ffn_up_exps.weight : tensor<4x64x32x!kt.q5_0>");
}

TEST(Import, Qwen3Moe) {
  Imported m = import(tinyQwen3Moe());
  EXPECT_TEXT(m.text, "k_norm = @blk.0.attn_k_norm.weight");
  EXPECT_TEXT(m.text, "rope = #model.rope<style = \"neox\", dims = 16, base = 10000.0>, scale = 2.500000e-01");
  EXPECT_TEXT(m.text, "gating = \"softmax\", norm = true");
  EXPECT_TEXT(m.text, "path = \"model.layers.0.mlp.experts\"");
}

TEST(Import, FusedGateAndUp) {
  GgufBuilder b = tinyQwen3Moe().without(blk(0, "ffn_gate_exps")).without(blk(0, "ffn_up_exps"));
  b.tensor(blk(0, "ffn_gate_up_exps"), {width, 2 * expertFfn, expertCount});
  EXPECT_TEXT(import(b).text, "gate_up = @blk.0.ffn_gate_up_exps.weight");
}

TEST(Import, Qwen2Moe) {
  Imported m = import(tinyQwen2Moe());
  EXPECT_TEXT(m.text, "bias = @blk.0.attn_q.bias, path = \"model.layers.0.self_attn.q_proj\"");
  EXPECT_TEXT(m.text,
              "output_gate = @blk.0.ffn_gate_inp_shexp.weight, path = \"model.layers.0.mlp.shared_expert\"");
  EXPECT_EQ(m.text.find("norm = true"), std::string::npos);
  GgufBuilder old = tinyQwen2Moe().without("qwen2moe.expert_shared_feed_forward_length");
  EXPECT_TEXT(import(old.u32("qwen2moe.feed_forward_length", 96)).text, "shared_expert\"");
  // The gate's vector may be written as a matrix of one row.
  EXPECT_TEXT(import(tinyQwen2Moe().change(blk(0, "ffn_gate_inp_shexp"), {width, 1})).text,
              "@blk.0.ffn_gate_inp_shexp.weight : tensor<32xf32>");
}

TEST(Import, Glm4Moe) {
  Imported m = import(tinyGlm4Moe());
  EXPECT_TEXT(m.text,
              "path = \"model.layers.0.post_attention_layernorm\", weight = @blk.0.post_attention_norm.weight");
  EXPECT_TEXT(m.text, "bias = @blk.0.attn_q.bias, path = \"model.layers.0.self_attn.q_proj\"");
  EXPECT_TEXT(m.text, "rope = #model.rope<style = \"neox\", dims = 8, base = 10000.0>, scale = 2.500000e-01");
  EXPECT_TEXT(m.text, "path = \"model.layers.0.mlp\"");
  EXPECT_TEXT(m.text, "bias = @blk.1.exp_probs_b.bias, experts = 4 : i64, gating = \"sigmoid\", path = "
                      "\"model.layers.1.mlp.gate\"");
  EXPECT_TEXT(m.text, "path = \"model.layers.1.mlp.shared_experts\"");
  EXPECT_EQ(m.text.find("q_norm"), std::string::npos);
  EXPECT_TRUE(m.warnings.empty());
}

TEST(Import, Glm4MoeOptions) {
  GgufBuilder norms = tinyGlm4Moe().boolean("glm4moe.expert_weights_norm", true);
  norms.tensor(blk(0, "attn_q_norm"), {16}).tensor(blk(0, "attn_k_norm"), {16});
  Imported m = import(norms);
  EXPECT_TEXT(m.text, "k_norm = @blk.0.attn_k_norm.weight");
  EXPECT_EQ(m.text.find("blk.1.attn_k_norm"), std::string::npos);
  EXPECT_TEXT(m.text, "gating = \"sigmoid\", norm = true");
  EXPECT_TEXT(import(tinyGlm4Moe().tensor(blk(0, "attn_q_norm"), {16})).error,
              "tensor 'blk.0.attn_k_norm.weight' is missing");
  // The block for multi-token prediction comes last and has tensors that nobody knows.
  GgufBuilder mtp = tinyGlm4Moe().without("glm4moe.block_count").u32("glm4moe.block_count", 3);
  mtp.u32("glm4moe.nextn_predict_layers", 1).tensor("blk.2.nextn.eh_proj.weight", {2 * width, width});
  mtp.tensor("blk.2.attn_q.bias", {64});
  Imported left = import(mtp);
  EXPECT_TEXT(left.text, "model.layers = 2");
  ASSERT_EQ(left.warnings.size(), 1u) << left.error;
  EXPECT_TEXT(left.warnings[0], "multi-token prediction");
}

TEST(Import, GptOss) {
  GgufBuilder b = tinyGptOss();
  Imported m = import(addYarn(b, "gpt-oss", 0));
  EXPECT_TEXT(m.text, "magnitude = 1.36888794541139");
  EXPECT_TEXT(m.text, "whole_pairs = false>, scale = 0.353553");
  EXPECT_TEXT(m.text, "sinks = @blk.0.attn_sinks.weight, v_dim = 8 : i64, window = 128 : i64");
  EXPECT_TEXT(m.text, "sinks = @blk.1.attn_sinks.weight, v_dim = 8 : i64}");
  EXPECT_TEXT(m.text, "sinks = @blk.2.attn_sinks.weight, v_dim = 8 : i64, window = 128 : i64");
  EXPECT_TEXT(m.text, "bias = @blk.0.attn_output.bias, path = \"model.layers.0.self_attn.o_proj\"");
  EXPECT_TEXT(m.text, "gating = \"topk_softmax\", logit_bias = @blk.0.ffn_gate_inp.bias, path = "
                      "\"model.layers.0.mlp.router\"");
  EXPECT_TEXT(m.text, "act = \"swiglu_oai\", down = @blk.0.ffn_down_exps.weight, down_bias = "
                      "@blk.0.ffn_down_exps.bias");
  EXPECT_TEXT(m.text, "@blk.0.ffn_gate_exps.bias : tensor<4x64xf32>");
  EXPECT_TRUE(m.warnings.empty());
}

TEST(Import, GptOssNeedsItsTensors) {
  EXPECT_TEXT(import(tinyGptOss().without("blk.1.attn_sinks.weight")).error,
              "'blk.1.attn_sinks.weight' is missing");
  EXPECT_TEXT(import(tinyGptOss().without("blk.0.ffn_gate_inp.bias")).error,
              "'blk.0.ffn_gate_inp.bias' is missing");
  EXPECT_TEXT(import(tinyGptOss().without("blk.2.ffn_up_exps.bias")).error,
              "'blk.2.ffn_up_exps.bias' is missing");
  EXPECT_TEXT(import(tinyGptOss().without("gpt-oss.attention.sliding_window")).error,
              "gpt-oss.attention.sliding_window");
  EXPECT_TEXT(import(tinyGptOss().change("blk.0.ffn_down_exps.bias", {width})).error, "expected shape [32, 4]");
  EXPECT_TEXT(import(tinyGptOss().f32("gpt-oss.rope.freq_base_swa", 5e5f)).error,
              "'gpt-oss.rope.freq_base_swa': expected the 10000");
  // Of every three layers the last sees all positions.
  EXPECT_TEXT(import(tinyGptOss().u32("gpt-oss.attention.sliding_window_pattern", 3)).text,
              "sinks = @blk.1.attn_sinks.weight, v_dim = 8 : i64, window = 128");
}

TEST(Import, DeepSeek2BothLayouts) {
  Imported current = import(tinyDeepSeek2());
  EXPECT_TEXT(current.text,
              "heads = 2 : i64, k_b = @blk.0.attn_k_b.weight, kv_norm = @blk.0.attn_kv_a_norm.weight, "
              "latent = 64 : i64, layer = 0 : i64, nope = 16 : i64");
  EXPECT_TEXT(current.text, "v_b = @blk.0.attn_v_b.weight, v_dim = 24 : i64");
  EXPECT_TEXT(current.text, "@blk.1.attn_k_b.weight : tensor<2x64x16xf32>");
  EXPECT_TEXT(current.text, "path = \"model.layers.0.self_attn.kv_a_proj_with_mqa\"");
  EXPECT_TEXT(current.text, "path = \"model.layers.0.mlp\"");
  EXPECT_TEXT(current.text, "path = \"model.layers.1.mlp.shared_experts\"");
  EXPECT_TEXT(current.text, "@blk.1.ffn_down_shexp.weight : tensor<32x128xf32>");
  Imported legacy = import(tinyDeepSeek2(true));
  EXPECT_TEXT(legacy.text, "kv_b = @blk.0.attn_kv_b.weight");
  EXPECT_TEXT(legacy.text, "@blk.0.attn_kv_b.weight : tensor<80x64x!kt.q8_0>");
}

TEST(Import, DeepSeek2MixedLayouts) {
  // Both layouts in one file: the split one is used, and the other is no surprise.
  Imported both =
      import(tinyDeepSeek2().tensor(blk(0, "attn_kv_b"), {64, 80}).tensor(blk(1, "attn_kv_b"), {64, 80}));
  EXPECT_TEXT(both.text, "k_b = @blk.0.attn_k_b.weight");
  EXPECT_TRUE(both.warnings.empty());
  // Split matrices with the older metadata, written as tall matrices.
  GgufBuilder tall = tinyDeepSeek2(true);
  for (uint32_t i = 0; i < 2; ++i) {
    tall.without(blk(i, "attn_kv_b"))
        .tensor(blk(i, "attn_k_b"), {16, 128})
        .tensor(blk(i, "attn_v_b"), {64, 48});
  }
  EXPECT_TEXT(import(tall).text, "@blk.0.attn_k_b.weight : tensor<2x64x16xf32>");
}

TEST(Import, DeepSeek2QueryRank) {
  GgufBuilder b = tinyDeepSeek2().u32("deepseek2.attention.q_lora_rank", 32);
  for (uint32_t i = 0; i < 2; ++i) {
    b.without(blk(i, "attn_q")).tensor(blk(i, "attn_q_a"), {width, 32}).tensor(blk(i, "attn_q_a_norm"), {32});
    b.tensor(blk(i, "attn_q_b"), {32, 48});
  }
  Imported m = import(b);
  EXPECT_TEXT(m.text, "path = \"model.layers.0.self_attn.q_a_layernorm\"");
  EXPECT_TEXT(m.text, "path = \"model.layers.1.self_attn.q_b_proj\"");
}

TEST(Import, DeepSeek2Router) {
  EXPECT_TEXT(import(tinyDeepSeek2()).text, "gating = \"softmax\", path"); // files from before the key
  GgufBuilder b =
      tinyDeepSeek2().u32("deepseek2.expert_gating_func", 2).f32("deepseek2.expert_weights_scale", 2.5f);
  b.boolean("deepseek2.expert_weights_norm", true).tensor("blk.1.exp_probs_b.bias", {expertCount});
  b.u32("deepseek2.expert_group_count", 2).u32("deepseek2.expert_group_used_count", 1);
  Imported m = import(b);
  EXPECT_TEXT(m.text,
              "bias = @blk.1.exp_probs_b.bias, experts = 4 : i64, gating = \"sigmoid\", groups = 2 : i64, "
              "norm = true, path = \"model.layers.1.mlp.gate\", scale = 2.5");
  EXPECT_TEXT(import(tinyDeepSeek2().u32("deepseek2.expert_gating_func", 3)).text, "gating = \"topk_softmax\"");
}

TEST(Import, DeepSeek2YarnScalesScores) {
  // (1 + 0.1 ln 40)² / sqrt(24); cos and sin keep magnitude 1.
  GgufBuilder v3 = tinyDeepSeek2();
  std::string text = import(addYarn(v3, "deepseek2", 0.1f)).text;
  EXPECT_TEXT(text, "scaling = \"yarn\", factor = 40.0, original_context = 4096>");
  EXPECT_TEXT(text, "scale = 0.38249888");
  // V2-Lite: mscale_all_dim 0.707, stored as 0.0707.
  GgufBuilder lite = tinyDeepSeek2();
  EXPECT_TEXT(import(addYarn(lite, "deepseek2", 0.0707f)).text, "scale = 0.32448108");
}

TEST(Import, BlocksForMultiTokenPredictionAreLeftOut) {
  GgufBuilder b = tinyLlama().without("llama.block_count").u32("llama.block_count", 3);
  b.u32("llama.nextn_predict_layers", 1).tensor("blk.2.nextn.eh_proj.weight", {64, width});
  Imported m = import(b);
  EXPECT_TEXT(m.text, "model.layers = 2");
  ASSERT_EQ(m.warnings.size(), 1u);
  EXPECT_TEXT(m.warnings[0], "blocks from blk.2 on (multi-token prediction) are not used");
}

TEST(Import, UnusedTensorsAreWarnings) {
  Imported m = import(tinyLlama().tensor("blk.0.extra.weight", {4}));
  ASSERT_EQ(m.warnings.size(), 1u) << m.error;
  EXPECT_EQ(m.warnings[0], "tensor 'blk.0.extra.weight' is not used by a llama model");
}

// Whatever survives the reader ends in a module or in an error, never in an assertion.
TEST(Import, FlippedBytesNeverCrash) {
  std::mt19937 random(1);
  GgufBuilder (*const models[])() = {tinyLlama, tinyQwen2Moe, tinyQwen3Moe, [] { return tinyDeepSeek2(); }};
  for (auto model : models) {
    GgufBuilder builder = model();
    const Bytes valid = builder.build();
    mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    for (int round = 0; round < 1000; ++round) {
      Bytes bytes = valid;
      // Single bytes, so that most files pass the reader with one wrong value or name.
      bytes[24 + random() % (builder.headerBytes - 24)] ^= static_cast<uint8_t>(1u << random() % 8);
      ::kt::Result<GgufModel> damaged = GgufModel::parse("m.gguf", bytes);
      if (damaged)
        (void)importModel(*damaged, context);
    }
  }
}

struct ErrorCase {
  const char *name;
  GgufBuilder (*model)();
  const char *message;
};

class ImportErrors : public ::testing::TestWithParam<ErrorCase> {};

TEST_P(ImportErrors, NameTheProblem) {
  Imported m = import(GetParam().model());
  EXPECT_TRUE(m.text.empty());
  EXPECT_EQ(m.error.find("m.gguf: "), 0u) << m.error;
  EXPECT_NE(m.error.find(GetParam().message), std::string::npos) << m.error;
}

using B = GgufBuilder;
B llama() { return tinyLlama(); }
B deepseek() { return tinyDeepSeek2(); }
B u32(B b, const std::string &key, uint32_t value) { return b.without(key).u32(key, value); }
B f32(B b, const std::string &key, float value) { return b.without(key).f32(key, value); }
const std::string eps = "llama.attention.layer_norm_rms_epsilon";

const ErrorCase keyCases[] = {
    {"no_architecture", [] { return llama().without("general.architecture"); },
     "'general.architecture' is missing"},
    {"architecture",
     [] { return llama().without("general.architecture").string("general.architecture", "gpt2"); },
     "expected one of deepseek2, glm4moe, gpt-oss, llama, qwen2moe, qwen3moe, found 'gpt2'"},
    {"no_block_count", [] { return llama().without("llama.block_count"); }, "'llama.block_count' is missing"},
    {"no_layers", [] { return u32(llama(), "llama.block_count", 0); },
     "expected an integer in 1..512, found 0"},
    {"all_layers_predict", [] { return llama().u32("llama.nextn_predict_layers", 2); }, "in 0..1, found 2"},
    {"width_zero", [] { return u32(llama(), "llama.embedding_length", 0); }, "'llama.embedding_length'"},
    {"width_huge", [] { return u32(llama(), "llama.embedding_length", ~0u); }, "found 4294967295"},
    {"width_type", [] { return f32(llama(), "llama.embedding_length", 32); }, "found f32 32"},
    {"no_context", [] { return llama().without("llama.context_length"); }, "'llama.context_length' is missing"},
    {"no_eps", [] { return llama().without(eps); }, "rms_epsilon' is missing"},
    {"eps_zero", [] { return f32(llama(), eps, 0); }, "expected a number above 0, found 0"},
    {"eps_nan", [] { return f32(llama(), eps, NAN); }, "expected a finite number, found f32 nan"},
    {"no_heads", [] { return llama().without("llama.attention.head_count"); }, "head_count' is missing"},
    {"heads_zero", [] { return u32(llama(), "llama.attention.head_count", 0); },
     "expected integers in 1..4096, found 0"},
    {"kv_heads", [] { return u32(llama(), "llama.attention.head_count_kv", 3); },
     "expected a divisor of the 4 heads of layer 0, found 3"},
    {"kv_heads_short",
     [] {
       return llama()
           .without("llama.attention.head_count_kv")
           .array<uint32_t>("llama.attention.head_count_kv", U32, {2});
     },
     "an array of at least 2 of them, found array of 1 u32"},
    {"key_length", [] { return llama().u32("llama.attention.key_length", 0); }, "found 0"},
    {"rope_odd", [] { return llama().u32("llama.rope.dimension_count", 5); }, "expected an even number"},
    {"rope_exceeds_head", [] { return llama().u32("llama.rope.dimension_count", 10); }, "in 2..8, found 10"},
    {"rope_base", [] { return llama().f32("llama.rope.freq_base", -1); },
     "expected a number above 0, found -1"},
    {"rope_scaling",
     [] { return llama().string("llama.rope.scaling.type", "longrope").f32("llama.rope.scaling.factor", 2); },
     "expected none, linear or yarn, found 'longrope'"},
    {"rope_factor", [] { return llama().f32("llama.rope.scaling.factor", -2); }, "above 0, found -2"},
    {"yarn_betas",
     [] {
       B b = llama().f32("llama.rope.scaling.yarn_beta_slow", 64);
       return addYarn(b, "llama", 0);
     },
     "expected a number not below yarn_beta_slow, found 32"},
    {"yarn_ext",
     [] {
       B b = llama().f32("llama.rope.scaling.yarn_ext_factor", 0);
       return addYarn(b, "llama", 0);
     },
     "yarn_ext_factor': expected 1, found 0"},
    {"yarn_multiplier",
     [] {
       B b = llama();
       return addYarn(b, "llama", -1);
     },
     "expected a number not below 0, found -1"},
};

const ErrorCase expertCases[] = {
    {"experts_huge", [] { return u32(tinyQwen3Moe(), "qwen3moe.expert_count", 1025); },
     "in 1..1024, found 1025"},
    {"no_experts", [] { return tinyQwen3Moe().without("qwen3moe.expert_count"); }, "expert_count' is missing"},
    {"used_exceeds", [] { return u32(tinyQwen3Moe(), "qwen3moe.expert_used_count", 5); }, "in 1..4, found 5"},
    {"used_zero", [] { return u32(tinyQwen3Moe(), "qwen3moe.expert_used_count", 0); }, "in 1..4, found 0"},
    {"groups",
     [] {
       return deepseek().u32("deepseek2.expert_group_count", 3).u32("deepseek2.expert_group_used_count", 1);
     },
     "groups of two or more that divide 4 experts, found 3"},
    {"groups_of_one",
     [] {
       return deepseek().u32("deepseek2.expert_group_count", 4).u32("deepseek2.expert_group_used_count", 2);
     },
     "groups of two or more"},
    {"groups_used",
     [] {
       return deepseek().u32("deepseek2.expert_group_count", 2).u32("deepseek2.expert_group_used_count", 3);
     },
     "expected an integer in 1..2, found 3"},
    {"groups_used_missing", [] { return deepseek().u32("deepseek2.expert_group_count", 2); },
     "group_used_count' is missing"},
    {"groups_too_few",
     [] {
       return u32(deepseek(), "deepseek2.expert_used_count", 3)
           .u32("deepseek2.expert_group_count", 2)
           .u32("deepseek2.expert_group_used_count", 1);
     },
     "expected groups that hold the 3 experts of a token, found 1 groups of 2"},
    {"gating", [] { return deepseek().u32("deepseek2.expert_gating_func", 4); }, "in 0..3, found 4"},
    {"dense_exceeds", [] { return u32(deepseek(), "deepseek2.leading_dense_block_count", 3); },
     "in 0..2, found 3"},
    {"old_mixtral",
     [] { return tinyMixtral().without(blk(0, "ffn_gate_exps")).tensor("blk.0.ffn_gate.0.weight", {4}); },
     "found one tensor per expert: convert the model again"},
    {"nope", [] { return u32(deepseek(), "deepseek2.attention.key_length_mla", 8); },
     "expected more than the 8 rotated elements, found 8"},
    {"mla_key_length", [] { return u32(deepseek(), "deepseek2.attention.key_length", 24); },
     "attention.key_length': expected 72"},
};

const ErrorCase tensorCases[] = {
    {"missing", [] { return llama().without(blk(1, "ffn_up")); },
     "tensor 'blk.1.ffn_up.weight' is missing: expected one of shape [32, 48]"},
    {"missing_embedding", [] { return llama().without("token_embd.weight"); },
     "'token_embd.weight' is missing"},
    {"missing_norm", [] { return llama().without("output_norm.weight"); }, "'output_norm.weight' is missing"},
    {"missing_head_norm", [] { return tinyQwen3Moe().without(blk(0, "attn_q_norm")); },
     "attn_q_norm.weight' is missing"},
    {"missing_k_b", [] { return deepseek().without(blk(1, "attn_k_b")); },
     "'blk.1.attn_k_b.weight' is missing"},
    {"missing_v_b", [] { return deepseek().without(blk(1, "attn_v_b")); },
     "'blk.1.attn_v_b.weight' is missing"},
    {"shape", [] { return llama().change(blk(0, "attn_q"), {32, 33}); },
     "tensor 'blk.0.attn_q.weight': expected shape [32, 32], found [32, 33]"},
    {"shape_transposed", [] { return llama().change(blk(0, "ffn_up"), {48, 32}); },
     "expected shape [32, 48], found [48, 32]"},
    {"shape_experts_swapped",
     [] { return tinyQwen3Moe().change(blk(0, "ffn_up_exps"), {width, expertCount, expertFfn}); },
     "expected shape [32, 64, 4], found [32, 4, 64]"},
    {"shape_norm", [] { return llama().change("output_norm.weight", {31}); },
     "expected shape [32], found [31]"},
    {"shape_embedding", [] { return llama().change("token_embd.weight", {64, vocab}); },
     "expected shape [32, 10]"},
    {"shape_output", [] { return llama().change("output.weight", {32, 11}); },
     "expected shape [32, 10], found [32, 11]"},
    {"shape_rope_freqs", [] { return llama().tensor("rope_freqs.weight", {8}); },
     "expected shape [4], found [8]"},
    {"shape_bias", [] { return tinyQwen2Moe().change("blk.0.attn_q.bias", {16}); },
     "'blk.0.attn_q.bias': expected shape [32]"},
    {"type_norm", [] { return llama().change("output_norm.weight", {32}, KT_TYPE_F16); },
     "tensor 'output_norm.weight': expected type f32, found f16"},
    {"type_without_kernels", [] { return llama().change(blk(0, "attn_q"), {32, 32}, KT_TYPE_I32); },
     "tensor 'blk.0.attn_q.weight': expected a type that has kernels, found i32"},
    {"unknown_bias", [] { return llama().tensor("blk.0.ffn_up.bias", {48}); },
     "tensor 'blk.0.ffn_up.bias': expected no such tensor in a llama model"},
    {"vocabulary", [] { return llama().strings("tokenizer.ggml.tokens", {"a", "b"}); },
     "tensor 'token_embd.weight': expected 2 rows, one per token of the vocabulary, found 10"},
};

std::string caseName(const testing::TestParamInfo<ErrorCase> &info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Keys, ImportErrors, testing::ValuesIn(keyCases), caseName);
INSTANTIATE_TEST_SUITE_P(Experts, ImportErrors, testing::ValuesIn(expertCases), caseName);
INSTANTIATE_TEST_SUITE_P(Tensors, ImportErrors, testing::ValuesIn(tensorCases), caseName);

} // namespace
} // namespace ktc
