// UTF-8 decoding, repair and streaming.
#include "runtime/text/utf8.h"

#include <gtest/gtest.h>

namespace ktrt {
namespace {

TEST(Utf8, EncodesAndDecodesEachLength) {
  for (uint32_t c : {0x24u, 0xE9u, 0x20ACu, 0x1F600u, 0x10FFFFu}) {
    std::string text;
    appendUtf8(text, c);
    Utf8Char back = decodeUtf8(text);
    EXPECT_TRUE(back.valid);
    EXPECT_EQ(back.codepoint, c);
    EXPECT_EQ(back.length, text.size());
  }
  std::string text;
  appendUtf8(text, 0xD800); // a surrogate is no character
  EXPECT_EQ(text, "\xEF\xBF\xBD");
}

TEST(Utf8, RepairsMaximalIllFormedSequences) {
  EXPECT_EQ(repairUtf8("a\xFF"
                       "b"),
            "a\uFFFDb");
  EXPECT_EQ(repairUtf8("\xE2\x82"), "\uFFFD");                 // cut character: one mark
  EXPECT_EQ(repairUtf8("\xC0\xAF"), "\uFFFD\uFFFD");           // overlong form
  EXPECT_EQ(repairUtf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD"); // surrogate
  EXPECT_EQ(repairUtf8("\xF4\x90\x80\x80").size(), 4 * 3u);    // above U+10FFFF
  EXPECT_TRUE(isValidUtf8("grün 漢 😀"));
  EXPECT_FALSE(isValidUtf8("\x80"));
}

TEST(Utf8Stream, NeverEmitsPartOfACharacter) {
  const std::string text = "aé漢😀z";
  Utf8Stream stream;
  std::string all;
  for (char c : text) {
    std::string out = stream.feed(std::string(1, c));
    EXPECT_TRUE(isValidUtf8(out));
    all += out;
  }
  EXPECT_EQ(all + stream.finish(), text);
}

TEST(Utf8Stream, ReplacesWhatCannotBecomeACharacter) {
  Utf8Stream stream;
  EXPECT_EQ(stream.feed("\xE6\xBC"), "");
  EXPECT_EQ(stream.feed("x"), "\uFFFDx");
  EXPECT_EQ(stream.feed("\xF0\x9F"), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
  EXPECT_EQ(stream.feed("\xC0"), "\uFFFD"); // never a lead byte: not held back
}

} // namespace
} // namespace ktrt
