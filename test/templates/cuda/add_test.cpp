// add on the GPU.
#include "test/templates/cuda/cuda_case.h"

namespace ktc::test {
namespace {

class CudaAdd : public CudaTest {};

KernelCase addCase(int64_t k, int64_t capacity, uint32_t tokens, bool gated) {
  KernelCase result;
  result.family = "add";
  result.params = {{"k", k},
                   {"m", capacity},
                   {"dynamic", int64_t(tokens != capacity)},
                   {"x_stride", k + 3},
                   {"y_stride", k + 8},
                   {"gate", gated ? "sigmoid" : "none"}};
  result.operands = {toBytes(randomFloats(1, size_t(capacity * (k + 3)))),
                     toBytes(randomFloats(2, size_t(capacity * (k + 8))))};
  if (gated)
    result.operands.push_back(toBytes(randomFloats(3, size_t(capacity))));
  result.outputs = {1};
  result.units = tokens;
  result.step = {tokens, 0, 0, 1};
  return result;
}

TEST_F(CudaAdd, LikeTheReference) {
  for (int64_t k : {1, 33, 256, 7168})
    for (bool gated : {false, true}) {
      checkCuda(addCase(k, 1, 1, gated), expectClose);
      checkCuda(addCase(k, 5, 5, gated), expectClose);
      checkCuda(addCase(k, 64, 7, gated), expectClose);
    }
}

TEST(CudaAddParams, Refused) { expectCudaRefused("add", {{"k", int64_t(0)}, {"m", int64_t(1)}}, "k"); }

} // namespace
} // namespace ktc::test
