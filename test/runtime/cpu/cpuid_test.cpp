// ISA levels: what this machine reports, and the choice among what a plan offers.
#include "runtime/cpu/cpuid.h"

#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

using namespace ktrt;

namespace {

constexpr IsaSet kAvx2 = isaBit(IsaLevel::Avx2), kVnni = isaBit(IsaLevel::Avx2Vnni),
                 kAvx512 = isaBit(IsaLevel::Avx512), kAmx = isaBit(IsaLevel::Amx);

TEST(Isa, Names) {
  for (unsigned i = 0; i < kIsaLevels; ++i)
    EXPECT_EQ(parseIsaLevel(isaName(IsaLevel(i))), int(i));
  EXPECT_EQ(parseIsaLevel("sm_90"), -1);
  EXPECT_EQ(isaSetText(0), "none");
  EXPECT_EQ(isaSetText(kAvx2 | kAmx), "avx2, amx");
}

TEST(Isa, Choice) {
  IsaSet all = kAvx2 | kVnni | kAvx512 | kAmx;
  EXPECT_EQ(*chooseIsa(all, all, ""), IsaLevel::Amx);
  EXPECT_EQ(*chooseIsa(all, kAvx2 | kAvx512, ""), IsaLevel::Avx512);
  EXPECT_EQ(*chooseIsa(kAvx2 | kVnni, all, ""), IsaLevel::Avx2Vnni);
  EXPECT_EQ(*chooseIsa(all, all, "avx2vnni"), IsaLevel::Avx2Vnni);
  EXPECT_EQ(*chooseIsa(kAvx2, all, "amx"), IsaLevel::Avx2) << "at most this level";
}

TEST(Isa, Errors) {
  EXPECT_EQ(chooseIsa(kAmx | kAvx512, kAvx2 | kVnni, "").error().message,
            "no code for this CPU: the plan has avx512, amx, the CPU supports avx2, avx2vnni");
  EXPECT_EQ(chooseIsa(kAmx, kAvx2 | kAmx, "avx2").error().message,
            "no code for this CPU: the plan has amx, the CPU supports avx2, amx (limited to avx2)");
  EXPECT_EQ(chooseIsa(kAvx2, kAvx2, "amx").error().message, "this CPU cannot run amx code: it supports avx2");
  EXPECT_EQ(chooseIsa(kAvx2, kAvx2, "neon").error().message,
            "unknown ISA level 'neon': expected avx2, avx2vnni, avx512 or amx");
}

// The kernel's list of flags knows about missing operating-system support as well.
TEST(Isa, AgreesWithTheKernel) {
  std::stringstream text;
  text << std::ifstream("/proc/cpuinfo").rdbuf();
  auto has = [&](const char *flag) {
    return text.str().find(" " + std::string(flag) + " ") != std::string::npos;
  };
  IsaSet set = supportedIsas();
  EXPECT_EQ(bool(set & kAvx2), has("avx2") && has("fma") && has("f16c") && has("bmi2"));
  EXPECT_EQ(bool(set & kVnni), has("avx_vnni"));
  EXPECT_EQ(bool(set & kAvx512), has("avx512f") && has("avx512bw") && has("avx512vl") && has("avx512_vnni"));
  if (!has("amx_int8")) {
    EXPECT_FALSE(set & kAmx);
  }
}

} // namespace
