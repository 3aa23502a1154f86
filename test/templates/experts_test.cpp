// Sweep of `gate_up` and `down`: every format, ISA and token count, with expert lists and dense.
#include "test/templates/support/host.h"
#include "test/templates/support/matrix_case.h"

#include <gtest/gtest.h>
#include <random>

namespace ktc::test {

namespace {

constexpr int64_t experts = 5, topK = 3, mostTokens = 29;

// Distinct experts per token; reproducible, so that the first tokens are the same for every count.
std::vector<int32_t> chosenExperts(int64_t tokens) {
  std::mt19937 random(11);
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < tokens; ++t) {
    const int32_t first = static_cast<int32_t>(random() % experts);
    for (int32_t choice = 0; choice < topK; ++choice)
      ids.push_back(static_cast<int32_t>((first + choice * 2) % experts));
  }
  return ids;
}

struct Shape {
  int64_t n, k, tokens;
  bool dense;
  bool bias = false;
  int64_t slots() const { return dense ? tokens : tokens * topK; }
  int64_t matrices() const { return dense ? 1 : experts; }
};

void addCommon(KernelCase &test, const Shape &shape) {
  test.params["n"] = shape.n;
  test.params["k"] = shape.k;
  test.params["m"] = shape.tokens;
  test.params["dynamic"] = int64_t(1);
  test.params["dense"] = int64_t(shape.dense);
  test.params["bias"] = int64_t(shape.bias);
  test.params["prefetch"] = shape.tokens % 2; // has no effect that a test could see, and must do no harm
  if (!shape.dense) {
    test.params["experts"] = experts;
    test.params["top_k"] = topK;
  }
  test.units = static_cast<uint32_t>((shape.n + 3) / 4);
  test.step.nTokens = static_cast<uint32_t>(shape.tokens);
}

Bytes listsFor(const Shape &shape) {
  return shape.dense ? Bytes() : expertLists(chosenExperts(shape.tokens), experts);
}

// Biases of every expert, large enough to reach the limits of swiglu_oai.
Bytes biasesFor(const Shape &shape, uint32_t seed) {
  return toBytes(randomFloats(seed, shape.matrices() * shape.n, 6.0f));
}

KernelCase gateUpCase(const std::string &gate, const std::string &up, const Shape &shape, const char *act) {
  const KtTypeInfo &gateFormat = formatInfo(gate), &upFormat = formatInfo(up);
  KernelCase test;
  test.family = "gate_up";
  test.params = {{"format_gate", gate}, {"format_up", up}, {"act", act}};
  addCommon(test, shape);
  std::vector<float> x = activationValues(shape.tokens, shape.k, 1);
  const bool anyF32 = ktTypeTakesF32Activations(gateFormat.id) || ktTypeTakesF32Activations(upFormat.id);
  const bool anyQ8k = ktTypeTakesQ8k(gateFormat.id) || ktTypeTakesQ8k(upFormat.id);
  auto takesQ8 = [](const KtTypeInfo &f) { return !ktTypeTakesF32Activations(f.id) && !ktTypeTakesQ8k(f.id); };
  const bool anyQ8 = takesQ8(gateFormat) || takesQ8(upFormat);
  test.operands = {anyF32 ? toBytes(x) : Bytes(),
                   anyQ8 ? activationRows(formatInfo("q8_0"), shape.tokens, shape.k, 1) : Bytes(),
                   weightRows(gateFormat, shape.matrices() * shape.n, shape.k, 2),
                   weightRows(upFormat, shape.matrices() * shape.n, shape.k, 3),
                   toBytes(std::vector<float>(shape.slots() * shape.n, 9.0f)),
                   listsFor(shape),
                   anyQ8k ? activationRows(formatInfo("q4_k"), shape.tokens, shape.k, 1) : Bytes()};
  if (shape.bias)
    test.operands.insert(test.operands.end(), {biasesFor(shape, 7), biasesFor(shape, 8)});
  test.outputs = {4};
  return test;
}

KernelCase downCase(const std::string &name, const Shape &shape, bool weighted, bool accumulate) {
  const KtTypeInfo &format = formatInfo(name);
  KernelCase test;
  test.family = "down";
  test.params = {{"format", name}, {"accumulate", int64_t(accumulate)}, {"y_stride", shape.n + 1}};
  addCommon(test, shape);
  Bytes h = activationRows(format, shape.slots(), shape.k, 4);
  const bool takesF32 = ktTypeTakesF32Activations(format.id);
  test.operands = {takesF32 ? h : Bytes(),
                   takesF32 ? Bytes() : h,
                   weightRows(format, shape.matrices() * shape.n, shape.k, 5),
                   toBytes(std::vector<float>(shape.tokens * (shape.n + 1), 0.5f)),
                   listsFor(shape),
                   weighted ? toBytes(randomFloats(6, shape.slots())) : Bytes()};
  if (shape.bias)
    test.operands.push_back(biasesFor(shape, 9));
  test.outputs = {3};
  return test;
}

int64_t lengthFor(const KtTypeInfo &format) {
  return format.blockElements == 1 ? 288 : format.blockElements == 32 ? 352 : 512;
}

class ExpertFormats : public testing::TestWithParam<std::string> {};

TEST_P(ExpertFormats, gateUp) {
  for (bool dense : {false, true})
    for (const char *act : {"silu", "gelu_tanh", "swiglu_oai"}) {
      // Every activation with and without biases.
      const bool bias = dense == (std::string(act) == "silu");
      const Shape shape = {10, lengthFor(formatInfo(GetParam())), mostTokens, dense, bias};
      KernelCase test = gateUpCase(GetParam(), GetParam(), shape, act);
      for (Isa isa : runnableIsas()) {
        SCOPED_TRACE(kernelName(test.family, test.params) + std::string(isaName(isa)));
        expectClose(4, runGenerated(test, isa)[4], runPanelReference(test, isa)[4]);
      }
    }
}

// Shares of the work instead of rows: the same results, whatever the split.
TEST_P(ExpertFormats, gateUpByCost) {
  const int64_t k = testLengths(formatInfo(GetParam())).back();
  for (Shape shape : {Shape{70, k, 1, false}, Shape{70, k, 9, false}, Shape{100, k, 40, false, true}}) {
    KernelCase rows = gateUpCase(GetParam(), GetParam(), shape, "silu"), shares = rows;
    shares.params["by_cost"] = int64_t(1);
    shares.units = KT_SHARES;
    EXPECT_EQ(runReference(rows), runReference(shares));
    for (Isa isa : runnableIsas()) {
      const std::vector<Bytes> want = runGenerated(rows, isa);
      for (uint32_t parts : {1, 2, 3, 16, 1000})
        EXPECT_EQ(want, runGenerated(shares, isa, parts)) << isaName(isa) << " in " << parts << " parts";
    }
  }
}

TEST_P(ExpertFormats, down) {
  for (bool dense : {false, true})
    for (bool accumulate : {false, true}) {
      const Shape shape = {10, lengthFor(formatInfo(GetParam())), mostTokens, dense, accumulate};
      KernelCase test = downCase(GetParam(), shape, accumulate != dense, accumulate);
      for (Isa isa : runnableIsas()) {
        SCOPED_TRACE(kernelName(test.family, test.params) + std::string(isaName(isa)));
        expectClose(3, runGenerated(test, isa)[3], runPanelReference(test, isa)[3]);
      }
    }
}

// Which experts of a case are multiplied by panels.
std::vector<bool> panelExperts(Isa isa, const KtTypeInfo &format, const Shape &shape, bool dynamic) {
  std::vector<int64_t> counts(shape.matrices());
  if (shape.dense)
    counts[0] = shape.tokens;
  else
    for (int32_t id : chosenExperts(shape.tokens))
      ++counts[id];
  std::vector<bool> panels;
  for (int64_t count : counts)
    panels.push_back(dynamic && usesPanels(isa, format, shape.k, count));
  return panels;
}

// Results of both families, and which experts were multiplied by panels.
struct BothResults {
  Shape shape;
  std::vector<bool> panels;
  Bytes h, y;
};

BothResults runBoth(const std::string &format, const Shape &shape, Isa isa, bool dynamic) {
  const uint32_t tokens = static_cast<uint32_t>(shape.tokens);
  KernelCase gateUp = withTokens(gateUpCase(format, format, shape, "silu"), shape.tokens, dynamic, tokens);
  KernelCase down = withTokens(downCase(format, shape, true, false), shape.tokens, dynamic, tokens);
  return {shape, panelExperts(isa, formatInfo(format), shape, dynamic), runGenerated(gateUp, isa)[4],
          runGenerated(down, isa)[3]};
}

// Slots (of gate_up) and tokens (of down) whose experts are multiplied the same way have the same bits.
void expectSameBits(const BothResults &part, const BothResults &whole) {
  const std::vector<int32_t> ids = chosenExperts(part.shape.tokens);
  const size_t hRow = part.shape.n * 4, yRow = (part.shape.n + 1) * 4;
  const size_t choices = part.shape.dense ? 1 : topK;
  for (size_t token = 0; token < size_t(part.shape.tokens); ++token) {
    bool sameToken = true;
    for (size_t slot = token * choices; slot < (token + 1) * choices; ++slot) {
      const size_t expert = part.shape.dense ? 0 : ids[slot];
      const bool same = part.panels[expert] == whole.panels[expert];
      sameToken = sameToken && same;
      EXPECT_TRUE(!same || std::memcmp(&part.h[slot * hRow], &whole.h[slot * hRow], hRow) == 0)
          << "gate_up slot " << slot;
    }
    EXPECT_TRUE(!sameToken || std::memcmp(&part.y[token * yRow], &whole.y[token * yRow], yRow) == 0)
        << "down token " << token;
  }
}

// The first tokens of any count, exact or dynamic, have the bits of the largest count, unless the count moved
// an expert to the other side of the crossover.
TEST_P(ExpertFormats, tokensDoNotInfluenceEachOther) {
  const int64_t n = 6, k = lengthFor(formatInfo(GetParam()));
  for (Isa isa : runnableIsas())
    for (bool dense : {false, true})
      for (bool dynamic : {false, true}) {
        // Biases take part in one half of the cases.
        const BothResults whole = runBoth(GetParam(), {n, k, mostTokens, dense, dynamic}, isa, dynamic);
        const BothResults tiles = runBoth(GetParam(), {n, k, mostTokens, dense, dynamic}, isa, false);
        for (int64_t m : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 29}) {
          SCOPED_TRACE(std::string(isaName(isa)) + " m " + std::to_string(m) + (dynamic ? " dynamic" : ""));
          const BothResults part = runBoth(GetParam(), {n, k, m, dense, dynamic}, isa, dynamic);
          expectSameBits(part, whole);
          expectSameBits(part, tiles);
        }
      }
}

