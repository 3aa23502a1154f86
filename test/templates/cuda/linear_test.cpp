// Sweep of `linear` on the GPU: every format and token count against the scalar reference.
#include "test/templates/cuda/matrix_case.h"

namespace ktc::test {
namespace {

struct Form {
  int64_t n, k, m;
  bool dynamic = false, xBfloat = false, yBfloat = false, bias = false, accumulate = false;
  int64_t batch = 1;
  int64_t gap = 0; // elements between rows
};

uint32_t unitsOf(int64_t n) { return static_cast<uint32_t>((n + 3) / 4); }

KernelCase linearCase(const std::string &name, const Form &form, bool hostile = false) {
  const KtTypeInfo &format = formatInfo(name);
  const int64_t xBatch = form.k + form.gap, xStride = form.batch * xBatch + form.gap;
  const int64_t yBatch = form.n + form.gap, yStride = form.batch * yBatch, wRows = form.n + (form.batch > 1);
  KernelCase result;
  result.family = "linear";
  result.params = {{"format", name},
                   {"n", form.n},
                   {"k", form.k},
                   {"m", form.m},
                   {"dynamic", int64_t(form.dynamic)},
                   {"batch", form.batch},
                   {"w_batch_rows", wRows},
                   {"x_stride", xStride},
                   {"x_batch_stride", xBatch},
                   {"y_stride", yStride},
                   {"y_batch_stride", yBatch},
                   {"bias", int64_t(form.bias)},
                   {"accumulate", int64_t(form.accumulate)},
                   {"x_type", typeName(form.xBfloat)},
                   {"y_type", typeName(form.yBfloat)}};
  result.operands = {activationBytes(randomFloats(1, form.m * xStride), form.xBfloat),
                     weightRows(format, wRows * form.batch, form.k, 2, hostile),
                     activationBytes(randomFloats(3, form.m * yStride, 0.5f), form.yBfloat),
                     form.bias ? toBytes(randomFloats(4, form.batch * form.n)) : Bytes()};
  result.outputs = {2};
  result.units = static_cast<uint32_t>(form.batch) * unitsOf(form.n);
  result.step.nTokens = static_cast<uint32_t>(form.m);
  return result;
}

class CudaLinear : public testing::WithParamInterface<std::string>, public CudaTest {
protected:
  int64_t length(size_t i) const {
    const std::vector<int64_t> lengths = cudaLengths(formatInfo(GetParam()));
    return lengths[i % lengths.size()];
  }
};

TEST_P(CudaLinear, fewTokens) {
  for (int64_t m = 1; m <= 16; ++m) {
    Form form = {m % 3 == 0 ? 129 : m % 3 == 1 ? 23 : 64, length(m), m};
    form.xBfloat = m % 2 == 0, form.yBfloat = m % 4 == 1;
    form.bias = m % 5 < 2, form.accumulate = !form.yBfloat && m % 5 > 2;
    form.batch = m % 7 == 3 ? 3 : 1;
    // Rows aligned to 16 bytes, to 4 or 2.
    form.gap = m % 4 == 2 ? 8 : m % 4 == 3 ? 1 : 0;
    checkMatrix(linearCase(GetParam(), form), form.yBfloat);
  }
}

// One token in all lengths, both types of activations, with arbitrary bits as weights.
TEST_P(CudaLinear, oneTokenAnyBits) {
  for (size_t i = 0; i < cudaLengths(formatInfo(GetParam())).size(); ++i)
    for (bool xBfloat : {false, true})
      checkMatrix(linearCase(GetParam(), {40, length(i), 1, false, xBfloat}, true), false);
}

// Many rows: two tiles per warp.
TEST_P(CudaLinear, manyRows) {
  for (int64_t m : {1, 11})
    checkMatrix(linearCase(GetParam(), {16401, length(1), m, false, m == 11}), false);
}

TEST_P(CudaLinear, manyTokens) {
  for (int64_t capacity : {64, 300}) {
    Form form = {capacity == 64 ? 131 : 200, length(capacity == 64 ? 1 : 2), capacity, true, capacity == 300};
    form.bias = capacity == 64, form.accumulate = capacity == 300;
    form.gap = capacity == 64 ? 1 : 8;
    KernelCase test = linearCase(GetParam(), form);
    for (uint32_t tokens : {1u, 7u, 63u, 64u, 65u, 127u, 128u, 129u, 256u, 299u, 300u})
      if (tokens <= capacity) {
        test.step.nTokens = tokens;
        checkMatrix(test, false);
      }
  }
  Form form = {70, length(1), 17, false, false, true};
  form.batch = 3;
  checkMatrix(linearCase(GetParam(), form), true); // static, more than stream kernels take
  form.m = 100, form.dynamic = true, form.xBfloat = true;
  checkMatrix(linearCase(GetParam(), form), true);
}

// W x with dequantised weights and activations as they are.
TEST_P(CudaLinear, closeToFloat) {
  const int64_t n = 48, k = length(2);
  for (int64_t m : {4, 40}) {
    KernelCase test = linearCase(GetParam(), {n, k, m});
    const std::vector<float> y =
        floatProducts(formatInfo(GetParam()), test.operands[1], fromBytes<float>(test.operands[0]), n, k);
    kt::Result<std::vector<Bytes>> got = runCuda(test);
    ASSERT_TRUE(static_cast<bool>(got)) << got.error().message;
    if (!cudaCompileOnly()) {
      EXPECT_LE(nmse(fromBytes<float>((*got)[2]), y), 5e-4) << "m " << m;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Matrix, CudaLinear, testing::ValuesIn(formatNames()),
                         [](const auto &info) { return info.param; });

TEST(CudaLinearParams, refused) {
  Params params = {{"format", "q4_k"}, {"n", int64_t(8)}, {"k", int64_t(256)}, {"m", int64_t(1)}};
  Params other = params;
  other["k"] = int64_t(128);
  expectCudaRefused("linear", other, "'k' must be a multiple of 256");
  other = params;
  other["x_type"] = "q8";
  expectCudaRefused("linear", other, "'x_type' has the unknown value");
  other = params;
  other["y_type"] = "bf16", other["accumulate"] = int64_t(1);
  expectCudaRefused("linear", other, "'accumulate' needs y_type f32");
}

} // namespace
} // namespace ktc::test
