// quantize, rms_norm and add: generated code against the references, and the references against plain formulas.
#include "test/templates/kernel_case.h"

#include <cfloat>
#include <cmath>
#include <gtest/gtest.h>

using namespace ktc;
using namespace ktc::test;

namespace {

size_t rowBytesOf(int64_t k, int64_t group) { return group == 32 ? ktQ8RowBytes(k) : ktQ8kRowBytes(k); }

// A q8k row taken apart.
struct Q8kRow {
  std::vector<int8_t> q;
  std::vector<int16_t> s;
  std::vector<float> d;

  Q8kRow(const uint8_t *row, size_t k) : q(k), s(k / 16), d(k / 256) {
    std::memcpy(q.data(), row, k);
    std::memcpy(s.data(), row + ktQ8kSumOffset(k), k / 16 * 2);
    std::memcpy(d.data(), row + ktQ8kScaleOffset(k), k / 256 * 4);
  }
};

// A q8 row taken apart.
struct Q8Row {
  std::vector<int8_t> q;
  std::vector<float> d, s;

  Q8Row(const uint8_t *row, size_t k) : q(k), d(k / 32), s(k / 16) {
    std::memcpy(q.data(), row, k);
    std::memcpy(d.data(), row + ktQ8ScaleOffset(k), k / 32 * 4);
    std::memcpy(s.data(), row + ktQ8SumOffset(k), k / 16 * 4);
  }
};

KernelCase quantizeCase(int64_t k, int64_t rows, int64_t tokens, int64_t gap, std::vector<float> x,
                        int64_t group = 32) {
  KernelCase result;
  result.family = "quantize";
  result.params = {{"k", k}, {"rows", rows}, {"m", tokens}, {"group", group}};
  if (gap) {
    result.params["x_row_stride"] = k + gap;
    result.params["x_stride"] = rows * (k + gap) + gap;
  }
  result.operands = {toBytes(x), Bytes(tokens * rows * rowBytesOf(k, group))};
  result.outputs = {1};
  result.units = static_cast<uint32_t>(rows * tokens);
  return result;
}

TEST(Quantize, SameBytesAsReference) {
  for (int64_t k : {32, 64, 96, 256, 544, 2048, 7168})
    for (int64_t rows : {1, 3})
      for (int64_t tokens : {1, 2, 5})
        for (int64_t gap : {0, 5}) {
          size_t count = ((tokens - 1) * (rows * (k + gap) + gap)) + (rows - 1) * (k + gap) + k;
          for (int64_t group : {32, 256})
            if (k % group == 0)
              checkKernel(quantizeCase(k, rows, tokens, gap, randomFloats(k + rows, count), group),
                          expectEqual);
        }
}

TEST(Quantize, ExtremeBlocks) {
  // Per block: zeros, negative zeros, denormals, the smallest scale, huge values, exact ties, a single spike.
  std::vector<float> x(8 * 32, 0.0f);
  for (size_t i = 0; i < 32; ++i) {
    x[32 + i] = -0.0f;
    x[64 + i] = 1e-41f * static_cast<float>(i);
    x[96 + i] = FLT_MIN * static_cast<float>(i % 5);
    x[128 + i] = (i % 2 ? -1 : 1) * FLT_MAX / static_cast<float>(i + 1);
    x[160 + i] = i == 0 ? 127.0f : static_cast<float>(i) + 0.5f;
  }
  x[192 + 17] = -3.0f;
  checkKernel(quantizeCase(8 * 32, 1, 1, 0, x), expectEqual);
  // Each block as a group of its own, and all of them in one.
  for (size_t block = 0; block < 8; ++block) {
    std::vector<float> spread(512, 0.0f);
    std::copy_n(x.begin() + static_cast<long>(block) * 32, 32,
                spread.begin() + 224 + 32 * static_cast<long>(block % 2));
    checkKernel(quantizeCase(512, 1, 1, 0, spread, 256), expectEqual);
  }
  checkKernel(quantizeCase(256, 1, 1, 0, x, 256), expectEqual);
}

TEST(Quantize, ReferenceFollowsTheDefinition) {
  const size_t k = 512;
  std::vector<float> x = randomFloats(7, k, 3.0f);
  std::vector<Bytes> result = runReference(quantizeCase(k, 1, 1, 0, x));
  Q8Row row(result[1].data(), k);
  for (size_t block = 0; block < k / 32; ++block) {
    float largest = 0;
    for (size_t i = block * 32; i < block * 32 + 32; ++i)
      largest = std::fmax(largest, std::fabs(x[i]));
    EXPECT_FLOAT_EQ(row.d[block], largest / 127);
    for (size_t half = block * 2; half < block * 2 + 2; ++half) {
      int sum = 0;
      for (size_t i = half * 16; i < half * 16 + 16; ++i) {
        EXPECT_NEAR(row.q[i], double(x[i]) / row.d[block], 0.5 + 1e-4);
        sum += row.q[i];
      }
      EXPECT_EQ(row.s[half], row.d[block] * static_cast<float>(sum));
    }
  }
}

TEST(Quantize, ReferenceFollowsTheDefinitionOfQ8k) {
  const size_t k = 768;
  std::vector<float> x = randomFloats(7, k, 3.0f);
  std::vector<Bytes> result = runReference(quantizeCase(k, 1, 1, 0, x, 256));
  Q8kRow row(result[1].data(), k);
  for (size_t block = 0; block < k / 256; ++block) {
    float largest = 0;
    for (size_t i = block * 256; i < block * 256 + 256; ++i)
      largest = std::fmax(largest, std::fabs(x[i]));
    EXPECT_FLOAT_EQ(row.d[block], largest / 127);
    for (size_t part = block * 16; part < block * 16 + 16; ++part) {
      int sum = 0;
      for (size_t i = part * 16; i < part * 16 + 16; ++i) {
        EXPECT_NEAR(row.q[i], double(x[i]) / row.d[block], 0.5 + 1e-4);
        sum += row.q[i];
      }
      EXPECT_EQ(row.s[part], sum);
    }
  }
}

KernelCase normCase(int64_t k, int64_t rows, int64_t tokens, bool weight, bool toFloat, bool toQ8,
                    int64_t gap = 0, uint32_t rowOffset = 0, int64_t group = 32) {
  KernelCase result;
  result.family = "rms_norm";
  result.params = {{"k", k}, {"eps", 1e-6}, {"rows", rows}, {"m", tokens}, {"group", group}};
  int64_t xStride = rows * k, yStride = rows * k, rowStride = k;
  if (gap) {
    rowStride = k + gap;
    xStride = rows * rowStride + 3;
    yStride = xStride + 8;
    result.params["x_stride"] = xStride;
    result.params["y_stride"] = yStride;
    result.params["x_row_stride"] = rowStride;
    result.params["y_row_stride"] = rowStride;
  }
  if (rowOffset)
    result.params["row_offset"] = int64_t(1);
  size_t last = (rows - 1) * rowStride + k;
  result.operands = {toBytes(randomFloats(k + 1, (rowOffset + tokens - 1) * xStride + last, 2.0f)), Bytes(),
                     Bytes(), Bytes()};
  if (weight)
    result.operands[1] = toBytes(randomFloats(k + 2, k));
  if (toFloat) {
    result.operands[2] = Bytes(((tokens - 1) * yStride + last) * 4);
    result.outputs.push_back(2);
  }
  if (toQ8) {
    result.operands[3] = Bytes(tokens * rows * rowBytesOf(k, group));
    result.outputs.push_back(3);
  }
  result.units = static_cast<uint32_t>(rows * tokens);
  result.step = {static_cast<uint32_t>(tokens), 0, rowOffset, 0};
  return result;
}

// Dequantised q8 rows are within the quantisation step of each other.
void expectQ8Close(const Bytes &got, const Bytes &want, size_t k) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t at = 0; at < got.size(); at += ktQ8RowBytes(k)) {
    Q8Row left(&got[at], k), right(&want[at], k);
    for (size_t i = 0; i < k; ++i)
      ASSERT_NEAR(left.q[i] * left.d[i / 32], right.q[i] * right.d[i / 32], right.d[i / 32] * 1.01) << i;
  }
}

