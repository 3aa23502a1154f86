// Sweep of the `linear` and `embed` families: every format, ISA and token count against the scalar reference.
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
  int64_t tokens;
};

std::vector<Form> allForms() {
  std::vector<Form> forms;
  for (int64_t m : {1, 2, 3, 4, 5, 6, 7, 8, 9, 16})
    forms.push_back({m, false, m});
  for (int64_t m : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 33})
    forms.push_back({m, true, m});
  for (int64_t tokens : {5, 7, 8, 19})
    forms.push_back({mostTokens, true, tokens});
  return forms;
}

uint32_t unitsOf(int64_t n) { return static_cast<uint32_t>((n + 3) / 4); }

KernelCase linearCase(const std::string &name, int64_t n, int64_t k, int64_t tokens, bool hostile = false) {
  const KtTypeInfo &format = formatInfo(name);
  KernelCase result;
  result.family = "linear";
  result.params = {{"format", name},        {"n", n}, {"k", k}, {"m", tokens}, {"dynamic", int64_t(1)},
                   {"prefetch", tokens % 2}}; // has no effect that a test could see, and must do no harm
  result.operands = {activationRows(format, tokens, k, 1), weightRows(format, n, k, 2, hostile),
                     toBytes(std::vector<float>(tokens * n, -7.0f))};
  result.outputs = {2};
  result.units = unitsOf(n);
  result.step.nTokens = static_cast<uint32_t>(tokens);
  return result;
}

class LinearFormats : public testing::TestWithParam<std::string> {};

KernelCase withForm(const KernelCase &whole, int64_t n, const Form &form) {
  KernelCase part = withTokens(whole, form.m, form.dynamic, static_cast<uint32_t>(form.tokens));
  part.operands[0].resize(whole.operands[0].size() / mostTokens * form.tokens);
  part.operands[2].resize(form.tokens * n * 4);
  return part;
}

// The full sweep: accuracy of tiles and panels at the largest m, and every other form bit-equal to the one of
// the two that it uses.
TEST_P(LinearFormats, linearSweep) {
  for (Isa isa : runnableIsas())
    for (int64_t k : testLengths(formatInfo(GetParam())))
      for (int64_t n : {1, 6, 8, 23}) {
        SCOPED_TRACE(std::string(isaName(isa)) + " n " + std::to_string(n) + " k " + std::to_string(k));
        KernelCase whole = linearCase(GetParam(), n, k, mostTokens);
        const std::vector<float> exact =
            floatProducts(formatInfo(GetParam()), whole.operands[1], activationValues(mostTokens, k, 1), n, k);
        std::vector<float> all[2]; // by tiles, by panels
        for (bool dynamic : {false, true}) {
          whole.params["dynamic"] = int64_t(dynamic);
          const std::vector<Bytes> want = dynamic ? runPanelReference(whole, isa) : runReference(whole);
          all[dynamic] = fromBytes<float>(runGenerated(whole, isa)[2]);
          EXPECT_LE(nmse(all[dynamic], fromBytes<float>(want[2])), 1e-6) << "dynamic " << dynamic;
          // Float weights are not rounded: their panels are sums of bfloat16 parts.
          EXPECT_LE(nmse(all[dynamic], exact),
                    ktTypeTakesF32Activations(formatInfo(GetParam()).id) ? 1e-10 : 5e-4)
              << "dynamic " << dynamic;
        }
        for (const Form &form : allForms()) {
          const bool panels = form.dynamic && usesPanels(isa, formatInfo(GetParam()), k, form.tokens);
          std::vector<float> y = fromBytes<float>(runGenerated(withForm(whole, n, form), isa)[2]);
          EXPECT_TRUE(std::equal(y.begin(), y.end(), all[panels].begin()))
              << "m " << form.m << " dynamic " << form.dynamic << " tokens " << form.tokens
              << " differs from m " << mostTokens;
        }
      }
}

// Rows are grouped from the first row of a call on: any split of the units gives the same bits.
TEST_P(LinearFormats, linearUnitsDoNotInfluenceEachOther) {
  const KtTypeInfo &format = formatInfo(GetParam());
  KernelCase test = linearCase(GetParam(), 70, testLengths(format).back(), 20);
  for (Isa isa : runnableIsas()) {
    SCOPED_TRACE(isaName(isa));
    const std::vector<Bytes> whole = runGenerated(test, isa, 1);
    for (uint32_t parts : {2, 3, 7})
      EXPECT_EQ(whole, runGenerated(test, isa, parts)) << parts << " parts";
  }
}

