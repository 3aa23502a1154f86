// Stop strings over pieces of text.
#include "runtime/text/stop_matcher.h"

#include <gtest/gtest.h>

namespace ktrt {
namespace {

TEST(StopMatcher, HoldsBackPossibleBeginnings) {
  StopMatcher stops({"</end>", "STOP"});
  EXPECT_EQ(stops.feed("text <"), "text ");
  EXPECT_EQ(stops.feed("/b>"), "</b>");
  EXPECT_EQ(stops.feed("ST"), "");
  EXPECT_EQ(stops.feed("OP after"), "");
  EXPECT_TRUE(stops.stopped());
  EXPECT_EQ(stops.match(), "STOP");
  EXPECT_EQ(stops.feed("more"), "");
  EXPECT_EQ(stops.finish(), "");
}

TEST(StopMatcher, FindsEveryCut) {
  const std::string text = "one aab two";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    StopMatcher stops({"aab"}); // its beginning repeats
    std::string shown = stops.feed("a" + text.substr(0, cut));
    shown += stops.feed(text.substr(cut));
    EXPECT_EQ(shown, "aone ") << cut;
    EXPECT_TRUE(stops.stopped());
  }
}

TEST(StopMatcher, EarliestMatchCounts) {
  StopMatcher stops({"late", "x"});
  EXPECT_EQ(stops.feed("ax late"), "a");
  EXPECT_EQ(stops.match(), "x");
}

TEST(StopMatcher, WithoutStopsEverythingPasses) {
  StopMatcher stops({"", ""});
  EXPECT_EQ(stops.feed("abc"), "abc");
  EXPECT_FALSE(stops.stopped());
}

TEST(StopMatcher, FinishReleasesTheRest) {
  StopMatcher stops({"abc"});
  EXPECT_EQ(stops.feed("xab"), "x");
  EXPECT_EQ(stops.finish(), "ab");
}

} // namespace
} // namespace ktrt