TEST(RmsNorm, CloseToReference) {
  for (int64_t k : {1, 5, 8, 31, 32, 100, 128, 576, 1031, 2048, 7168})
    for (bool weight : {false, true})
      for (int64_t tokens : {1, 3})
        checkKernel(normCase(k, k < 200 ? 4 : 1, tokens, weight, true, false, tokens == 3 ? 7 : 0),
                    expectClose);
}

TEST(RmsNorm, QuantizedOutputEqualsQuantizingTheFloatOutput) {
  for (int64_t k : {32, 64, 96, 256, 544, 2048})
    for (bool weight : {false, true}) {
      KernelCase both = normCase(k, 2, 3, weight, true, true);
      checkKernel(both, [&](size_t operand, const Bytes &got, const Bytes &want) {
        if (operand == 2)
          return expectClose(operand, got, want);
        expectQ8Close(got, want, k);
      });
      for (Isa isa : hostIsas()) {
        std::vector<Bytes> result = runGenerated(both, isa);
        KernelCase quantize = quantizeCase(k, 2, 3, 0, fromBytes<float>(result[2]));
        expectEqual(1, result[3], runReference(quantize)[1]);
        KernelCase only = normCase(k, 2, 3, weight, false, true);
        expectEqual(3, runGenerated(only, isa)[3], result[3]);
      }
    }
}

