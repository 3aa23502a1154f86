// JSON text that any reader accepts, whatever the model said.
#include "runtime/tools/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace ktrt::tools;

TEST(JsonWriter, Structure) {
  JsonWriter json;
  json.beginObject()
      .member("a", 1)
      .key("b")
      .beginArray()
      .value(true)
      .value("x")
      .beginObject()
      .endObject()
      .endArray();
  json.key("c").beginObject().member("d", -2.5).endObject().member("e", uint64_t(1) << 63).endObject();
  EXPECT_EQ(json.text(), R"({"a":1,"b":[true,"x",{}],"c":{"d":-2.5},"e":9223372036854775808})");
}

TEST(JsonWriter, NumbersReadBackEqual) {
  EXPECT_EQ(JsonWriter().value(0.1).text(), "0.1");
  EXPECT_EQ(std::stod(JsonWriter().value(1.0 / 3).text()), 1.0 / 3);
  EXPECT_EQ(JsonWriter().value(std::nan("")).text(), "null");
  EXPECT_EQ(JsonWriter().value(std::numeric_limits<double>::infinity()).text(), "null");
}

TEST(JsonWriter, Escapes) {
  EXPECT_EQ(JsonWriter().value("a\"b\\c\nd\te\x01").text(), R"("a\"b\\c\nd\u0009e\u0001")");
  EXPECT_EQ(JsonWriter().value(std::string_view("\0", 1)).text(), R"("\u0000")");
}

TEST(JsonWriter, KeepsUtf8) {
  EXPECT_EQ(JsonWriter().value("h\xC3\xA9 \xE4\xBD\xA0 \xF0\x9F\x98\x80").text(),
            "\"h\xC3\xA9 \xE4\xBD\xA0 \xF0\x9F\x98\x80\"");
}

TEST(JsonWriter, ReplacesIllFormedUtf8) {
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(JsonWriter().value("\xFF").text(), "\"" + bad + "\"");
  EXPECT_EQ(JsonWriter().value("a\xE4\xBD").text(), "\"a" + bad + bad + "\"");                   // cut short
  EXPECT_EQ(JsonWriter().value("\xC0\x80").text(), "\"" + bad + bad + "\"");                     // overlong
  EXPECT_EQ(JsonWriter().value("\xED\xA0\x80").text(), "\"" + bad + bad + bad + "\"");           // surrogate
  EXPECT_EQ(JsonWriter().value("\xF4\x90\x80\x80").text(), "\"" + bad + bad + bad + bad + "\""); // too large
}
