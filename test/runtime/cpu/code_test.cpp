// W^X: loaded code runs, can be read, and is never writable.
#include "runtime/cpu/code.h"

#include <cstdio>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <unistd.h>

using namespace ktrt;

namespace {

const uint8_t kReturn42[] = {0xb8, 42, 0, 0, 0, 0xc3}; // mov eax, 42; ret

// Protection of the mapping that holds `address`, such as "r-xp".
std::string protectionOf(const void *address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin, end;
    char protection[8];
    if (sscanf(line.c_str(), "%lx-%lx %7s", &begin, &end, protection) == 3 &&
        reinterpret_cast<unsigned long>(address) >= begin && reinterpret_cast<unsigned long>(address) < end)
      return protection;
  }
  return "";
}

TEST(Code, RunsAndIsNotWritable) {
  auto segment = CodeSegment::load(kReturn42, sizeof(kReturn42), "test");
  ASSERT_TRUE(segment) << segment.error().message;
  EXPECT_EQ(reinterpret_cast<uintptr_t>(segment->data()) % 4096, 0u);
  EXPECT_EQ(protectionOf(segment->data()), "r-xp");
  auto function = reinterpret_cast<int (*)()>(reinterpret_cast<uintptr_t>(segment->data()));
  EXPECT_EQ(function(), 42);
  const void *address = segment->data();
  CodeSegment moved = std::move(*segment);
  EXPECT_EQ(moved.data(), address);
  moved = CodeSegment();
}

TEST(Code, IsUnmapped) {
  const void *address;
  {
    auto segment = CodeSegment::load(kReturn42, sizeof(kReturn42), "test");
    ASSERT_TRUE(segment);
    address = segment->data();
  }
  EXPECT_EQ(protectionOf(address).find('x'), std::string::npos);
}

// The whole process holds no mapping that is writable and executable.
TEST(Code, NothingIsBoth) {
  auto segment = CodeSegment::load(kReturn42, sizeof(kReturn42), "test");
  ASSERT_TRUE(segment);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    EXPECT_EQ(line.find(" rwx"), std::string::npos) << line;
}

TEST(Code, Empty) {
  auto segment = CodeSegment::load(nullptr, 0, "test");
  ASSERT_TRUE(segment);
  EXPECT_EQ(segment->bytes(), 0u);
}

TEST(Code, PerfMap) {
  auto segment = CodeSegment::load(kReturn42, sizeof(kReturn42), "test");
  ASSERT_TRUE(segment);
  ASSERT_TRUE(writePerfMap({{segment->data(), 6, "linear_k=1"}}));
  std::string path = P_tmpdir "/perf-" + std::to_string(getpid()) + ".map";
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  char expected[64];
  snprintf(expected, sizeof(expected), "%lx 6 linear_k=1\n", reinterpret_cast<unsigned long>(segment->data()));
  EXPECT_EQ(text.str(), expected);
  unlink(path.c_str());
}

} // namespace