// Within the quantisation step; then, per ISA, exactly what quantising the float32 output gives.
TEST(RmsNorm, Q8kOutputEqualsQuantizingTheFloatOutput) {
  for (int64_t k : {256, 768, 2048})
    for (bool weight : {false, true}) {
      KernelCase both = normCase(k, 2, 3, weight, true, true, 0, 0, 256);
      checkKernel(both, [&](size_t operand, const Bytes &got, const Bytes &want) {
        if (operand == 2)
          return expectClose(operand, got, want);
        for (size_t at = 0; at < got.size(); at += ktQ8kRowBytes(k)) {
          Q8kRow left(&got[at], k), right(&want[at], k);
          for (size_t i = 0; i < size_t(k); ++i)
            ASSERT_NEAR(left.q[i] * left.d[i / 256], right.q[i] * right.d[i / 256], right.d[i / 256] * 1.01)
                << i;
        }
      });
      for (Isa isa : hostIsas()) {
        std::vector<Bytes> result = runGenerated(both, isa);
        KernelCase quantize = quantizeCase(k, 2, 3, 0, fromBytes<float>(result[2]), 256);
        expectEqual(1, result[3], runReference(quantize)[1]);
        KernelCase only = normCase(k, 2, 3, weight, false, true, 0, 0, 256);
        expectEqual(3, runGenerated(only, isa)[3], result[3]);
      }
    }
}

TEST(RmsNorm, RowOffsetComesFromTheStep) {
  checkKernel(normCase(64, 1, 2, true, true, true, 0, 5),
              [](size_t operand, const Bytes &got, const Bytes &want) {
                if (operand == 2)
                  expectClose(operand, got, want);
              });
}

