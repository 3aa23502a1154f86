// attention_gqa and attention_mla: generated code against the references, and the references against a naive
// softmax.
#include "test/templates/kernel_case.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

using namespace ktc;
using namespace ktc::test;

namespace {

struct Gqa {
  int64_t heads, kvHeads, headDim, vDim;
  int64_t window = 0;
  std::string type = "f16";
  int64_t gap = 0; // between the rows of q and of y
  bool sinks = false;
};

KernelCase gqaCase(const Gqa &shape, const std::vector<int32_t> &positions, float deviation = 1.0f) {
  KernelCase result;
  result.family = "attention_gqa";
  int64_t tokens = static_cast<int64_t>(positions.size());
  int64_t rows = *std::max_element(positions.begin(), positions.end()) + 1;
  int64_t qStride = shape.heads * shape.headDim + shape.gap, yStride = shape.heads * shape.vDim + shape.gap;
  result.params = {{"heads", shape.heads},
                   {"kv_heads", shape.kvHeads},
                   {"head_dim", shape.headDim},
                   {"v_dim", shape.vDim},
                   {"kv_type", shape.type},
                   {"q_stride", qStride},
                   {"y_stride", yStride},
                   {"window", shape.window},
                   {"m", tokens},
                   {"scale", 1.0 / std::sqrt(double(shape.headDim))}};
  result.operands = {
      toBytes(randomFloats(1, tokens * qStride - shape.gap, deviation)),
      cacheBytes(randomFloats(2, rows * shape.kvHeads * shape.headDim, deviation), shape.type),
      cacheBytes(randomFloats(3, rows * shape.kvHeads * shape.vDim), shape.type),
      toBytes(std::vector<float>(tokens * yStride - shape.gap, 5.0f)),
      toBytes(positions),
  };
  if (shape.sinks) {
    result.params["sinks"] = int64_t(1);
    result.operands.push_back(toBytes(randomFloats(4, shape.heads, 2.0f)));
  }
  result.outputs = {3};
  result.units = static_cast<uint32_t>(tokens * shape.heads);
  result.step = {static_cast<uint32_t>(tokens), 0, 0, 0};
  return result;
}

struct Mla {
  int64_t heads, latent, rope;
  std::string type = "f16";
  bool insideHead = false; // the rotary part lies behind a non-rotary part of the head's query
};

KernelCase mlaCase(const Mla &shape, const std::vector<int32_t> &positions, float deviation = 0.5f) {
  KernelCase result;
  result.family = "attention_mla";
  int64_t tokens = static_cast<int64_t>(positions.size());
  int64_t rows = *std::max_element(positions.begin(), positions.end()) + 1;
  int64_t rowStride = shape.insideHead ? shape.rope + 24 : shape.rope;
  result.params = {{"heads", shape.heads},
                   {"latent", shape.latent},
                   {"rope", shape.rope},
                   {"kv_type", shape.type},
                   {"q_row_stride", rowStride},
                   {"q_stride", shape.heads * rowStride},
                   {"m", tokens},
                   {"scale", 1.0 / std::sqrt(double(shape.latent))}};
  size_t rotary = ((tokens * shape.heads) - 1) * rowStride + shape.rope;
  result.operands = {
      toBytes(randomFloats(1, tokens * shape.heads * shape.latent, deviation)),
      toBytes(randomFloats(2, rotary, deviation)),
      cacheBytes(randomFloats(3, rows * (shape.latent + shape.rope)), shape.type),
      Bytes(tokens * shape.heads * shape.latent * 4),
      toBytes(positions),
  };
  result.outputs = {3};
  result.units = static_cast<uint32_t>(tokens * shape.heads);
  return result;
}

// The same tokens in the form for a run-time count: a unit per KV head and token.
KernelCase dynamicForm(KernelCase kernelCase) {
  const int64_t tokens = intParam(kernelCase.params, "m", 1);
  kernelCase.params["dynamic"] = int64_t(1);
  kernelCase.params["m"] = int64_t(1024);
  kernelCase.units = static_cast<uint32_t>(tokens * intParam(kernelCase.params, "kv_heads", 1));
  kernelCase.step = {static_cast<uint32_t>(tokens), 0, 0, 0};
  return kernelCase;
}

// Consecutive positions, as a prefill has them.
std::vector<int32_t> positionsFrom(int32_t past, int32_t tokens) {
  std::vector<int32_t> positions;
  for (int32_t i = 0; i < tokens; ++i)
    positions.push_back(past + i);
  return positions;
}

// Rounding q and p to bfloat16 gives errors of 2^-9 / sqrt(12) of each score and weight at most, an NMSE near
// 1e-6.
void expectCloseBf16(size_t operand, const Bytes &got, const Bytes &want) {
  EXPECT_LE(nmse(fromBytes<float>(got), fromBytes<float>(want)), 1e-5) << "operand " << operand;
}

Compare closeFor(const std::string &type) {
  return type == "bf16" || type == "q8_0" ? expectCloseBf16 : expectClose;
}

// Positions around the block sizes of 8 and 16 rows.
const std::vector<int32_t> edges = {0, 1, 6, 7, 8, 9, 15, 16, 17, 31, 32, 47, 100};

TEST(AttentionGqa, CloseToReference) {
  for (const char *type : {"f16", "bf16", "f32"})
    for (Gqa shape :
         {Gqa{4, 4, 16, 16}, Gqa{4, 2, 32, 32}, Gqa{8, 2, 64, 64}, Gqa{6, 1, 80, 80}, Gqa{10, 2, 128, 128},
          Gqa{3, 1, 8, 8}, Gqa{2, 1, 24, 40}, Gqa{4, 1, 192, 128}, Gqa{1, 1, 256, 256}, Gqa{5, 1, 136, 152}}) {
      shape.type = type;
      checkKernel(gqaCase(shape, edges), expectClose);
    }
}

TEST(AttentionGqa, SingleTokensAtEveryPosition) {
  for (int32_t position = 0; position < 40; ++position)
    checkKernel(gqaCase({8, 2, 16, 16}, {position}), expectClose);
}

TEST(AttentionGqa, WindowAndStrides) {
  for (int64_t window : {1, 2, 8, 15, 16, 17, 64, 1000})
    for (int64_t heads : {1, 4}) {
      checkKernel(gqaCase({heads, 1, 32, 32, window, "f16", 8}, edges), expectClose);
    }
}

TEST(AttentionGqa, Sinks) {
  for (int64_t window : {0, 9})
    for (int64_t kvHeads : {1, 2, 8})
      checkKernel(gqaCase({8, kvHeads, 64, 64, window, "f16", 0, true}, edges), expectClose);
  // A sink far above all scores takes nearly everything, one far below nothing.
  for (float sink : {30.0f, -200.0f}) {
    KernelCase extreme = gqaCase({1, 1, 16, 16, 0, "f32", 0, true}, {20});
    extreme.operands[5] = toBytes(std::vector<float>{sink});
    checkKernel(extreme, expectClose);
  }
}

TEST(AttentionGqa, LongContextAndSharpScores) {
  checkKernel(gqaCase({8, 2, 64, 64}, {3000}), expectClose);
  // Scores in the hundreds: one position takes all; overflow or a wrong maximum would show.
  checkKernel(gqaCase({4, 1, 64, 64}, {700}, 8.0f), expectClose);
}

TEST(AttentionMla, CloseToReference) {
  for (const char *type : {"f16", "bf16", "f32"})
    for (bool inside : {false, true})
      for (Mla shape : {Mla{4, 32, 16}, Mla{3, 24, 8}, Mla{9, 64, 32}, Mla{1, 512, 64}}) {
        shape.type = type;
        shape.insideHead = inside;
        checkKernel(mlaCase(shape, edges), expectClose);
      }
}

TEST(Attention, QuantisedCache) {
  for (Gqa shape : {Gqa{4, 4, 32, 32}, Gqa{8, 2, 64, 64}, Gqa{6, 1, 96, 96}, Gqa{10, 2, 128, 128},
                    Gqa{4, 1, 192, 128}, Gqa{5, 1, 160, 224}}) {
    shape.type = "q8_0";
    checkKernel(gqaCase(shape, edges), expectClose);
    checkKernel(dynamicForm(gqaCase(shape, edges)), expectCloseBf16);
  }
  for (Mla shape : {Mla{4, 32, 32, "q8_0"}, Mla{9, 96, 64, "q8_0"}, Mla{16, 512, 64, "q8_0"}}) {
    checkKernel(mlaCase(shape, edges), expectClose);
    checkKernel(dynamicForm(mlaCase(shape, edges)), expectCloseBf16);
  }
}

TEST(AttentionMla, DeepSeekShape) {
  checkKernel(mlaCase({16, 512, 64, "f16", true}, {0, 300, 17}), expectClose);
  checkKernel(mlaCase({128, 512, 64}, {77}), expectClose);
}

TEST(AttentionPrefill, GqaShapes) {
  for (const char *type : {"f16", "bf16", "f32"})
    for (Gqa shape : {Gqa{4, 4, 16, 16}, Gqa{4, 2, 32, 32}, Gqa{8, 2, 64, 64}, Gqa{6, 1, 80, 80},
                      Gqa{10, 2, 128, 128}, Gqa{3, 1, 8, 8}, Gqa{2, 1, 24, 40}, Gqa{4, 1, 192, 128},
                      Gqa{1, 1, 256, 256}, Gqa{5, 1, 136, 152}, Gqa{16, 1, 64, 64}}) {
      shape.type = type;
      checkKernel(dynamicForm(gqaCase(shape, edges)), closeFor(type));
    }
}

// Across the edges of tiles of rows (16 and 32), of blocks of rows (256) and of keys (64).
TEST(AttentionPrefill, TokenCounts) {
  for (const char *type : {"f32", "bf16"})
    for (int32_t tokens = 1; tokens <= 40; ++tokens)
      for (int32_t past : {0, 61, 500})
        checkKernel(dynamicForm(gqaCase({8, 2, 32, 32, 0, type}, positionsFrom(past, tokens))), closeFor(type));
  for (const char *type : {"f32", "bf16"})
    checkKernel(dynamicForm(gqaCase({2, 2, 32, 32, 0, type}, positionsFrom(0, 600))), closeFor(type));
}

TEST(AttentionPrefill, WindowSinksAndStrides) {
  for (const char *type : {"f32", "bf16"})
    for (int64_t window : {1, 2, 16, 17, 64, 65, 1000})
      for (int32_t past : {0, 200}) {
        Gqa shape{8, 2, 32, 32, window, type, 8, true};
        checkKernel(dynamicForm(gqaCase(shape, positionsFrom(past, 70))), closeFor(type));
        checkKernel(dynamicForm(gqaCase(shape, edges)), closeFor(type));
      }
}

TEST(AttentionPrefill, SharpScores) {
  for (const char *type : {"f32", "bf16"})
    checkKernel(dynamicForm(gqaCase({4, 1, 64, 64, 0, type}, positionsFrom(650, 50), 8.0f)),
                [&](size_t operand, const Bytes &got, const Bytes &want) {
                  // Scores in the hundreds: rounding q changes those of near ties.
                  const double bar = std::string(type) == "f32" ? 1e-6 : 1e-3;
                  EXPECT_LE(nmse(fromBytes<float>(got), fromBytes<float>(want)), bar) << operand;
                });
}

TEST(AttentionPrefill, MlaShapes) {
  for (const char *type : {"f16", "bf16", "f32"})
    for (bool inside : {false, true})
      for (Mla shape : {Mla{4, 32, 16}, Mla{3, 24, 8}, Mla{9, 64, 32}, Mla{1, 512, 64}, Mla{40, 64, 32}}) {
        shape.type = type;
        shape.insideHead = inside;
        checkKernel(dynamicForm(mlaCase(shape, edges)), closeFor(type));
      }
  for (const char *type : {"bf16", "f32"}) {
    checkKernel(dynamicForm(mlaCase({16, 512, 64, type, true}, positionsFrom(90, 40))), closeFor(type));
    checkKernel(dynamicForm(mlaCase({128, 512, 64, type}, positionsFrom(75, 3))), closeFor(type));
  }
}

// The heads of a token do not depend on the tokens beside it: the same bits alone and in a batch.
TEST(AttentionGqa, TokensAreIndependent) {
  Gqa shape = {6, 2, 48, 48};
  KernelCase batch = gqaCase(shape, edges);
  size_t qBytes = shape.heads * shape.headDim * 4, yBytes = shape.heads * shape.vDim * 4;
  for (Isa isa : hostIsas()) {
    Bytes together = runGenerated(batch, isa)[3];
    for (size_t token = 0; token < edges.size(); ++token) {
      KernelCase alone = batch;
      alone.params["m"] = int64_t(1);
      const Bytes &q = batch.operands[0];
      alone.operands[0] = Bytes(q.begin() + token * qBytes, q.begin() + (token + 1) * qBytes);
      alone.operands[3] = Bytes(yBytes);
      alone.operands[4] = toBytes(std::vector<int32_t>{edges[token]});
      alone.units = static_cast<uint32_t>(shape.heads);
      Bytes want(together.begin() + token * yBytes, together.begin() + (token + 1) * yBytes);
      EXPECT_EQ(runGenerated(alone, isa)[3], want) << "token " << token;
    }
  }
}

TEST(AttentionGqa, ReferenceIsSoftmaxAttention) {
  Gqa shape = {4, 2, 16, 24, 5, "bf16"};
  KernelCase gqa = gqaCase(shape, {9});
  std::vector<float> q = fromBytes<float>(gqa.operands[0]);
  std::vector<float> k = cacheValues(randomFloats(2, 10 * 2 * 16), "bf16");
  std::vector<float> v = cacheValues(randomFloats(3, 10 * 2 * 24), "bf16");
  std::vector<float> want;
  for (int head = 0; head < 4; ++head)
    for (int i = 0; i < 24; ++i) {
      double weights = 0, sum = 0;
      for (int p = 5; p <= 9; ++p) {
        double score = 0;
        for (int j = 0; j < 16; ++j)
          score += double(q[head * 16 + j]) * k[(p * 2 + head / 2) * 16 + j];
        double weight = std::exp(score / 4);
        weights += weight;
        sum += weight * v[(p * 2 + head / 2) * 24 + i];
      }
      want.push_back(static_cast<float>(sum / weights));
    }
  EXPECT_LE(nmse(fromBytes<float>(runReference(gqa)[3]), want), 1e-12);
}

TEST(AttentionMla, ReferenceIsSoftmaxAttention) {
  KernelCase mla = mlaCase({2, 8, 8, "f32", true}, {6});
  std::vector<float> qa = fromBytes<float>(mla.operands[0]), qr = fromBytes<float>(mla.operands[1]);
  std::vector<float> cache = fromBytes<float>(mla.operands[2]), want;
  for (int head = 0; head < 2; ++head)
    for (int i = 0; i < 8; ++i) {
      double weights = 0, sum = 0;
      for (int p = 0; p <= 6; ++p) {
        double score = 0;
        for (int j = 0; j < 8; ++j)
          score +=
              double(qa[head * 8 + j]) * cache[p * 16 + j] + double(qr[head * 32 + j]) * cache[p * 16 + 8 + j];
        double weight = std::exp(score / std::sqrt(8.0));
        weights += weight;
        sum += weight * cache[p * 16 + i];
      }
      want.push_back(static_cast<float>(sum / weights));
    }
  EXPECT_LE(nmse(fromBytes<float>(runReference(mla)[3]), want), 1e-12);
}

TEST(Attention, RefusesBadParameters) {
  Params gqa = {{"heads", 4}, {"kv_heads", 2}, {"head_dim", 32}, {"scale", 0.25}};
  auto with = [](Params params, const std::string &name, ParamValue value) {
    params[name] = value;
    return params;
  };
  expectRefused("attention_gqa", {}, "'heads'");
  expectRefused("attention_gqa", with(gqa, "kv_heads", 3), "'heads'");
  expectRefused("attention_gqa", with(gqa, "head_dim", 20), "'head_dim'");
  expectRefused("attention_gqa", with(gqa, "v_dim", 4), "'v_dim'");
  expectRefused("attention_gqa", with(gqa, "kv_type", "q4_0"), "'kv_type'");
  expectRefused("attention_gqa", with(with(gqa, "kv_type", "q8_0"), "head_dim", 40), "'head_dim'");
  expectRefused("attention_gqa", with(with(gqa, "kv_type", "q8_0"), "v_dim", 40), "'v_dim'");
  expectRefused("attention_gqa", with(gqa, "window", -1), "'window'");
  expectRefused("attention_gqa", with(gqa, "scale", "big"), "'scale'");
  expectRefused("attention_gqa", with(gqa, "sinks", 2), "'sinks'");
  expectRefused("attention_mla", {{"heads", 4}, {"rope", 8}, {"scale", 1.0}}, "'latent'");
  expectRefused("attention_mla", {{"heads", 4}, {"latent", 32}, {"rope", 4}, {"scale", 1.0}}, "'rope'");
}

} // namespace