// Any split of the units gives the same bits.
TEST_P(ExpertFormats, unitsDoNotInfluenceEachOther) {
  for (int64_t tokens : {int64_t(3), mostTokens}) {
    const Shape shape = {tokens == 3 ? 14 : 58, lengthFor(formatInfo(GetParam())), tokens, false, true};
    for (Isa isa : runnableIsas())
      for (KernelCase test :
           {gateUpCase(GetParam(), GetParam(), shape, "silu"), downCase(GetParam(), shape, true, true)}) {
        SCOPED_TRACE(test.family + " " + std::string(isaName(isa)));
        EXPECT_EQ(runGenerated(test, isa, 1), runGenerated(test, isa, 3));
      }
  }
}

// The same call with rows quantised by `quantize`, and with float32 rows that `down` quantises.
struct QuantizeForms {
  KernelCase apart, fused;
};

QuantizeForms quantizeForms(const std::string &name, const Shape &shape, bool accumulate) {
  const bool isQ8k = ktTypeTakesQ8k(formatInfo(name).id);
  const Bytes rows = toBytes(activationValues(shape.slots(), shape.k, 4));
  KernelCase quantize;
  quantize.family = "quantize";
  quantize.params = {{"k", shape.k}, {"m", shape.slots()}, {"group", int64_t(isQ8k ? 256 : 32)}};
  const size_t rowBytes = isQ8k ? ktQ8kRowBytes(shape.k) : ktQ8RowBytes(shape.k);
  quantize.operands = {rows, Bytes(shape.slots() * rowBytes)};
  quantize.outputs = {1};
  quantize.units = static_cast<uint32_t>(shape.slots());
  quantize.step.nTokens = static_cast<uint32_t>(shape.slots());
  QuantizeForms forms;
  forms.apart = downCase(name, shape, !accumulate, accumulate);
  forms.apart.params["dynamic"] = int64_t(0);
  forms.apart.operands[1] = runReference(quantize)[1];
  for (Isa isa : runnableIsas())
    EXPECT_EQ(runGenerated(quantize, isa)[1], forms.apart.operands[1]);
  forms.fused = forms.apart;
  forms.fused.params["quantize"] = int64_t(1);
  forms.fused.operands[0] = rows;
  forms.fused.operands[1].clear();
  return forms;
}