TEST(RmsNorm, ReferenceMatchesFormula) {
  const size_t k = 100;
  KernelCase norm = normCase(k, 1, 1, true, true, false);
  std::vector<float> x = fromBytes<float>(norm.operands[0]), w = fromBytes<float>(norm.operands[1]);
  double squares = 0;
  for (float value : x)
    squares += double(value) * value;
  std::vector<float> want;
  for (size_t i = 0; i < k; ++i)
    want.push_back(static_cast<float>(x[i] / std::sqrt(squares / k + 1e-6) * w[i]));
  EXPECT_LE(nmse(fromBytes<float>(runReference(norm)[2]), want), 1e-12);
}

KernelCase addCase(int64_t k, int64_t tokens, const std::string &gate, int64_t gap) {
  KernelCase result;
  result.family = "add";
  result.params = {{"k", k}, {"m", tokens}, {"gate", gate}};
  if (gap) {
    result.params["x_stride"] = k + gap;
    result.params["y_stride"] = k + 2 * gap;
  }
  result.operands = {toBytes(randomFloats(1, (tokens - 1) * (k + gap) + k)),
                     toBytes(randomFloats(2, (tokens - 1) * (k + 2 * gap) + k)), Bytes()};
  if (gate == "sigmoid")
    result.operands[2] = toBytes(randomFloats(3, tokens, 4.0f));
  result.outputs = {1};
  result.units = static_cast<uint32_t>(tokens);
  return result;
}

TEST(Add, PlainIsExact) {
  for (int64_t k : {1, 7, 16, 33, 129, 2048})
    for (int64_t tokens : {1, 4})
      checkKernel(addCase(k, tokens, "none", tokens == 4 ? 3 : 0), expectEqual);
}

TEST(Add, SigmoidGate) {
  for (int64_t k : {1, 15, 64, 2048})
    checkKernel(addCase(k, 5, "sigmoid", 2), expectClose);
  KernelCase saturated = addCase(16, 4, "sigmoid", 0);
  saturated.operands[2] = toBytes(std::vector<float>{-1e30f, -90.0f, 90.0f, 1e30f});
  checkKernel(saturated, expectClose);
}

TEST(Add, ReferenceMatchesFormula) {
  KernelCase add = addCase(3, 1, "sigmoid", 0);
  add.operands = {toBytes<float>({1, 2, 3}), toBytes<float>({10, 20, 30}), toBytes<float>({0.5f})};
  double factor = 1 / (1 + std::exp(-0.5));
  std::vector<float> got = fromBytes<float>(runReference(add)[1]);
  for (int i = 0; i < 3; ++i)
    EXPECT_FLOAT_EQ(got[i], static_cast<float>((i + 1) * 10 + factor * (i + 1)));
}

TEST(NormFamilies, RefuseBadParameters) {
  expectRefused("quantize", {}, "'k'");
  expectRefused("quantize", {{"k", 33}}, "'k'");
  expectRefused("quantize", {{"k", -32}}, "'k'");
  expectRefused("quantize", {{"k", "32"}}, "must be an integer");
  expectRefused("quantize", {{"k", 32}, {"rows", 0}}, "'rows'");
  expectRefused("quantize", {{"k", 288}, {"group", 256}}, "'k'");
  expectRefused("quantize", {{"k", 256}, {"group", 64}}, "'group'");
  expectRefused("rms_norm", {{"k", 288}, {"eps", 1e-6}, {"group", 256}}, "'k'");
  expectRefused("quantize", {{"k", 32}, {"x_stride", int64_t(1) << 40}}, "'x_stride'");
  expectRefused("rms_norm", {{"k", 0}, {"eps", 1e-6}}, "'k'");
  expectRefused("rms_norm", {{"k", 8}}, "'eps'");
  expectRefused("rms_norm", {{"k", 8}, {"eps", -1.0}}, "'eps'");
  expectRefused("rms_norm", {{"k", 8}, {"eps", std::nan("")}}, "'eps'");
  expectRefused("rms_norm", {{"k", 8}, {"eps", 1e-6}, {"m", 0}}, "'m'");
  expectRefused("add", {{"k", 8}, {"gate", "tanh"}}, "'gate'");
}

} // namespace
