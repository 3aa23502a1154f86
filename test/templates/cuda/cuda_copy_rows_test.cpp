// copy_rows on the GPU: exactly the rows of the replay's tokens, bit by bit.
#include "test/templates/cuda/cuda_case.h"

namespace ktc::test {
namespace {

class CudaCopyRows : public CudaTest {};

void expectSame(size_t, const Bytes &got, const Bytes &want) { EXPECT_EQ(got, want); }

TEST_F(CudaCopyRows, LikeTheReference) {
  for (int64_t bytes : {16, 48, 2304, 8192})
    for (auto [capacity, tokens] : {std::pair<int64_t, uint32_t>{1, 1}, {5, 5}, {64, 7}, {2048, 2047}}) {
      KernelCase test;
      test.family = "copy_rows";
      test.params = {{"bytes", bytes}, {"m", capacity}, {"dynamic", int64_t(tokens != capacity)}};
      test.operands = {toBytes(randomFloats(1, size_t(capacity * bytes / 4))),
                       toBytes(randomFloats(2, size_t(capacity * bytes / 4)))};
      test.outputs = {1};
      test.units = tokens;
      test.step = {tokens, 0, 0, 1};
      checkCuda(test, expectSame);
    }
}

TEST(CudaCopyRowsParams, Refused) {
  expectCudaRefused("copy_rows", {{"bytes", int64_t(24)}, {"m", int64_t(1)}}, "multiple of 16");
}

} // namespace
} // namespace ktc::test
