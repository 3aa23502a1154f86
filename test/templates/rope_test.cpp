// rope and kv_store: generated code against the references, and the references against plain formulas.
#include "test/templates/kernel_case.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

using namespace ktc;
using namespace ktc::test;

namespace {

constexpr int Context = 40;

// cos and sin of position * base^(-2i/dims), interleaved.
std::vector<float> angleTable(int64_t dims) {
  std::vector<float> table;
  for (int position = 0; position < Context; ++position)
    for (int64_t i = 0; i < dims / 2; ++i) {
      double angle = position * std::pow(10000.0, -2.0 * double(i) / double(dims));
      table.push_back(static_cast<float>(std::cos(angle)));
      table.push_back(static_cast<float>(std::sin(angle)));
    }
  return table;
}

KernelCase ropeCase(int64_t dims, int64_t rows, std::vector<int32_t> positions, const std::string &style,
                    int64_t gap) {
  KernelCase result;
  result.family = "rope";
  int64_t tokens = static_cast<int64_t>(positions.size()), rowStride = dims + gap,
          stride = rows * rowStride + gap;
  result.params = {{"dims", dims},       {"rows", rows},   {"x_row_stride", rowStride},
                   {"x_stride", stride}, {"style", style}, {"m", tokens}};
  result.operands = {toBytes(randomFloats(dims, (tokens - 1) * stride + (rows - 1) * rowStride + dims)),
                     toBytes(angleTable(dims)), toBytes(positions)};
  result.outputs = {0};
  result.units = static_cast<uint32_t>(rows * tokens);
  return result;
}

TEST(Rope, CloseToReference) {
  for (const char *style : {"norm", "neox"})
    for (int64_t dims : {2, 6, 8, 16, 20, 32, 64, 96, 128})
      for (int64_t rows : {1, 3}) {
        checkKernel(ropeCase(dims, rows, {7}, style, 0), expectClose);
        checkKernel(ropeCase(dims, rows, {Context - 1, 0, 3, 11}, style, 5), expectClose);
      }
}

TEST(Rope, LeavesTheGapsAlone) {
  for (const char *style : {"norm", "neox"})
    checkKernel(ropeCase(16, 2, {5, 6}, style, 4), [](size_t, const Bytes &got, const Bytes &want) {
      std::vector<float> left = fromBytes<float>(got), right = fromBytes<float>(want);
      for (size_t i = 16; i < 20; ++i)
        EXPECT_EQ(left[i], right[i]);
    });
}

TEST(Rope, ReferenceRotatesThePairs) {
  for (bool neox : {false, true}) {
    const int64_t dims = 16;
    KernelCase rope = ropeCase(dims, 1, {9}, neox ? "neox" : "norm", 0);
    std::vector<float> before = fromBytes<float>(rope.operands[0]);
    std::vector<float> after = fromBytes<float>(runReference(rope)[0]);
    for (int64_t i = 0; i < dims / 2; ++i) {
      int64_t first = neox ? i : 2 * i, second = neox ? i + dims / 2 : 2 * i + 1;
      double angle = 9 * std::pow(10000.0, -2.0 * double(i) / dims);
      EXPECT_NEAR(after[first], before[first] * std::cos(angle) - before[second] * std::sin(angle), 1e-5);
      EXPECT_NEAR(after[second], before[first] * std::sin(angle) + before[second] * std::cos(angle), 1e-5);
    }
  }
}

KernelCase storeCase(std::vector<float> x, int64_t width, std::vector<int32_t> positions,
                     const std::string &type, int64_t gap) {
  KernelCase result;
  result.family = "kv_store";
  int64_t tokens = static_cast<int64_t>(positions.size());
  result.params = {{"width", width},
                   {"x_stride", width + gap},
                   {"kv_type", type},
                   {"cache_stride", width + 2 * gap},
                   {"m", tokens}};
  const KtTypeInfo &info = *ktTypeInfo(type == "f32" ? 0 : type == "f16" ? 1 : type == "q8_0" ? 8 : 30);
  result.operands = {
      toBytes(x),
      Bytes(((Context - 1) * (width + 2 * gap) + width) / info.blockElements * info.blockBytes, 0x77),
      toBytes(positions)};
  result.outputs = {1};
  result.units = static_cast<uint32_t>(tokens);
  return result;
}

TEST(KvStore, SameBytesAsReference) {
  for (const char *type : {"f16", "bf16", "f32"})
    for (int64_t width : {1, 3, 8, 16, 20, 31, 64, 512, 576})
      for (int64_t gap : {0, 3}) {
        checkKernel(storeCase(randomFloats(width, width), width, {Context - 1}, type, gap), expectEqual);
        checkKernel(storeCase(randomFloats(width, 2 * (width + gap) + width), width, {4, 5, 0}, type, gap),
                    expectEqual);
      }
}

TEST(KvStore, Q8Blocks) {
  for (int64_t width : {32, 64, 512, 576})
    for (int64_t gap : {0, 16})
      for (float deviation : {1.0f, 1e-20f, 1e4f})
        checkKernel(
            storeCase(randomFloats(width, 2 * (width + gap) + width, deviation), width, {4, 5, 0}, "q8_0", gap),
            expectEqual);
  std::vector<float> x(64, 0.0f);
  x[3] = -5, x[40] = std::nanf(""), x[41] = 1;
  checkKernel(storeCase(x, 64, {1}, "q8_0", 0), expectEqual);
}

TEST(KvStore, RoundsToNearestEven) {
  std::vector<float> x = {0.0f,     -0.0f,    1.0f,        1.0009765625f, 1.00048828125f, 1.00146484375f,
                          65504.0f, 65520.0f, 1e10f,       -1e10f,        6e-8f,          3e-8f,
                          1e-41f,   -1e-41f,  1.00390625f, 1.01171875f,   3.39e38f,       1.17e-38f};
  x.push_back(std::numeric_limits<float>::infinity());
  x.push_back(-std::numeric_limits<float>::infinity());
  for (const char *type : {"f16", "bf16", "f32"}) {
    KernelCase store = storeCase(x, static_cast<int64_t>(x.size()), {2}, type, 0);
    checkKernel(store, expectEqual);
    std::vector<Bytes> result = runReference(store);
    Bytes want = cacheBytes(x, type);
    EXPECT_TRUE(std::equal(want.begin(), want.end(), result[1].begin() + 2 * want.size()));
  }
}

TEST(KvStore, KeepsNan) {
  std::vector<float> x(16, std::nanf(""));
  uint32_t bits = 0x7fffffff; // rounding would carry it into the sign
  std::memcpy(&x[3], &bits, 4);
  for (const char *type : {"f16", "bf16"})
    checkKernel(storeCase(x, 16, {0}, type, 0), [&](size_t, const Bytes &got, const Bytes &) {
      uint16_t infinity = std::string(type) == "f16" ? 0x7c00 : 0x7f80;
      std::vector<uint16_t> cache = fromBytes<uint16_t>(got);
      for (size_t i = 0; i < 16; ++i)
        EXPECT_GT(cache[i] & 0x7fff, infinity) << i;
    });
}

TEST(RopeFamilies, RefuseBadParameters) {
  expectRefused("rope", {{"dims", 7}}, "'dims'");
  expectRefused("rope", {{"dims", 8}, {"style", "spiral"}}, "'style'");
  expectRefused("rope", {{"dims", 8}, {"rows", -1}}, "'rows'");
  expectRefused("kv_store", {{"kv_type", "f16"}}, "'width'");
  expectRefused("kv_store", {{"width", 8}, {"kv_type", "q4_0"}}, "'kv_type'");
  expectRefused("kv_store", {{"width", 40}, {"kv_type", "q8_0"}}, "'width'");
  expectRefused("kv_store", {{"width", 32}, {"cache_stride", 40}, {"kv_type", "q8_0"}}, "'cache_stride'");
  expectRefused("kv_store", {{"width", 8}, {"cache_stride", 4}}, "'cache_stride'");
}

} // namespace