// Prefetching changes no result, and its addresses do no harm.
TEST_P(LinearFormats, linearPrefetch) {
  const int64_t k = testLengths(formatInfo(GetParam())).back();
  for (int64_t tokens : {1, 3}) {
    KernelCase test = linearCase(GetParam(), 23, k, tokens);
    for (Isa isa : runnableIsas()) {
      KernelCase without = test, with = test;
      without.params["prefetch"] = int64_t(0);
      with.params["prefetch"] = int64_t(1);
      EXPECT_EQ(runGenerated(without, isa), runGenerated(with, isa)) << isaName(isa);
    }
  }
}

// Few rows and many tokens: units stand for tokens, and any split of them gives the same bits.
TEST(LinearTokenShare, partsGiveTheSameBits) {
  const int64_t n = 83, k = 256, tokens = 300;
  for (const char *format : {"f32", "bf16", "q4_k", "q8_0"})
    for (Isa isa : runnableIsas()) {
      SCOPED_TRACE(std::string(isaName(isa)) + " " + format);
      const KernelCase test = linearCase(format, n, k, tokens);
      const std::vector<Bytes> whole = runGenerated(test, isa, 1);
      EXPECT_LE(nmse(fromBytes<float>(whole[2]),
                     floatProducts(formatInfo(format), test.operands[1], activationValues(tokens, k, 1), n, k)),
                5e-4);
      for (uint32_t parts : {2, 5, 16})
        EXPECT_EQ(whole, runGenerated(test, isa, parts)) << parts << " parts";
    }
}

// Every way through blocks of 32 rows and 32 tokens: whole and partial ones of either, with several spans and a
// rest of k.
TEST_P(LinearFormats, linearPanelEdges) {
  const KtTypeInfo &format = formatInfo(GetParam());
  const int64_t k = format.blockElements == 1    ? 352
                    : format.blockElements == 32 ? 1120
                                                 : 1024,
                most = 97, n = 83;
  for (Isa isa : runnableIsas()) {
    KernelCase whole = linearCase(GetParam(), n, k, most);
    const std::vector<float> all = fromBytes<float>(runGenerated(whole, isa)[2]);
    EXPECT_LE(nmse(all, fromBytes<float>(runPanelReference(whole, isa)[2])), 1e-6) << isaName(isa);
    for (int64_t tokens : {15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 65, 96}) {
      if (usesPanels(isa, format, k, tokens) != usesPanels(isa, format, k, most))
        continue;
      KernelCase part = withTokens(whole, most, true, static_cast<uint32_t>(tokens));
      part.operands[0].resize(whole.operands[0].size() / most * tokens);
      part.operands[2].resize(tokens * n * 4);
      for (uint32_t parts : {1, 2, 5}) {
        const std::vector<float> y = fromBytes<float>(runGenerated(part, isa, parts)[2]);
        EXPECT_TRUE(std::equal(y.begin(), y.end(), all.begin()))
            << isaName(isa) << " tokens " << tokens << " in " << parts << " parts";
      }
    }
  }
}

// More tokens than are packed at a time.
TEST_P(LinearFormats, linearManyTokens) {
  const KtTypeInfo &format = formatInfo(GetParam());
  const int64_t k = format.blockElements == 1 ? 64 : 2048, tokens = 350, n = 5;
  KernelCase test = linearCase(GetParam(), n, k, tokens);
  for (Isa isa : runnableIsas()) {
    const std::vector<float> want = fromBytes<float>(runPanelReference(test, isa)[2]);
    EXPECT_LE(nmse(fromBytes<float>(runGenerated(test, isa)[2]), want), 1e-6) << isaName(isa);
  }
}

TEST_P(LinearFormats, linearTakesAnyBytes) {
  const int64_t k = formatInfo(GetParam()).blockElements == 1 ? 160 : 768;
  for (Isa isa : runnableIsas())
    for (int64_t tokens : {5, 18}) {
      SCOPED_TRACE(std::string(isaName(isa)) + " tokens " + std::to_string(tokens));
      KernelCase hostile = linearCase(GetParam(), 22, k, tokens, true);
      EXPECT_LE(nmse(fromBytes<float>(runGenerated(hostile, isa)[2]),
                     fromBytes<float>(runPanelReference(hostile, isa)[2])),
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

// Bias, accumulation and a stride of the results by panels, which have no batches.
TEST_P(LinearFormats, linearBiasAccumulate) {
  const int64_t n = 21, tokens = 18, stride = 40;
  KernelCase test = linearCase(GetParam(), n, testLengths(formatInfo(GetParam())).front(), tokens);
  test.params["y_stride"] = stride;
  test.params["bias"] = test.params["accumulate"] = int64_t(1);
  test.operands[2] = toBytes(randomFloats(5, (tokens - 1) * stride + n));
  test.operands.push_back(toBytes(randomFloats(6, n)));
  for (Isa isa : runnableIsas()) {
    SCOPED_TRACE(isaName(isa));
    expectClose(2, runGenerated(test, isa, 2)[2], runPanelReference(test, isa)[2]);
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
