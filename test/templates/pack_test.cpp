// Packed activations: `pack` against its reference, and `linear` and `down` with packed rows against the same
// kernels without, bit for bit.
#include "templates/specs.h"
#include "test/templates/support/host.h"
#include "test/templates/support/matrix_case.h"

#include <gtest/gtest.h>
#include <random>

namespace ktc::test {

namespace {

constexpr int64_t experts = 6, topK = 2;

// Expert 0 has all tokens, the others fewer and fewer.
std::vector<int32_t> unevenExperts(int64_t tokens) {
  std::mt19937 random(3);
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < tokens; ++t) {
    ids.push_back(0);
    int32_t other = 1;
    while (other < experts - 1 && random() % 2)
      ++other;
    ids.push_back(other);
  }
  return ids;
}

struct Rows {
  std::string format; // decides between q8 and q8k
  int64_t k, m, tokens;
  bool routed;
  int64_t perToken() const { return routed ? topK : 1; }
  int64_t most() const { return m * perToken(); }
};

Bytes listsOf(const Rows &rows) {
  Bytes lists = expertLists(unevenExperts(rows.tokens), experts);
  return rows.routed ? lists : Bytes();
}

KernelCase packCase(const Rows &rows) {
  const KtTypeInfo &format = formatInfo(rows.format);
  KernelCase test;
  test.family = "pack";
  test.params = {{"k", rows.k},
                 {"m", rows.m},
                 {"dynamic", int64_t(1)},
                 {"group", int64_t(ktTypeTakesQ8k(format.id) ? 256 : 32)}};
  if (rows.routed) {
    test.params["experts"] = experts;
    test.params["top_k"] = topK;
  }
  const size_t bytes = packedBlocks(rows.most(), rows.routed ? experts : 0) * packedBlockBytes(rows.k);
  test.operands = {activationRows(format, rows.tokens * rows.perToken(), rows.k, 1), Bytes(bytes, 0x7b),
                   listsOf(rows)};
  test.outputs = {1};
  test.units = static_cast<uint32_t>(rows.tokens * rows.perToken());
  test.step.nTokens = static_cast<uint32_t>(rows.tokens);
  return test;
}

// Rows that each run of packed rows has: the tokens, or the slots of each expert.
std::vector<int64_t> runsOf(const Rows &rows) {
  if (!rows.routed)
    return {rows.tokens};
  std::vector<int64_t> runs(experts);
  for (int32_t id : unevenExperts(rows.tokens))
    ++runs[id];
  std::erase(runs, 0);
  return runs;
}

void expectPacked(const Rows &rows, Isa isa, const Bytes &got, const Bytes &want) {
  size_t before = 0; // bytes of earlier runs
  for (int64_t run : runsOf(rows)) {
    const int64_t blocks = (run + packedRows - 1) / packedRows;
    for (int64_t at = 0; at < blocks * packedBlockBytes(rows.k); at += packedSpanBytes) {
      const int64_t k = at / packedSpanBytes / blocks * 256;
      auto same = [&](size_t from, size_t bytes) {
        return !std::memcmp(&got[before + at + from], &want[before + at + from], bytes);
      };
      if (isa < Isa::Avx512 || run < x64::panelCrossover(isa)) {
        EXPECT_EQ(got[before + at], 0x7b) << "nobody reads this";
        continue;
      }
      EXPECT_TRUE(same(0, (std::min<int64_t>(256, rows.k - k) + 63) / 64 * 1024)) << "bytes at " << at;
      EXPECT_TRUE(same(4096, 64)) << "scales at " << at;
      EXPECT_TRUE(isa == Isa::Amx || same(4160, 64)) << "sums at " << at;
    }
    before += blocks * packedBlockBytes(rows.k);
  }
}

class PackFormats : public testing::TestWithParam<std::string> {};

std::vector<int64_t> lengths(const std::string &format) {
  return formatInfo(format).blockElements == 256 ? std::vector<int64_t>{256, 768}
                                                 : std::vector<int64_t>{32, 96, 256, 608};
}

KernelCase linearCase(const Rows &rows, int64_t n) {
  const KtTypeInfo &format = formatInfo(rows.format);
  KernelCase test;
  test.family = "linear";
  test.params = {{"format", rows.format},
                 {"n", n},
                 {"k", rows.k},
                 {"m", rows.m},
                 {"dynamic", int64_t(1)},
                 {"prefetch", rows.tokens % 2},
                 {"accumulate", int64_t(1)}};
  test.operands = {activationRows(format, rows.tokens, rows.k, 1), weightRows(format, n, rows.k, 2),
                   toBytes(randomFloats(4, static_cast<size_t>(rows.tokens * n))), Bytes()};
  test.outputs = {2};
  test.units = static_cast<uint32_t>((n + 3) / 4);
  test.step.nTokens = static_cast<uint32_t>(rows.tokens);
  return test;
}

KernelCase downCase(const Rows &rows, int64_t n) {
  const KtTypeInfo &format = formatInfo(rows.format);
  KernelCase test = linearCase(rows, n);
  test.family = "down";
  const int64_t matrices = rows.routed ? experts : 1;
  if (rows.routed) {
    test.params["experts"] = experts;
    test.params["top_k"] = topK;
  } else {
    test.params["dense"] = int64_t(1);
  }
  test.operands = {Bytes(),
                   activationRows(format, rows.tokens * rows.perToken(), rows.k, 1),
                   weightRows(format, matrices * n, rows.k, 2),
                   test.operands[2],
                   listsOf(rows),
                   toBytes(randomFloats(6, static_cast<size_t>(rows.tokens * rows.perToken()))),
                   Bytes()};
  test.outputs = {3};
  return test;
}

// The kernel with packed rows gives what it gives without, however its units are split.
void expectSame(const KernelCase &unpacked, const Rows &rows) {
  for (Isa isa : runnableIsas()) {
    SCOPED_TRACE(kernelName(unpacked.family, unpacked.params) + " " + std::string(isaName(isa)) + " tokens " +
                 std::to_string(rows.tokens));
    const size_t y = unpacked.outputs[0];
    const Bytes want = runGenerated(unpacked, isa)[y];
    KernelCase packed = unpacked;
    packed.params["packed"] = int64_t(1);
    packed.operands.push_back(runGenerated(packCase(rows), isa, 3)[1]);
    for (uint32_t parts : {1u, 3u, packed.units})
      EXPECT_EQ(want, runGenerated(packed, isa, parts)[y]) << "in " << parts << " parts";
  }
}

} // namespace