// `down` that quantises gives the bits of the two steps, for any split of its units: in the last one some calls
// have none.
TEST_P(ExpertFormats, downQuantisesLikeQuantize) {
  const KtTypeInfo &format = formatInfo(GetParam());
  if (ktTypeTakesF32Activations(format.id))
    return;
  for (int64_t tokens : {1, 2, 3, 4})
    for (bool dense : {false, true})
      for (bool accumulate : {false, true}) {
        const Shape shape = {14, lengthFor(format), tokens, dense, accumulate != dense};
        const QuantizeForms forms = quantizeForms(GetParam(), shape, accumulate);
        const Bytes reference = runReference(forms.fused)[3];
        EXPECT_EQ(reference, runReference(forms.apart)[3]);
        for (Isa isa : runnableIsas()) {
          SCOPED_TRACE(kernelName("down", forms.fused.params) + std::string(isaName(isa)));
          const Bytes apart = runGenerated(forms.apart, isa)[3];
          for (uint32_t parts : {1, 3, 7})
            EXPECT_EQ(runGenerated(forms.fused, isa, parts)[3], apart) << parts << " parts";
          expectClose(3, apart, reference);
        }
      }
}

TEST(ExpertQuantize, needsFewRowsOfAQuantisedKind) {
  Params params = downCase("q4_k", {8, 256, 1, false}, true, false).params;
  params["quantize"] = int64_t(1);
  expectRefused("down", params, "'quantize' must be 0 in a dynamic kernel");
  params["dynamic"] = int64_t(0);
  params["format"] = "bf16";
  expectRefused("down", params, "'quantize' must be 0 for bf16");
  params["quantize"] = int64_t(2);
  expectRefused("down", params, "'quantize' must be in 0..1");
}

INSTANTIATE_TEST_SUITE_P(Experts, ExpertFormats, testing::ValuesIn(formatNames()),
                         [](const auto &info) { return info.param; });

// Gate and up of different formats: one wants q8 rows, the other float32 rows, or other block sizes.
TEST(ExpertMixedFormats, gateUp) {
  for (auto [gate, up, k] : {std::tuple<const char *, const char *, int64_t>{"q4_k", "f16", 256},
                             {"f32", "q8_0", 96},
                             {"q6_k", "q5_0", 512}}) {
    for (int64_t tokens : {int64_t(6), mostTokens}) {
      KernelCase test = gateUpCase(gate, up, {9, k, tokens, false}, "silu");
      for (Isa isa : runnableIsas()) {
        SCOPED_TRACE(std::string(gate) + " " + up + " " + std::string(isaName(isa)));
        expectClose(4, runGenerated(test, isa)[4], runPanelReference(test, isa)[4]);
      }
    }
  }
}

} // namespace

} // namespace ktc::test
