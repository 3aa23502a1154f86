// `embed` on the GPU: every format, bit for bit where values need no rounding.
#include "test/templates/cuda/matrix_case.h"

namespace ktc::test {
namespace {

class CudaEmbed : public testing::WithParamInterface<std::string>, public CudaTest {};

TEST_P(CudaEmbed, rows) {
  const KtTypeInfo &format = formatInfo(GetParam());
  const int64_t vocab = 13;
  for (int64_t k : cudaLengths(format))
    for (int64_t m : {1, 9}) {
      KernelCase test;
      test.family = "embed";
      test.params = {{"format", GetParam()},       {"k", k},           {"vocab", vocab}, {"m", m},
                     {"dynamic", int64_t(m == 9)}, {"y_stride", k + 3}};
      std::vector<int32_t> tokens = {12, 0, 5, 5, 1, 11, 3, 7, 2};
      tokens.resize(m);
      test.operands = {toBytes(tokens), weightRows(format, vocab, k, 2, m == 9),
                       toBytes(std::vector<float>(m * (k + 3), -7.0f))};
      test.outputs = {2};
      test.step.nTokens = static_cast<uint32_t>(m == 9 ? 8 : 1);
      test.units = test.step.nTokens;
      checkCuda(test, expectClose);
    }
}

INSTANTIATE_TEST_SUITE_P(Matrix, CudaEmbed, testing::ValuesIn(formatNames()),
                         [](const auto &info) { return info.param; });

} // namespace
} // namespace ktc::test
