// attention with positions split over units, and attention_merge: together they are attention over all
// positions.
#include "test/templates/kernel_case.h"

#include <cfloat>
#include <cmath>
#include <gtest/gtest.h>

using namespace ktc;
using namespace ktc::test;

namespace {

struct Shape {
  std::string family;
  int64_t heads, kvHeads, keyLength, valueLength; // attention_mla: latent + rope, latent
  int64_t splits;
  std::string type = "f16";
  int64_t window = 0;
  bool sinks = false;
};

// The attention of a token at each position; with `splits`, its partials.
KernelCase attentionCase(const Shape &shape, const std::vector<int32_t> &positions, bool split) {
  KernelCase result;
  const bool gqa = shape.family == "attention_gqa";
  const int64_t tokens = static_cast<int64_t>(positions.size());
  const int64_t rows = *std::max_element(positions.begin(), positions.end()) + 1;
  const Bytes y(tokens * shape.heads * shape.valueLength * 4), at = toBytes(positions);
  const int64_t keyRow = shape.keyLength * shape.kvHeads, valueRow = shape.valueLength * shape.kvHeads;
  const Bytes keys = cacheBytes(randomFloats(2, rows * keyRow), shape.type);
  result.family = shape.family;
  result.params = {{"heads", shape.heads},
                   {"kv_type", shape.type},
                   {"m", tokens},
                   {"scale", 1.0 / std::sqrt(double(shape.keyLength))}};
  if (gqa) {
    result.params.insert({{"kv_heads", shape.kvHeads},
                          {"head_dim", shape.keyLength},
                          {"v_dim", shape.valueLength},
                          {"window", shape.window},
                          {"sinks", int64_t(shape.sinks)}});
    result.operands = {toBytes(randomFloats(1, tokens * shape.heads * shape.keyLength)),
                       keys,
                       cacheBytes(randomFloats(3, rows * valueRow), shape.type),
                       y,
                       at,
                       shape.sinks ? toBytes(randomFloats(4, shape.heads, 2.0f)) : Bytes()};
  } else {
    const int64_t rope = shape.keyLength - shape.valueLength;
    result.params.insert({{"latent", shape.valueLength}, {"rope", rope}});
    result.operands = {toBytes(randomFloats(1, tokens * shape.heads * shape.valueLength)),
                       toBytes(randomFloats(5, tokens * shape.heads * rope)),
                       keys,
                       y,
                       at,
                       Bytes()};
  }
  result.outputs = {3};
  result.units = static_cast<uint32_t>(tokens * shape.heads);
  result.step = {static_cast<uint32_t>(tokens), 0, 0, 0};
  if (split) {
    result.params["splits"] = shape.splits;
    result.operands[3] = Bytes();
    result.operands.push_back(Bytes(tokens * shape.heads * shape.splits * (shape.valueLength + 16) * 4));
    result.outputs = {6};
    result.units *= static_cast<uint32_t>(shape.splits);
  }
  return result;
}

KernelCase mergeCase(const Shape &shape, const std::vector<int32_t> &positions, const Bytes &partials,
                     const Bytes &sinks) {
  KernelCase result;
  const int64_t tokens = static_cast<int64_t>(positions.size());
  result.family = "attention_merge";
  result.params = {{"heads", shape.heads},   {"v_dim", shape.valueLength},    {"splits", shape.splits},
                   {"window", shape.window}, {"sinks", int64_t(shape.sinks)}, {"m", tokens}};
  result.operands = {partials, Bytes(tokens * shape.heads * shape.valueLength * 4), toBytes(positions), sinks};
  result.outputs = {1};
  result.units = static_cast<uint32_t>(tokens * shape.heads);
  result.step = {static_cast<uint32_t>(tokens), 0, 0, 0};
  return result;
}

// Positions around the lengths at which the number of splits changes, and in between.
const std::vector<int32_t> edges = {0, 5, 254, 255, 256, 300, 511, 512, 1023, 1024, 1500, 2047, 2048, 4200};

void checkSplit(const Shape &shape) {
  SCOPED_TRACE(shape.family + " " + shape.type + " " + std::to_string(shape.splits));
  const KernelCase whole = attentionCase(shape, edges, false), split = attentionCase(shape, edges, true);
  const Bytes want = runReference(whole)[3], sinks = whole.operands[5];
  const KernelCase referenceMerge = mergeCase(shape, edges, runReference(split)[6], sinks);
  EXPECT_LE(nmse(fromBytes<float>(runReference(referenceMerge)[1]), fromBytes<float>(want)), 1e-10);
  for (Isa isa : hostIsas()) {
    SCOPED_TRACE(isaName(isa));
    const Bytes partials = runGenerated(split, isa)[6];
    for (uint32_t parts : {3u, 16u, 31u, split.units})
      EXPECT_EQ(runGenerated(split, isa, parts)[6], partials) << "depends on the split into " << parts;
    const KernelCase merge = mergeCase(shape, edges, partials, sinks);
    const Bytes got = runGenerated(merge, isa)[1];
    EXPECT_LE(nmse(fromBytes<float>(got), fromBytes<float>(want)), 1e-6);
    EXPECT_LE(nmse(fromBytes<float>(got), fromBytes<float>(runReference(merge)[1])), 1e-10);
    // A token alone has the same bits.
    KernelCase alone = attentionCase(shape, {edges.back()}, true);
    const size_t operands[] = {0, 1};
    for (size_t i : operands)
      if (alone.operands[i].size() != split.operands[i].size()) // queries, not the cache
        alone.operands[i] = Bytes(split.operands[i].end() - static_cast<int64_t>(alone.operands[i].size()),
                                  split.operands[i].end());
    const Bytes last = runGenerated(alone, isa)[6];
    EXPECT_TRUE(std::equal(last.begin(), last.end(), partials.end() - static_cast<int64_t>(last.size())));
  }
}

TEST(AttentionSplit, Gqa) {
  for (const char *type : {"f32", "bf16", "q8_0"})
    for (int64_t splits : {2, 16})
      for (Shape shape :
           {Shape{"attention_gqa", 8, 2, 32, 32, splits}, Shape{"attention_gqa", 6, 1, 32, 64, splits},
            Shape{"attention_gqa", 2, 2, 32, 32, splits}}) {
        shape.type = type;
        checkSplit(shape);
      }
}

TEST(AttentionSplit, WindowsAndSinks) {
  for (int64_t window : {0, 40, 700})
    checkSplit({"attention_gqa", 8, 2, 24, 40, 4, "f16", window, true});
}

TEST(AttentionSplit, Mla) {
  checkSplit({"attention_mla", 6, 1, 96, 64, 8, "bf16"});
  checkSplit({"attention_mla", 16, 1, 96, 64, 16, "q8_0"});
}

TEST(AttentionMerge, MatchesReference) {
  for (int64_t vDim : {8, 24, 128})
    for (bool sinks : {false, true}) {
      Shape shape{"attention_gqa", 3, 1, 8, vDim, 16, "f32", 0, sinks};
      std::vector<float> partials = randomFloats(7, edges.size() * 3 * 16 * (vDim + 16));
      for (size_t i = vDim + 1; i < partials.size(); i += vDim + 16)
        partials[i] = 1.0f + std::fabs(partials[i]);
      checkKernel(mergeCase(shape, edges, toBytes(partials), sinks ? toBytes(randomFloats(8, 3)) : Bytes()),
                  expectClose);
    }
}

TEST(AttentionSplit, RefusesBadParameters) {
  Params gqa = {{"heads", 4}, {"head_dim", 32}, {"scale", 0.25}, {"splits", 3}};
  expectRefused("attention_gqa", gqa, "'splits'");
  gqa["splits"] = int64_t(4);
  gqa["dynamic"] = int64_t(1);
  expectRefused("attention_gqa", gqa, "'splits'");
  expectRefused("attention_merge", {{"heads", 4}, {"v_dim", 32}, {"splits", 1}}, "'splits'");
  expectRefused("attention_merge", {{"heads", 4}, {"v_dim", 30}, {"splits", 2}}, "'v_dim'");
}

} // namespace
