// The picture of a replay: bars, rows of bars that overlap, names of layers, arrows.
#include "runtime/tools/timeline_svg.h"

#include <gmock/gmock.h>

using ktrt::tools::TimelineSvg;
using testing::HasSubstr;
using testing::Not;

namespace {

KtrtTimelineRow row(const char *lane, const char *kind, const char *family, const char *path, double begin,
                    double end, const char *toLane = nullptr) {
  KtrtTimelineRow result = KTRT_INIT(KtrtTimelineRow);
  result.entry = "decode_1";
  result.lane = lane;
  result.toLane = toLane;
  result.kind = kind;
  result.family = family;
  result.path = path;
  result.begin = begin * 1e-6;
  result.end = end * 1e-6;
  return result;
}

size_t count(const std::string &text, const std::string &part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

TEST(TimelineSvg, DrawsLanesBarsAndSignals) {
  TimelineSvg svg;
  EXPECT_TRUE(svg.empty());
  svg.add(row("cpu", "wait", "", "", 0, 40));
  svg.add(row("cpu", "dispatch", "gate_up", "model.layers.3.mlp.experts", 40, 90));
  svg.add(row("gpu", "dispatch", "linear", "model.layers.3.self_attn.q", 10, 30));
  svg.add(row("gpu", "dispatch", "linear", "model.layers.3.self_attn.k", 12, 25));
  svg.add(row("gpu", "dispatch", "linear", "model.layers.4.self_attn.q", 92, 100));
  svg.add(row("gpu", "signal", "", "", 30, 40, "cpu"));
  EXPECT_FALSE(svg.empty());
  const std::string text = svg.draw("A <model>");
  EXPECT_THAT(text, HasSubstr("A &lt;model&gt;, decode_1: 100.0 µs"));
  EXPECT_THAT(text, HasSubstr("model.layers.3.mlp.experts dispatch gate_up: 50.00 µs from 40.00"));
  EXPECT_THAT(text, HasSubstr("linear 41.0 µs"));
  EXPECT_EQ(count(text, "<title>"), 6u) << "five bars and an arrow";
  EXPECT_EQ(count(text, "layer 3"), 2u) << "once in each lane";
  EXPECT_EQ(count(text, "layer 4"), 1u);
  EXPECT_THAT(text, HasSubstr("signal: 10.00 µs from 30.00"));
  // Two rows: the second bar of the GPU begins while the first one runs, the third has room in the first row.
  EXPECT_EQ(count(text, "y=\"144.0\" width"), 2u) << text;
  EXPECT_EQ(count(text, "y=\"160.0\" width"), 1u) << text;
}

TEST(TimelineSvg, TimesBeforeTheFirstCommandDoNoHarm) {
  TimelineSvg svg;
  svg.add(row("cpu", "fill", "", "", 0, 0));
  EXPECT_THAT(svg.draw("x"), HasSubstr("</svg>"));
  EXPECT_THAT(svg.draw("x"), Not(HasSubstr("nan")));
}

} // namespace
