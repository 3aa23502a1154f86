// attention_gqa, attention_mla and attention_merge on the GPU.
#include "test/templates/cuda/cuda_sweep.h"
#include "test/templates/cuda/matrix_case.h"

#include <cmath>

namespace ktc::test {
namespace {

using Visit = std::function<void(const struct Problem &)>;

// Products of 16-bit floats; the CPU's tiles are within 1e-5.
constexpr double Limit = 5e-5;

struct Problem {
  std::string family;
  int64_t heads, kvHeads, keyLength, valueLength; // attention_mla: latent + rope, latent
  std::string type = "bf16";
  std::vector<int32_t> positions = {0};
  int64_t splits = 1;
  int64_t capacity = 0; // 0: static, for as many tokens as positions
  int64_t window = 0;
  bool sinks = false, bfloatY = false;
  int64_t gap = 0; // of query and result rows (attention_mla: before the rotary part of a query)
  int64_t splitPositions = 256;
  bool bfloatQ = false; // attention_mla: whole queries
  int64_t context = 0;
};

Params paramsOf(const Problem &problem, bool split) {
  const int64_t tokens = int64_t(problem.positions.size());
  Params params = {{"heads", problem.heads},
                   {"kv_type", problem.type},
                   {"m", problem.capacity ? problem.capacity : tokens},
                   {"dynamic", int64_t(problem.capacity != 0)},
                   {"splits", split ? problem.splits : 1},
                   {"split_positions", problem.splitPositions},
                   {"y_type", problem.bfloatY && !split ? "bf16" : "f32"},
                   {"scale", 1.0 / std::sqrt(double(problem.keyLength))}};
  if (problem.family == "attention_gqa") {
    params.insert({{"kv_heads", problem.kvHeads},
                   {"head_dim", problem.keyLength},
                   {"v_dim", problem.valueLength},
                   {"q_stride", problem.heads * problem.keyLength + problem.gap},
                   {"y_stride", problem.heads * problem.valueLength + problem.gap},
                   {"window", problem.window},
                   {"sinks", int64_t(problem.sinks)}});
  } else {
    const int64_t rope = problem.keyLength - problem.valueLength;
    params.insert({{"latent", problem.valueLength},
                   {"rope", rope},
                   {"q_row_stride", rope + problem.gap},
                   {"q_stride", problem.heads * (rope + problem.gap)},
                   {"q_type", problem.bfloatQ ? "bf16" : "f32"},
                   {"context", problem.context}});
  }
  return params;
}

// Queries of attention_mla: absorbed and rotary parts, or whole rows of bfloat16.
std::vector<Bytes> latentQueries(const Problem &problem, int64_t m) {
  const int64_t rope = problem.keyLength - problem.valueLength, heads = m * problem.heads;
  if (problem.bfloatQ)
    return {activationBytes(randomFloats(1, size_t(heads * problem.keyLength)), true), Bytes()};
  return {toBytes(randomFloats(1, size_t(heads * problem.valueLength))),
          toBytes(randomFloats(5, size_t(heads * (rope + problem.gap))))};
}

KernelCase attentionCase(const Problem &problem, bool split) {
  KernelCase result;
  const bool gqa = problem.family == "attention_gqa", dynamic = problem.capacity != 0;
  const int64_t tokens = int64_t(problem.positions.size()), m = dynamic ? problem.capacity : tokens;
  const int64_t rows = *std::max_element(problem.positions.begin(), problem.positions.end()) + 1;
  const int64_t gap = problem.gap;
  const int64_t yRow = problem.heads * problem.valueLength + (gqa ? gap : 0);
  const auto cache = [&](uint32_t seed, int64_t row) {
    return cacheBytes(randomFloats(seed, size_t(rows * row)), problem.type);
  };
  result.family = problem.family;
  result.params = paramsOf(problem, split);
  const Bytes y(split ? 0 : size_t(m * yRow) * (problem.bfloatY ? 2 : 4)), at = toBytes(problem.positions);
  if (gqa)
    result.operands = {toBytes(randomFloats(1, size_t(m * (problem.heads * problem.keyLength + gap)), 1.5f)),
                       cache(2, problem.keyLength * problem.kvHeads),
                       cache(3, problem.valueLength * problem.kvHeads),
                       y,
                       at,
                       problem.sinks ? toBytes(randomFloats(4, size_t(problem.heads), 2.0f)) : Bytes()};
  else
    result.operands = {cache(2, problem.keyLength), y, at, Bytes()};
  if (!gqa) {
    std::vector<Bytes> queries = latentQueries(problem, m);
    result.operands.insert(result.operands.begin(), queries.begin(), queries.end());
  }
  result.outputs = {3};
  result.units = uint32_t(tokens * (dynamic ? problem.kvHeads : problem.heads));
  result.step = {uint32_t(tokens), 0, 0, 1};
  if (split) {
    result.operands.push_back(
        Bytes(size_t(tokens * problem.heads * problem.splits * (problem.valueLength + 16)) * 4, 0xEE));
    result.outputs = {6};
  }
  return result;
}

KernelCase mergeCase(const Problem &problem, const Bytes &partials, const Bytes &sinks) {
  const int64_t tokens = int64_t(problem.positions.size());
  const int64_t yRow =
      problem.heads * problem.valueLength + (problem.family == "attention_gqa" ? problem.gap : 0);
  KernelCase result;
  result.family = "attention_merge";
  result.params = {{"heads", problem.heads},
                   {"v_dim", problem.valueLength},
                   {"splits", problem.splits},
                   {"split_positions", problem.splitPositions},
                   {"window", problem.window},
                   {"y_stride", yRow},
                   {"sinks", int64_t(problem.sinks)},
                   {"m", tokens},
                   {"y_type", problem.bfloatY ? "bf16" : "f32"}};
  result.operands = {partials, Bytes(size_t(tokens * yRow) * (problem.bfloatY ? 2 : 4)),
                     toBytes(problem.positions), sinks};
  result.outputs = {1};
  result.units = uint32_t(tokens * problem.heads);
  result.step = {uint32_t(tokens), 0, 0, 1};
  return result;
}

Compare comparison(const Problem &problem, size_t operand) {
  return closerThan(problem.bfloatY ? Limit + 1e-5 : Limit,
                    problem.bfloatY ? std::vector<size_t>{operand} : std::vector<size_t>{});
}

// With splits: partials and merge together are attention over all positions.
void checkAttention(const Problem &problem) {
  const KernelCase whole = attentionCase(problem, false);
  if (problem.splits == 1)
    return checkCuda(whole, comparison(problem, 3));
  if (cudaLeavesOut())
    return;
  const KernelCase split = attentionCase(problem, true);
  SCOPED_TRACE(kernelName(split.family, split.params));
  kt::Result<std::vector<Bytes>> partials = runCuda(split), again = runCuda(split);
  ASSERT_TRUE(static_cast<bool>(partials)) << partials.error().message;
  ASSERT_TRUE(static_cast<bool>(again)) << again.error().message;
  EXPECT_EQ(*partials, *again) << "a second run gives other bits";
  const KernelCase merge = mergeCase(problem, (*partials)[6], whole.operands[5]);
  std::vector<Bytes> reference = merge.operands;
  if (!cudaCompileOnly())
    reference[1] = runReference(whole)[3];
  checkCuda(merge, comparison(problem, 1), reference);
}

// The block that ends last merges: the result is that of a kernel without splits, and the counts are 0 again.
void checkMerged(const Problem &problem) {
  if (problem.splits == 1)
    return;
  KernelCase merged = attentionCase(problem, false);
  merged.params["splits"] = problem.splits;
  merged.params["merge"] = int64_t(1);
  const size_t tokens = problem.positions.size(), heads = size_t(problem.heads);
  merged.operands.resize(6);
  merged.operands.push_back(
      Bytes(tokens * heads * size_t(problem.splits * (problem.valueLength + 16)) * 4, 0xEE));
  merged.operands.push_back(Bytes(tokens * heads * 4));
  merged.outputs = {3, 6, 7};
  merged.units = uint32_t(tokens * heads * size_t(problem.splits));
  const Compare compare = comparison(problem, 3);
  checkCuda(merged, [&](size_t operand, const Bytes &got, const Bytes &want) {
    if (operand == 3)
      compare(operand, got, want);
    if (operand == 7) {
      EXPECT_EQ(got, Bytes(got.size()));
    }
  });
}

void expectAttentionInstances(const Problem &problem) {
  if (problem.splits == 1)
    return expectInstances({problem.family, paramsOf(problem, false), {}, {}, 1, {}});
  expectInstances({problem.family, paramsOf(problem, true), {}, {}, 1, {}});
  expectInstances(mergeCase(problem, {}, {}));
  Params merged = paramsOf(problem, false);
  merged["splits"] = problem.splits, merged["merge"] = int64_t(1);
  expectInstances({problem.family, merged, {}, {}, 1, {}});
}

const std::vector<int32_t> edges = {0, 1, 255, 256, 257, 4095};
const std::vector<int32_t> shorter = {0, 127, 128, 255, 256, 2000}; // those of 128 positions per split

std::vector<int32_t> consecutive(int32_t past, int32_t count) {
  std::vector<int32_t> positions(static_cast<size_t>(count));
  for (int32_t i = 0; i < count; ++i)
    positions[size_t(i)] = past + i;
  return positions;
}

// ---- decode: few tokens
// -----------------------------------------------------------------------------------------

void sweepGqaDecode(const Visit &visit) {
  for (const char *type : {"bf16", "f16", "f32", "q8_0"})
    visit({"attention_gqa", 32, 4, 128, 128, type, edges, 16}); // Qwen3
  visit({"attention_gqa", 32, 4, 128, 128, "bf16", shorter, 32, 0, 0, false, true, 0, 128});
  visit({"attention_gqa", 8, 2, 64, 64, "f16", {99, 700}, 4, 0, 300, true, false, 0, 128});
  for (int64_t window : {0, 128, 700})
    visit({"attention_gqa", 64, 8, 64, 64, "bf16", edges, 8, 0, window, true});    // gpt-oss
  visit({"attention_gqa", 32, 8, 128, 128, "f16", {1000}, 64, 0, 0, false, true}); // Mixtral
  visit({"attention_gqa", 8, 2, 256, 256, "bf16", {300, 12}, 4});
  visit({"attention_gqa", 6, 3, 24, 40, "bf16", {700, 3}, 2, 0, 0, true, false, 3});
  visit({"attention_gqa", 40, 1, 80, 80, "f32", {513, 2}, 4});
  visit({"attention_gqa", 96, 1, 128, 64, "bf16", {600}, 4});
  for (int32_t m : {1, 2, 3, 7, 16})
    visit({"attention_gqa", 8, 4, 64, 64, "bf16", consecutive(510, m), 4});
  // One block per token and KV head.
  visit({"attention_gqa", 32, 4, 128, 128, "bf16", edges});
  visit({"attention_gqa", 64, 8, 64, 64, "f16", {0, 127, 128, 400}, 1, 0, 128, true, true});
}

void sweepMlaDecode(const Visit &visit) {
  for (const char *type : {"bf16", "f16", "f32", "q8_0"})
    visit({"attention_mla", 16, 1, 576, 512, type, edges, 16}); // DeepSeek-V2-Lite
  visit({"attention_mla", 16, 1, 576, 512, "bf16", shorter, 32, 0, 0, false, true, 0, 128});
  visit({"attention_mla", 128, 1, 576, 512, "bf16", {1000, 4}, 64, 0, 0, false, false, 128}); // DeepSeek-V3
  for (const char *type : {"bf16", "f32", "q8_0"}) // whole queries, a tile per split
    visit({"attention_mla",
           16,
           1,
           576,
           512,
           type,
           {0, 63, 64, 700, 4095},
           64,
           0,
           0,
           false,
           true,
           0,
           64,
           true,
           4096});
  visit({"attention_mla", 16, 1, 576, 512, "f16", {0, 127, 600}, 16, 0, 0, false, false, 0, 64, false, 1024});
  visit({"attention_mla", 20, 1, 288, 256, "bf16", {700, 9}, 8, 0, 0, false, false, 0, 64, true});
  visit({"attention_mla", 16, 1, 576, 512, "bf16", {5, 90}, 1, 0, 0, false, true, 0, 64, true});
  visit({"attention_mla", 64, 1, 576, 512, "bf16", {600}, 4, 0, 0, false, true});
  visit({"attention_mla", 8, 1, 288, 256, "f16", {900, 31}, 4, 0, 0, false, false, 64}); // tiny-books
  visit({"attention_mla", 24, 1, 288, 256, "bf16", {500}, 2});
  visit({"attention_mla", 4, 1, 40, 32, "bf16", {300, 17}, 2});
  visit({"attention_mla", 5, 1, 80, 64, "f32", {300, 17}, 2});
  visit({"attention_mla", 8, 1, 288, 256, "bf16", {100, 0, 33}});
  visit({"attention_mla", 16, 1, 576, 512, "bf16", consecutive(40, 4)});
}

// ---- prefill: a dynamic number of tokens
// ------------------------------------------------------------------------

void sweepGqaPrefill(const Visit &visit) {
  for (auto [past, tokens] : {std::pair{0, 1}, {0, 64}, {0, 65}, {255, 2}, {1000, 100}})
    visit({"attention_gqa", 8, 2, 128, 128, "bf16", consecutive(past, tokens), 1, 128});
  for (auto [past, tokens] : {std::pair{0, 31}, {200, 63}})
    visit({"attention_gqa", 16, 2, 64, 64, "f16", consecutive(past, tokens), 1, 64, 128, true, true});
  visit({"attention_gqa", 4, 2, 256, 256, "bf16", consecutive(33, 20), 1, 32});
  visit({"attention_gqa", 6, 2, 24, 40, "f32", consecutive(7, 50), 1, 64, 16, true, false, 5});
  visit({"attention_gqa", 4, 4, 128, 128, "q8_0", consecutive(100, 70), 1, 512});
  visit({"attention_gqa", 4, 1, 80, 80, "bf16", consecutive(0, 40), 1, 64});
  visit({"attention_gqa", 2, 1, 192, 128, "bf16", consecutive(10, 40), 1, 64});
}

void sweepMlaPrefill(const Visit &visit) {
  for (auto [past, tokens] : {std::pair{0, 1}, {0, 7}, {100, 20}})
    visit({"attention_mla", 16, 1, 576, 512, "bf16", consecutive(past, tokens), 1, 32});
  visit({"attention_mla", 128, 1, 576, 512, "bf16", consecutive(60, 2), 1, 32, 0, false, true, 128});
  visit({"attention_mla", 16, 1, 576, 512, "q8_0", consecutive(3, 6), 1, 8});
  for (auto [past, tokens] : {std::pair{0, 9}, {300, 40}})
    visit({"attention_mla", 8, 1, 288, 256, "f16", consecutive(past, tokens), 1, 64, 0, false, false, 64});
  visit({"attention_mla", 3, 1, 40, 32, "f32", consecutive(5, 50), 1, 64});
}

class CudaAttention : public CudaTest {};

TEST_F(CudaAttention, GqaDecode) { sweepGqaDecode(checkAttention); }
TEST_F(CudaAttention, MlaDecode) { sweepMlaDecode(checkAttention); }
TEST_F(CudaAttention, GqaMerged) { sweepGqaDecode(checkMerged); }
TEST_F(CudaAttention, MlaMerged) { sweepMlaDecode(checkMerged); }
TEST_F(CudaAttention, GqaPrefill) { sweepGqaPrefill(checkAttention); }
TEST_F(CudaAttention, MlaPrefill) { sweepMlaPrefill(checkAttention); }

// A token has the same bits alone and among others.
TEST_F(CudaAttention, TokensAreIndependent) {
  for (int64_t window : {0, 100}) {
    const Problem many = {"attention_gqa", 8, 2, 64, 64, "bf16", consecutive(300, 40), 1, 64, window};
    const KernelCase all = attentionCase(many, false);
    KernelCase one = all;
    const size_t row = size_t(many.heads) * 64 * 4, token = 29;
    one.operands[0] = Bytes(all.operands[0].begin() + ptrdiff_t(token * row), all.operands[0].end());
    one.operands[4] = toBytes(std::vector<int32_t>{many.positions[token]});
    one.step.nTokens = 1;
    kt::Result<std::vector<Bytes>> together = runCuda(all), alone = runCuda(one);
    ASSERT_TRUE(static_cast<bool>(together)) << together.error().message;
    ASSERT_TRUE(static_cast<bool>(alone)) << alone.error().message;
    if (cudaCompileOnly())
      continue;
    const auto begin = (*together)[3].begin() + ptrdiff_t(token * row);
    EXPECT_TRUE(std::equal(begin, begin + ptrdiff_t(row), (*alone)[3].begin()));
    EXPECT_NE((*alone)[3][0] | (*alone)[3][1] | (*alone)[3][2], 0);
  }
}

TEST_F(CudaAttention, MergeLikeTheReference) {
  for (bool sinks : {false, true}) {
    const Problem problem = {"attention_gqa", 3, 1, 8, 72, "f32", edges, 16, 0, 0, sinks};
    std::vector<float> partials = randomFloats(7, edges.size() * 3 * 16 * (72 + 16));
    for (size_t i = 72 + 1; i < partials.size(); i += 72 + 16)
      partials[i] = 1.0f + std::fabs(partials[i]);
    checkCuda(mergeCase(problem, toBytes(partials), sinks ? toBytes(randomFloats(8, 3)) : Bytes()),
              closerThan(1e-10));
  }
}

TEST(CudaAttentionInstances, Exist) {
  for (auto sweep : {sweepGqaDecode, sweepMlaDecode, sweepGqaPrefill, sweepMlaPrefill})
    sweep(expectAttentionInstances);
}

TEST(CudaAttentionInstances, RefuseBadParameters) {
  Params gqa = {{"heads", 4}, {"head_dim", 32}, {"scale", 0.25}, {"splits", 3}};
  expectCudaRefused("attention_gqa", gqa, "'splits'");
  gqa["splits"] = int64_t(1);
  gqa["merge"] = int64_t(1);
  expectCudaRefused("attention_gqa", gqa, "'merge' needs splits");
  gqa.erase("merge");
  gqa["y_type"] = "f16";
  expectCudaRefused("attention_gqa", gqa, "'y_type'");
  expectCudaRefused("attention_gqa",
                    {{"heads", 4}, {"head_dim", 32}, {"scale", 0.25}, {"splits", 4}, {"split_positions", 100}},
                    "'split_positions'");
  expectCudaRefused("attention_gqa", {{"heads", 4}, {"head_dim", 4096}, {"scale", 0.25}}, "does not fit");
  expectCudaRefused("attention_mla", {{"heads", 4}, {"latent", 64}, {"rope", 9}, {"scale", 0.25}}, "'rope'");
  expectCudaRefused(
      "attention_mla",
      {{"heads", 4}, {"latent", 64}, {"rope", 8}, {"scale", 0.25}, {"kv_type", "f16"}, {"q_type", "bf16"}},
      "'q_type'");
  expectCudaRefused("attention_merge", {{"heads", 4}, {"v_dim", 30}, {"splits", 2}}, "'v_dim'");
}

} // namespace
} // namespace ktc::test
