// Sizes, devices, layer ranges, and the distance between names.
#include "compiler/policy/diagnostics.h"
#include "compiler/policy/units.h"

#include <gtest/gtest.h>

namespace ktc::policy {
namespace {

TEST(Units, Sizes) {
  EXPECT_EQ(*parseSize("24GiB"), 24ull << 30);
  EXPECT_EQ(*parseSize(" 1.5 TiB "), 3ull << 39);
  EXPECT_EQ(*parseSize("500MB"), 500'000'000u);
  EXPECT_EQ(*parseSize("123"), 123u);
  EXPECT_EQ(*parseSize("0"), 0u);
  for (const char *bad : {"", "GiB", "-1GiB", "1e30GiB", "24 gibs", "nan", "inf", "1GiBx", "0x10"})
    EXPECT_FALSE(parseSize(bad)) << bad;
  EXPECT_NE(parseSize("24G").error().message.find("say GiB"), std::string::npos);
}

TEST(Units, FormatsBytes) {
  EXPECT_EQ(formatBytes(17), "17 B");
  EXPECT_EQ(formatBytes(1023), "1.00 KiB");
  EXPECT_EQ(formatBytes(1536), "1.50 KiB");
  EXPECT_EQ(formatBytes(24ull << 30), "24.0 GiB");
  EXPECT_EQ(formatBytes(~0ull), "16.0 EiB");
}

TEST(Units, Devices) {
  EXPECT_EQ(*parseDevice("cuda", false), "cuda:0");
  EXPECT_EQ(*parseDevice("cuda:07", false), "cuda:7");
  EXPECT_EQ(*parseDevice("auto", true), "auto");
  EXPECT_FALSE(parseDevice("auto", false));
  for (const char *bad : {"", "gpu", "cuda:", "cuda:-1", "cuda:64", "cuda:1x", "cpu0", "xpu"})
    EXPECT_FALSE(parseDevice(bad, true)) << bad;
}

TEST(Units, LayerRanges) {
  auto ranges = *parseLayers("0-9, 12,40-");
  ASSERT_EQ(ranges.size(), 3u);
  EXPECT_TRUE(containsLayer(ranges, 9));
  EXPECT_FALSE(containsLayer(ranges, 10));
  EXPECT_TRUE(containsLayer(ranges, 400));
  for (const char *bad : {"", ",", "9-3", "-3", "a", "1-2-3", "1,,2", "99999999999", "1.5"})
    EXPECT_FALSE(parseLayers(bad)) << bad;
}

TEST(Units, ContainedLayers) {
  auto ranges = [](const char *text) { return *parseLayers(text); };
  EXPECT_TRUE(containsLayers(ranges("0-3,4-9"), ranges("2-7")));
  EXPECT_TRUE(containsLayers(ranges("4-9,0-3"), ranges("2-7,9")));
  EXPECT_FALSE(containsLayers(ranges("0-3,5-9"), ranges("2-7")));
  EXPECT_FALSE(containsLayers(ranges("0-9"), ranges("5-")));
}

TEST(Units, FoldsLayers) {
  EXPECT_EQ(foldLayers({0, 1, 2, 5, 7, 8}), "0-2,5,7-8");
  EXPECT_EQ(foldLayers({}), "");
}

TEST(Names, EditDistance) {
  EXPECT_EQ(editDistance("", "abc"), 3u);
  EXPECT_EQ(editDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(editDistance("devcie", "device"), 1u); // a swap is one edit
  EXPECT_EQ(editDistance("same", "same"), 0u);
}

TEST(Names, Suggestions) {
  static constexpr std::string_view known[] = {"match", "place"};
  EXPECT_EQ(suggestion("plcae", known), "; did you mean 'place'?");
  EXPECT_EQ(suggestion("zzzzzz", known), "; known: match, place");
}

TEST(DiagnosticsTest, Spelling) {
  Diagnostics diagnostics;
  diagnostics.warning({"a.yaml", 3, 7}, "odd");
  diagnostics.error({"dir/a.yaml", 0, 0}, "bad");
  diagnostics.noteOnce("kind", {"a.yaml", 1, 1}, "first");
  diagnostics.noteOnce("kind", {"a.yaml", 2, 1}, "second");
  EXPECT_EQ(diagnostics.str(), "a.yaml:3:7: warning: odd\ndir/a.yaml: error: bad\na.yaml:1:1: note: first\n");
  EXPECT_EQ(diagnostics.firstError(), "dir/a.yaml: error: bad");
  EXPECT_EQ((SourceLocation{"dir/a.yaml", 12, 3}).shortStr(), "a.yaml:12");
}

} // namespace
} // namespace ktc::policy
