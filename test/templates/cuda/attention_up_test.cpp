// attention_up on the GPU: splits put together and multiplied with the weights of their head.
#include "test/templates/cuda/cuda_sweep.h"
#include "test/templates/cuda/matrix_case.h"

#include <cmath>
#include <limits>

namespace ktc::test {
namespace {

struct Form {
  int64_t heads, vDim, n, splits, splitPositions;
  std::string format = "q4_k";
  std::vector<int32_t> positions = {0};
  bool bfloatY = false;
  int64_t gap = 0; // behind the results of a token
};

int64_t splitsOf(const Form &form, int32_t position) {
  int64_t count = 1;
  while (count < form.splits && count * form.splitPositions <= position)
    count *= 2;
  return count;
}

// Splits that a token does not have hold NaN.
std::vector<float> partialsOf(const Form &form) {
  const int64_t row = form.vDim + 16;
  std::vector<float> partials = randomFloats(1, form.positions.size() * size_t(form.heads * form.splits * row));
  for (size_t i = 0; i < partials.size() / size_t(row); ++i) {
    const int64_t token = int64_t(i) / (form.heads * form.splits), split = int64_t(i) % form.splits;
    float *of = partials.data() + int64_t(i) * row;
    of[form.vDim + 1] = 1.0f + std::fabs(of[form.vDim + 1]);
    if (split >= splitsOf(form, form.positions[size_t(token)]))
      std::fill_n(of, row, std::numeric_limits<float>::quiet_NaN());
    else if (split % 5 == 4) // no position in it
      std::fill_n(of, row, 0.0f), of[form.vDim] = -3.402823466e+38f;
  }
  return partials;
}

KernelCase upCase(const Form &form) {
  const int64_t tokens = int64_t(form.positions.size()), yStride = form.heads * form.n + form.gap;
  KernelCase result;
  result.family = "attention_up";
  result.params = {{"heads", form.heads},
                   {"v_dim", form.vDim},
                   {"splits", form.splits},
                   {"split_positions", form.splitPositions},
                   {"format", form.format},
                   {"n", form.n},
                   {"y_stride", yStride},
                   {"y_type", typeName(form.bfloatY)},
                   {"m", tokens}};
  result.operands = {toBytes(partialsOf(form)),
                     weightRows(formatInfo(form.format), form.heads * form.n, form.vDim, 2),
                     activationBytes(randomFloats(3, size_t(tokens * yStride)), form.bfloatY), Bytes(),
                     toBytes(form.positions)};
  result.outputs = {2};
  result.units = 1; // the reference does all in the first
  result.step.nTokens = uint32_t(tokens);
  return result;
}

void sweep(const std::function<void(const Form &)> &visit) {
  const std::vector<int32_t> positions = {0, 63, 64, 200, 700, 1300, 3000, 4095};
  for (const char *format : {"q4_k", "q6_k", "q8_0", "q5_0", "f16", "bf16", "mxfp4"})
    for (int32_t position : {0, 100, 4095})
      visit({16, 512, 128, 64, 64, format, {position}, true}); // DeepSeek-V2-Lite
  for (int32_t position : positions)
    visit({16, 512, 128, 64, 64, "q4_k", {position}});
  visit({128, 512, 128, 32, 128, "q4_k", {900}, true}); // DeepSeek-V3
  visit({16, 512, 128, 64, 64, "q4_k", {3, 800}, true});
  visit({8, 256, 64, 16, 64, "q8_0", positions, false, 5}); // tiny-books
  visit({3, 32, 23, 2, 16, "q8_0", {4, 20, 40}});
  visit({5, 160, 40, 4, 32, "q5_0", {100, 2}, true});
  visit({2, 768, 48, 8, 32, "q4_k", {180, 2, 31}});
  visit({2, 2560, 16, 4, 32, "f16", {90}});
}

class CudaAttentionUp : public CudaTest {};

TEST_F(CudaAttentionUp, LikeTheReference) {
  sweep([](const Form &form) { checkMatrix(upCase(form), form.bfloatY); });
}

TEST(CudaAttentionUpInstances, Exist) {
  sweep([](const Form &form) { expectInstances(upCase(form)); });
}

TEST(CudaAttentionUpInstances, RefuseBadParameters) {
  const Params good = upCase({16, 512, 128, 64, 64}).params;
  const auto refuse = [&](const char *name, const ParamValue &value, const std::string &part) {
    Params params = good;
    params[name] = value;
    expectCudaRefused("attention_up", params, part);
  };
  refuse("format", "f32", "'format' must not be f32");
  refuse("splits", int64_t(1), "'splits'");
  refuse("m", int64_t(17), "'m'");
  refuse("window", int64_t(128), "'window' and 'sinks'");
  refuse("v_dim", int64_t(136), "136");
}

// The reference is attention_merge, whose results it rounds to bfloat16, and a product.
TEST(AttentionUpReference, IsMergeAndLinear) {
  const Form form = {4, 64, 24, 4, 16, "q8_0", {40, 3}};
  const KernelCase up = upCase(form);
  const int64_t tokens = int64_t(form.positions.size());
  const KernelCase merge = {
      "attention_merge",
      {{"heads", form.heads},
       {"v_dim", form.vDim},
       {"splits", form.splits},
       {"split_positions", form.splitPositions},
       {"y_type", "bf16"},
       {"m", tokens}},
      {up.operands[0], Bytes(size_t(tokens * form.heads * form.vDim) * 2), up.operands[4], Bytes()},
      {1},
      uint32_t(tokens * form.heads),
      up.step};
  const KernelCase linear = {"linear",
                             {{"format", form.format},
                              {"n", form.n},
                              {"k", form.vDim},
                              {"batch", form.heads},
                              {"x_type", "bf16"},
                              {"m", tokens}},
                             {runReference(merge)[1], up.operands[1], up.operands[2], Bytes()},
                             {2},
                             uint32_t(form.heads * 6),
                             up.step};
  expectEqual(2, runReference(up)[2], runReference(linear)[2]);
}

} // namespace
} // namespace ktc::test
