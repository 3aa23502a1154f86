// Sweep of `linear_group` on the GPU: parts of different formats, sizes and results against the products one
// after the other.
#include "test/templates/cuda/cuda_sweep.h"
#include "test/templates/cuda/matrix_case.h"

namespace ktc::test {
namespace {

struct Part {
  std::string format;
  int64_t n;
  bool yBfloat = false, bias = false, accumulate = false;
  int64_t gap = 0; // between rows of y
};

struct Group {
  std::vector<Part> parts;
  int64_t k, m;
  bool xBfloat = false;
  int64_t gap = 0; // between rows of x
};

KernelCase groupCase(const Group &group) {
  const int64_t xStride = group.k + group.gap, m = group.m;
  KernelCase result;
  result.family = "linear_group";
  result.params = {{"k", group.k}, {"m", m}, {"x_stride", xStride}, {"x_type", typeName(group.xBfloat)}};
  result.operands = {activationBytes(randomFloats(1, size_t(m * xStride)), group.xBfloat)};
  result.units = 0;
  uint32_t seed = 2;
  for (size_t i = 0; i < group.parts.size(); ++i) {
    const Part &part = group.parts[i];
    const int64_t yStride = part.n + part.gap;
    const std::string digit = std::to_string(i);
    result.params.insert({{"format" + digit, part.format},
                          {"n" + digit, part.n},
                          {"y_stride" + digit, yStride},
                          {"y_type" + digit, typeName(part.yBfloat)},
                          {"bias" + digit, int64_t(part.bias)},
                          {"accumulate" + digit, int64_t(part.accumulate)}});
    result.operands.push_back(weightRows(formatInfo(part.format), part.n, group.k, seed++, false));
    result.outputs.push_back(result.operands.size());
    result.operands.push_back(activationBytes(randomFloats(seed++, size_t(m * yStride), 0.5f), part.yBfloat));
    result.operands.push_back(part.bias ? toBytes(randomFloats(seed++, size_t(part.n))) : Bytes());
    result.units += uint32_t((part.n + 3) / 4);
  }
  result.step.nTokens = uint32_t(m);
  return result;
}

void checkGroup(const Group &group) {
  checkCuda(groupCase(group), [&](size_t operand, const Bytes &got, const Bytes &want) {
    closeAs(group.parts[(operand - 2) / 3].yBfloat)(operand, got, want);
  });
}

class CudaLinearGroup : public CudaTest {};

// Queries, keys and values of Qwen3, for all numbers of tokens; parts whose blocks differ in size.
TEST_F(CudaLinearGroup, projections) {
  for (int64_t m : {1, 2, 7, 8, 9, 16}) {
    checkGroup({{{"q4_k", 4096}, {"q4_k", 512}, {"q6_k", 512}}, 2048, m, true});
    checkGroup({{{"q8_0", 96, false, true}, {"bf16", 23, m % 2 == 0}, {"q4_0", 40, false, false, true, 3}},
                512,
                m,
                m % 2 == 1,
                8});
  }
}

// Two tiles of rows beside one, four parts, and k of a single block.
TEST_F(CudaLinearGroup, shapes) {
  checkGroup({{{"q4_k", 17}, {"q4_k", 16401}}, 256, 1});
  checkGroup({{{"q5_k", 16}, {"q3_k", 1}, {"iq4_nl", 33}, {"f16", 64, true, true}}, 1024, 3});
  checkGroup({{{"q8_0", 5}, {"q5_0", 100}}, 32, 1});
}

TEST(CudaLinearGroupInstances, exist) {
  expectInstances(groupCase({{{"q4_k", 4096}, {"q4_k", 512}, {"q6_k", 512}}, 2048, 1, true}));
  expectInstances(groupCase({{{"q4_k", 17}, {"bf16", 16401}}, 256, 16}));
}

TEST(CudaLinearGroupInstances, refused) {
  KernelCase group = groupCase({{{"q4_k", 16}, {"q6_k", 16}}, 256, 1});
  Params params = group.params;
  params.erase("format1");
  expectCudaRefused("linear_group", params, "2 to 4 parts, found 1");
  params = group.params;
  params["format1"] = "f32";
  expectCudaRefused("linear_group", params, "part 1 must be");
  params = group.params;
  params["dynamic"] = int64_t(1);
  expectCudaRefused("linear_group", params, "part 0 must be");
  params = group.params;
  params["accumulate0"] = int64_t(1), params["y_type0"] = "bf16";
  expectCudaRefused("linear_group", params, "'accumulate' needs y_type f32");
}

} // namespace
} // namespace ktc::test