TEST(Pack, AsTheReference) {
  for (const char *format : {"q8_0", "q4_k"})
    for (int64_t k : lengths(format))
      for (bool routed : {false, true})
        for (int64_t tokens : {1, 9, 10, 15, 16, 17, 50}) {
          const Rows rows = {format, k, 64, tokens, routed};
          const KernelCase test = packCase(rows);
          const Bytes want = runReference(test)[1];
          for (Isa isa : runnableIsas()) {
            SCOPED_TRACE(kernelName(test.family, test.params) + " " + std::string(isaName(isa)) + " tokens " +
                         std::to_string(tokens));
            const Bytes got = runGenerated(test, isa)[1];
            expectPacked(rows, isa, got, want);
            for (uint32_t parts : {2u, 3u, test.units})
              EXPECT_EQ(got, runGenerated(test, isa, parts)[1]) << "in " << parts << " parts";
          }
        }
}

TEST_P(PackFormats, linear) {
  for (int64_t k : lengths(GetParam()))
    for (int64_t tokens : {5, 10, 16, 33, 97}) {
      const Rows rows = {GetParam(), k, 128, tokens, false};
      expectSame(linearCase(rows, 70), rows);
    }
}

// Several chunks of tokens, with the last one full, short and missing a block of the pair.
TEST_P(PackFormats, linearChunks) {
  for (int64_t tokens : {128, 257, 300}) {
    const Rows rows = {GetParam(), 256, 320, tokens, false};
    expectSame(linearCase(rows, 37), rows);
  }
  const Rows rows = {GetParam(), 256, 600, 530, false};
  expectSame(linearCase(rows, 1030), rows);
}

TEST_P(PackFormats, down) {
  for (int64_t k : lengths(GetParam()))
    for (bool routed : {false, true})
      for (int64_t tokens : {5, 16, 61}) {
        const Rows rows = {GetParam(), k, 64, tokens, routed};
        expectSame(downCase(rows, 70), rows);
      }
}

TEST_P(PackFormats, downChunks) {
  const Rows rows = {GetParam(), 256, 600, 530, true};
  expectSame(downCase(rows, 37), rows);
}

static std::vector<std::string> quantised() {
  std::vector<std::string> names = formatNames();
  std::erase_if(names, [](const std::string &name) { return ktTypeTakesF32Activations(formatInfo(name).id); });
  return names;
}
INSTANTIATE_TEST_SUITE_P(All, PackFormats, testing::ValuesIn(quantised()),
                         [](const testing::TestParamInfo<std::string> &format) { return format.param; });

TEST(Pack, Refused) {
  expectRefused("pack", {{"k", int64_t(100)}, {"m", int64_t(16)}, {"dynamic", int64_t(1)}}, "'k'");
  expectRefused("pack", {{"k", int64_t(64)}, {"m", int64_t(16)}, {"top_k", int64_t(2)}}, "'top_k'");
}

} // namespace ktc::test
