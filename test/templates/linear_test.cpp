// Sweep of the `linear` and `embed` families: every format, ISA and token count against the scalar reference.
#include "templates/reference/reference.h"
#include "test/templates/support/encode.h"
#include "test/templates/support/host.h"
#include "test/templates/support/matrix_case.h"

#include <gtest/gtest.h>

namespace ktc::test {

namespace {

constexpr int64_t mostTokens = 33;

struct Form {
  int64_t m;
  bool dynamic;
};

std::vector<Form> allForms() {
  std::vector<Form> forms;
  for (int64_t m : {1, 2, 4, 8, 16})
    forms.push_back({m, false});
  for (int64_t m : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33})
    forms.push_back({m, true});
  return forms;
}

uint32_t unitsOf(int64_t n) { return static_cast<uint32_t>((n + 3) / 4); }

KernelCase linearCase(const std::string &name, int64_t n, int64_t k, int64_t tokens, bool hostile = false) {
  const KtTypeInfo &format = formatInfo(name);
  KernelCase result;
  result.family = "linear";
  result.params = {{"format", name}, {"n", n}, {"k", k}, {"m", tokens}, {"dynamic", int64_t(1)}};
  result.operands = {activationRows(format, tokens, k, 1), weightRows(format, n, k, 2, hostile),
                     toBytes(std::vector<float>(tokens * n, -7.0f))};
  result.outputs = {2};
  result.units = unitsOf(n);
  result.step.nTokens = static_cast<uint32_t>(tokens);
  return result;
}

// W x with dequantised weights and float32 activations.
std::vector<float> floatProducts(const KernelCase &kernelCase, int64_t n, int64_t k, int64_t tokens) {
  const KtTypeInfo &format = formatInfo(stringParam(kernelCase.params, "format", ""));
  std::vector<float> weights(n * k), x = activationValues(tokens, k, 1), y;
  reference::dequantize(format.id, kernelCase.operands[1].data(), weights.data(), weights.size());
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t row = 0; row < n; ++row) {
      double sum = 0;
      for (int64_t i = 0; i < k; ++i)
        sum += double(weights[row * k + i]) * x[t * k + i];
      y.push_back(static_cast<float>(sum));
    }
  return y;
}

class LinearFormats : public testing::TestWithParam<std::string> {};

// The full sweep: accuracy at the largest m, and every other form bit-equal to it.
TEST_P(LinearFormats, linearSweep) {
  for (Isa isa : runnableIsas())
    for (int64_t k : testLengths(formatInfo(GetParam())))
      for (int64_t n : {1, 6, 8}) {
        SCOPED_TRACE(std::string(isaName(isa)) + " n " + std::to_string(n) + " k " + std::to_string(k));
        KernelCase whole = linearCase(GetParam(), n, k, mostTokens);
        std::vector<float> want = fromBytes<float>(runReference(whole)[2]);
        std::vector<float> got = fromBytes<float>(runGenerated(whole, isa)[2]);
        EXPECT_LE(nmse(got, want), 1e-6);
        EXPECT_LE(nmse(got, floatProducts(whole, n, k, mostTokens)), 5e-4);
        for (Form form : allForms()) {
          KernelCase part = withTokens(whole, form.m, form.dynamic, static_cast<uint32_t>(form.m));
          part.operands[0].resize(whole.operands[0].size() / mostTokens * form.m);
          part.operands[2].resize(form.m * n * 4);
          std::vector<float> y = fromBytes<float>(runGenerated(part, isa)[2]);
          EXPECT_TRUE(std::equal(y.begin(), y.end(), got.begin()))
              << "m " << form.m << " dynamic " << form.dynamic << " differs from m " << mostTokens;
        }
      }
}

TEST_P(LinearFormats, linearTakesAnyBytes) {
  const int64_t k = formatInfo(GetParam()).blockElements == 1 ? 160 : 768;
  for (Isa isa : runnableIsas()) {
    SCOPED_TRACE(isaName(isa));
    KernelCase hostile = linearCase(GetParam(), 6, k, 5, true);
    EXPECT_LE(nmse(fromBytes<float>(runGenerated(hostile, isa)[2]), fromBytes<float>(runReference(hostile)[2])),
              1e-6);
  }
}

// Batches with strides of their own, bias and accumulation, over units split in any way.
TEST_P(LinearFormats, linearBatchesBiasAccumulate) {
  const KtTypeInfo &format = formatInfo(GetParam());
  const int64_t n = 6, k = format.blockElements == 1 ? 40 : 256, batch = 3, tokens = 5, weightRowsPerBatch = 7;
  const bool takesF32 = ktTypeTakesF32Activations(format.id);
  KernelCase test;
  test.family = "linear";
  test.params = {{"format", GetParam()},
                 {"n", n},
                 {"k", k},
                 {"m", tokens},
                 {"dynamic", int64_t(1)},
                 {"batch", batch},
                 {"w_batch_rows", weightRowsPerBatch},
                 {"y_stride", int64_t(40)},
                 {"y_batch_stride", int64_t(11)},
                 {"bias", int64_t(1)},
                 {"accumulate", int64_t(1)}};
  Bytes x = activationRows(format, tokens * batch, k, 3);
  if (takesF32) {
    test.params["x_stride"] = int64_t(200);
    test.params["x_batch_stride"] = int64_t(50);
    x = toBytes(randomFloats(3, (tokens - 1) * 200 + 2 * 50 + k));
  }
  test.operands = {x, weightRows(format, 2 * weightRowsPerBatch + n, k, 4),
                   toBytes(randomFloats(5, (tokens - 1) * 40 + 2 * 11 + n)),
                   toBytes(randomFloats(6, batch * n))};
  test.outputs = {2};
  test.units = static_cast<uint32_t>(batch) * unitsOf(n);
  test.step.nTokens = static_cast<uint32_t>(tokens);
  Bytes want = runReference(test)[2];
  for (Isa isa : runnableIsas()) {
    SCOPED_TRACE(isaName(isa));
    expectClose(2, runGenerated(test, isa)[2], want);
  }
}

TEST_P(LinearFormats, embed) {
  const KtTypeInfo &format = formatInfo(GetParam());
  for (bool hostile : {false, true})
    for (int64_t k : testLengths(format)) {
      SCOPED_TRACE(k);
      KernelCase test;
      test.family = "embed";
      test.params = {{"format", GetParam()},  {"k", k},           {"vocab", int64_t(9)}, {"m", int64_t(4)},
                     {"dynamic", int64_t(1)}, {"y_stride", k + 3}};
      test.operands = {toBytes(std::vector<int32_t>{8, 0, 5, 8}), weightRows(format, 9, k, 7, hostile),
                       toBytes(std::vector<float>(3 * (k + 3) + k, 5.0f))};
      test.outputs = {2};
      test.units = 4;
      test.step.nTokens = 4;
      Bytes want = runReference(test)[2];
      for (Isa isa : runnableIsas()) {
        SCOPED_TRACE(isaName(isa));
        EXPECT_LE(nmse(fromBytes<float>(runGenerated(test, isa)[2]), fromBytes<float>(want)), 1e-12);
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Matrix, LinearFormats, testing::ValuesIn(formatNames()),
                         [](const auto &info) { return info.param; });

} // namespace

} // namespace ktc::test
