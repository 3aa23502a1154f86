// Sweep of `gate_up`, `down`, `down_slots` and `slot_sum` on the GPU: every format, routed and dense.
#include "test/templates/cuda/matrix_case.h"

#include <random>

namespace ktc::test {
namespace {

constexpr int64_t experts = 40, topK = 3;

enum class Pattern { Random, Same, Different };

// Experts of all tokens: random distinct ones, the same for all tokens, or as different as possible.
std::vector<int32_t> chosenExperts(int64_t tokens, Pattern pattern) {
  std::mt19937 random(11);
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < tokens; ++t) {
    const int32_t first = pattern == Pattern::Random      ? static_cast<int32_t>(random() % experts)
                          : pattern == Pattern::Different ? static_cast<int32_t>(t * topK)
                                                          : 17;
    const int32_t step = pattern == Pattern::Different ? 1 : 13;
    for (int32_t choice = 0; choice < topK; ++choice)
      ids.push_back(static_cast<int32_t>((first + choice * step) % experts));
  }
  return ids;
}

struct Shape {
  int64_t n, k, m;
  bool dynamic = false, dense = false, bias = false, xBfloat = false, yBfloat = false;
  Pattern pattern = Pattern::Random;
  int64_t slots() const { return dense ? m : m * topK; }
  int64_t matrices() const { return dense ? 1 : experts; }
};

void addCommon(KernelCase &test, const Shape &shape) {
  test.params["n"] = shape.n;
  test.params["k"] = shape.k;
  test.params["m"] = shape.m;
  test.params["dynamic"] = int64_t(shape.dynamic);
  test.params["bias"] = int64_t(shape.bias);
  test.params["x_type"] = typeName(shape.xBfloat);
  if (shape.dense) {
    test.params["dense"] = int64_t(1);
  } else {
    test.params["experts"] = experts;
    test.params["top_k"] = topK;
  }
  test.units = static_cast<uint32_t>((shape.n + 3) / 4);
  test.step.nTokens = static_cast<uint32_t>(shape.m);
}

// Lists for the first `tokens` tokens.
Bytes listsFor(const Shape &shape, int64_t tokens) {
  return shape.dense ? Bytes() : expertLists(chosenExperts(tokens, shape.pattern), experts);
}

// The case with fewer tokens than its capacity; `lists` is the operand of the expert lists.
KernelCase withTokens(KernelCase test, const Shape &shape, size_t lists, int64_t tokens) {
  test.step.nTokens = static_cast<uint32_t>(tokens);
  Bytes fewer = listsFor(shape, tokens);
  std::copy(fewer.begin(), fewer.end(), test.operands[lists].begin());
  return test;
}

// Weights of all experts: the values of one repeated in another order, which is quick to make.
Bytes expertWeights(const std::string &name, const Shape &shape, uint32_t seed) {
  const KtTypeInfo &format = formatInfo(name);
  const size_t row = shape.k / format.blockElements * format.blockBytes;
  const Bytes some = weightRows(format, 61, shape.k, seed);
  Bytes all;
  for (int64_t i = 0; i < shape.matrices() * shape.n; ++i) {
    const auto from = some.begin() + static_cast<ptrdiff_t>(i * 7 % 61 * row);
    all.insert(all.end(), from, from + static_cast<ptrdiff_t>(row));
  }
  return all;
}

Bytes biasesFor(const Shape &shape, uint32_t seed) {
  return shape.bias ? toBytes(randomFloats(seed, shape.matrices() * shape.n, 6.0f)) : Bytes();
}

KernelCase gateUpCase(const std::string &gate, const std::string &up, const Shape &shape, const char *act) {
  KernelCase test;
  test.family = "gate_up";
  const int64_t stride = shape.k + (shape.m % 2 == 0 ? 8 : 3);
  test.params = {{"format_gate", gate}, {"format_up", up}, {"act", act}, {"x_stride", stride}};
  addCommon(test, shape);
  test.params["y_type"] = typeName(shape.yBfloat);
  test.operands = {activationBytes(randomFloats(1, shape.m * stride), shape.xBfloat),
                   {},
                   expertWeights(gate, shape, 2),
                   expertWeights(up, shape, 3),
                   activationBytes(std::vector<float>(shape.slots() * shape.n, 0.25f), shape.yBfloat),
                   listsFor(shape, shape.m),
                   {},
                   biasesFor(shape, 7),
                   biasesFor(shape, 8)};
  test.outputs = {4};
  return test;
}

KernelCase downCase(const std::string &name, const Shape &shape, bool weighted, bool accumulate) {
  KernelCase test;
  test.family = "down";
  test.params = {{"format", name}, {"accumulate", int64_t(accumulate)}, {"y_stride", shape.n + 1}};
  addCommon(test, shape);
  test.operands = {activationBytes(randomFloats(4, shape.slots() * shape.k), shape.xBfloat),
                   {},
                   expertWeights(name, shape, 5),
                   toBytes(randomFloats(10, shape.m * (shape.n + 1))),
                   listsFor(shape, shape.m),
                   weighted ? toBytes(randomFloats(6, shape.slots())) : Bytes(),
                   biasesFor(shape, 9)};
  test.outputs = {3};
  return test;
}

class CudaExperts : public testing::WithParamInterface<std::string>, public CudaTest {
protected:
  int64_t length(size_t i) const {
    const std::vector<int64_t> lengths = cudaLengths(formatInfo(GetParam()));
    return lengths[i % lengths.size()];
  }
};

TEST_P(CudaExperts, gateUpFewTokens) {
  const char *acts[] = {"silu", "gelu_tanh", "swiglu_oai"};
  for (int64_t m : {1, 2, 5, 8, 9, 16})
    for (Pattern pattern : {Pattern::Random, Pattern::Same, Pattern::Different}) {
      Shape shape = {m % 2 == 0 ? 40 : 19, length(m), m};
      shape.bias = m % 3 == 2, shape.xBfloat = m % 2 == 0, shape.yBfloat = m % 4 == 1;
      shape.pattern = pattern;
      checkMatrix(gateUpCase(GetParam(), GetParam(), shape, acts[m % 3]), shape.yBfloat);
    }
  for (int64_t m : {1, 11}) {
    Shape shape = {50, length(1), m, false, true};
    shape.xBfloat = shape.yBfloat = m == 1;
    checkMatrix(gateUpCase(GetParam(), GetParam(), shape, "silu"), shape.yBfloat);
  }
}

TEST_P(CudaExperts, gateUpManyTokens) {
  for (int64_t capacity : {64, 300}) {
    Shape shape = {capacity == 64 ? 131 : 40, length(1), capacity, true};
    shape.bias = capacity == 64, shape.xBfloat = shape.yBfloat = capacity == 300;
    for (Pattern pattern : {Pattern::Random, Pattern::Same}) {
      shape.pattern = pattern;
      const KernelCase test = gateUpCase(GetParam(), GetParam(), shape, capacity == 64 ? "swiglu_oai" : "silu");
      for (int64_t tokens : {int64_t(1), int64_t(64), int64_t(65), int64_t(129), capacity})
        if (tokens <= capacity)
          checkMatrix(withTokens(test, shape, 5, tokens), shape.yBfloat);
    }
  }
  checkMatrix(gateUpCase(GetParam(), GetParam(), {70, length(1), 130, true, true}, "gelu_tanh"), false);
}

TEST_P(CudaExperts, downFewTokens) {
  for (int64_t m : {1, 2, 5, 8, 9, 16})
    for (Pattern pattern : {Pattern::Random, Pattern::Same, Pattern::Different}) {
      Shape shape = {m % 2 == 0 ? 40 : 19, length(m), m};
      shape.bias = m % 3 == 2, shape.xBfloat = m % 2 == 0;
      shape.pattern = pattern;
      checkMatrix(downCase(GetParam(), shape, m != 5, m % 4 < 2), false);
    }
}

TEST_P(CudaExperts, denseDown) {
  for (int64_t m : {1, 11, 90}) {
    Shape shape = {50, length(1), m, m == 90, true};
    shape.xBfloat = m == 11, shape.bias = m == 1;
    checkMatrix(downCase(GetParam(), shape, m != 1, m != 11), false);
  }
}

TEST_P(CudaExperts, downSlots) {
  for (int64_t capacity : {64, 300, 3000}) {
    Shape shape = {capacity == 64 ? 131 : 40, length(capacity == 64 ? 2 : 0), capacity, true};
    shape.bias = capacity == 64, shape.xBfloat = capacity == 300;
    for (Pattern pattern : {Pattern::Random, Pattern::Same}) {
      shape.pattern = pattern;
      KernelCase test = downCase(GetParam(), shape, false, false);
      test.family = "down_slots";
      test.params.erase("accumulate");
      test.params.erase("y_stride");
      test.operands[3] = toBytes(std::vector<float>(shape.slots() * shape.n, 0.25f));
      for (int64_t tokens : {int64_t(1), int64_t(64), int64_t(65), int64_t(129), capacity})
        if (tokens == capacity || (tokens < capacity && capacity < 3000))
          checkMatrix(withTokens(test, shape, 4, tokens), false);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Matrix, CudaExperts, testing::ValuesIn(formatNames()),
                         [](const auto &info) { return info.param; });

class CudaSlotSum : public CudaTest {};

TEST_F(CudaSlotSum, sums) {
  for (bool accumulate : {false, true})
    for (int64_t m : {1, 37}) {
      const int64_t n = 300;
      KernelCase test;
      test.family = "slot_sum";
      test.params = {{"n", n},
                     {"m", m},
                     {"top_k", topK},
                     {"dynamic", int64_t(m != 1)},
                     {"y_stride", n + 1},
                     {"accumulate", int64_t(accumulate)}};
      test.operands = {toBytes(randomFloats(1, m * topK * n)), toBytes(randomFloats(2, m * topK)),
                       toBytes(randomFloats(3, m * (n + 1)))};
      test.outputs = {2};
      test.units = static_cast<uint32_t>(n / 4);
      test.step.nTokens = static_cast<uint32_t>(m == 1 ? 1 : m - 2);
      checkCuda(test, expectClose);
    }
}

// Gate and up of different formats.
class CudaMixedFormats : public CudaTest {};

TEST_F(CudaMixedFormats, gateUp) {
  for (auto [gate, up, k] : {std::tuple<const char *, const char *, int64_t>{"q4_k", "f16", 256},
                             {"f32", "q8_0", 96},
                             {"q6_k", "q5_0", 1536}})
    for (int64_t m : {1, 10, 70}) {
      Shape shape = {37, k, m, m == 70};
      checkMatrix(gateUpCase(gate, up, shape, "silu"), false);
    }
}

TEST(CudaExpertsParams, refused) {
  Params params = {{"format", "q4_k"}, {"n", int64_t(8)},       {"k", int64_t(256)},
                   {"m", int64_t(20)}, {"experts", int64_t(8)}, {"top_k", int64_t(2)}};
  expectCudaRefused("down", params, "use down_slots and slot_sum");
  params["m"] = int64_t(4), params["dynamic"] = int64_t(1);
  expectCudaRefused("down", params, "use down_slots and slot_sum");
  params["dense"] = int64_t(1);
  expectCudaRefused("down_slots", params, "'dense' must be 0");
}

} // namespace
} // namespace ktc::test
