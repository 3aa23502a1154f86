// One replay as a picture: a band per lane, a bar per command, an arrow per signal.
#pragma once

#include "runtime/api/ktrt.h"

#include <string>
#include <string_view>
#include <vector>

namespace ktrt::tools {

class TimelineSvg {
public:
  // Takes a row of ktrtTimeline().
  void add(const KtrtTimelineRow &row);
  bool empty() const { return bars.empty(); }
  // The picture as SVG text, `title` above it. Bars that overlap within a lane lie below each other; layers are
  // named where there is room; the bars' tooltips say module, kernel family and microseconds.
  std::string draw(std::string_view title) const;

private:
  struct Bar {
    size_t lane;
    std::string kind, family, path;
    double begin, end; // microseconds
  };
  struct Arrow {
    size_t from, to;
    double raised, noticed;
  };
  struct Band {
    double top;
    size_t rows;
  };
  class Drawing;

  size_t laneIndex(const char *name);

  std::string entry;
  std::vector<std::string> lanes;
  std::vector<Bar> bars;
  std::vector<Arrow> arrows;
};

} // namespace ktrt::tools
