// Generated code does not depend on where it is assembled, uses only its ISA, and bad parameters are refused.
#include "templates/x64/families.h"
#include "test/templates/support/matrix_case.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

namespace ktc::test {

namespace {

using namespace x64;

constexpr size_t bufferBytes = size_t(1) << 20;
constexpr Isa allIsas[] = {Isa::Avx2, Isa::Avx2Vnni, Isa::Avx512, Isa::Amx};

struct Mapping {
  Mapping()
      : data(static_cast<uint8_t *>(
            mmap(nullptr, bufferBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {}
  ~Mapping() { munmap(data, bufferBytes); }
  uint8_t *data;
};

// One kernel of every matrix family in a format.
std::vector<std::pair<std::string, Params>> kernelsOf(const std::string &format) {
  const Params sizes = {{"n", int64_t(10)}, {"k", int64_t(256)}, {"m", int64_t(9)}, {"dynamic", int64_t(1)}};
  auto with = [&](Params extra) {
    extra.insert(sizes.begin(), sizes.end());
    return extra;
  };
  const ParamValue experts = int64_t(8), topK = int64_t(3);
  return {{"linear", with({{"format", format}, {"bias", int64_t(1)}})},
          {"gate_up", with({{"format_gate", format},
                            {"format_up", format},
                            {"act", "silu"},
                            {"experts", experts},
                            {"top_k", topK}})},
          {"down", with({{"format", format}, {"experts", experts}, {"top_k", topK}})},
          {"embed", with({{"format", format}, {"vocab", int64_t(100)}})}};
}

TEST(Position, bytesAreTheSameAtAnyAddress) {
  Mapping first, second;
  for (const std::string &format : formatNames())
    for (const auto &[family, params] : kernelsOf(format))
      for (Isa isa : allIsas) {
        SCOPED_TRACE(kernelName(family, params) + " " + std::string(isaName(isa)));
        auto here = generateAt(family, params, {isa, first.data, bufferBytes});
        auto there = generateAt(family, params, {isa, second.data + 4096, bufferBytes - 4096});
        auto grown = generate(family, params, isa);
        ASSERT_TRUE(here && there && grown) << here.error().message;
        EXPECT_EQ(here->code, there->code);
        EXPECT_EQ(here->code, grown->code);
      }
}

TEST(Position, tooSmallBufferIsAnError) {
  Mapping buffer;
  auto kernel = generateAt("linear", kernelsOf("q4_k")[0].second, {Isa::Avx512, buffer.data, 64});
  ASSERT_FALSE(kernel);
  EXPECT_NE(kernel.error().message.find("linear_"), std::string::npos);
}

TEST(Parameters, namesOfIsas) {
  for (Isa isa : allIsas)
    EXPECT_EQ(parseIsa(isaName(isa)), isa);
  EXPECT_FALSE(parseIsa("avx1024"));
}

TEST(Parameters, badOnesAreRefused) {
  Params linear = {{"format", "q4_k"}, {"n", int64_t(8)}, {"k", int64_t(256)}, {"m", int64_t(1)}};
  auto refused = [&](const char *name, ParamValue value, const char *part) {
    Params params = linear;
    params[name] = value;
    expectRefused("linear", params, part);
  };
  refused("k", int64_t(255), "multiple of 256");
  refused("n", int64_t(0), "'n' must be in");
  refused("m", int64_t(0), "'m' must be in");
  refused("format", "q9_z", "weight format");
  refused("bias", int64_t(2), "'bias' must be in");
  refused("n", "eight", "must be an integer");
  linear.erase("k");
  expectRefused("linear", linear, "'k' is missing");
  expectRefused("gate_up",
                {{"format_gate", "f32"},
                 {"format_up", "f32"},
                 {"n", int64_t(8)},
                 {"k", int64_t(8)},
                 {"m", int64_t(1)},
                 {"dense", int64_t(1)},
                 {"act", "relu"}},
                "'act'");
  expectRefused("nothing", {}, "unknown kernel family");
}

} // namespace

} // namespace ktc::test
