// Drawing a replay; see timeline_svg.h.
#include "runtime/tools/timeline_svg.h"

#include "runtime/plan/message.h"

#include <algorithm>
#include <cmath>

namespace ktrt::tools {
namespace {

constexpr double kLeft = 90, kTop = 60, kRow = 16, kGap = 44, kLabelSpace = 24;
constexpr double kNarrowest = 1000, kWidest = 12000, kPixelsPerMicro = 2;

std::string escaped(std::string_view text) {
  std::string result;
  for (char c : text)
    result += c == '<'   ? "&lt;"
              : c == '>' ? "&gt;"
              : c == '&' ? "&amp;"
              : c == '"' ? "&quot;"
                         : std::string(1, c);
  return result;
}

// "12" of "model.layers.12.mlp.experts"; empty where there is no layer.
std::string_view layerOf(std::string_view path) {
  constexpr std::string_view key = "layers.";
  const size_t at = path.find(key);
  if (at == std::string_view::npos)
    return {};
  path.remove_prefix(at + key.size());
  return path.substr(0, path.find('.'));
}

// A colour that belongs to a name: neighbours in the list of names are far apart in hue.
std::string colour(size_t index) { return formatText("hsl(%d,55%%,62%%)", int(index * 137 % 360)); }

// 1, 2 or 5 times a power of ten, so that a width of `span` has about `count` of them.
double roundStep(double span, double count) {
  const double power = std::pow(10, std::floor(std::log10(span / count)));
  const double ratio = span / count / power;
  return power * (ratio < 2 ? 2 : ratio < 5 ? 5 : 10);
}

} // namespace

size_t TimelineSvg::laneIndex(const char *name) {
  auto found = std::find(lanes.begin(), lanes.end(), name);
  if (found == lanes.end())
    found = lanes.insert(found, name);
  return size_t(found - lanes.begin());
}

void TimelineSvg::add(const KtrtTimelineRow &row) {
  const double begin = row.begin * 1e6, end = row.end * 1e6;
  entry = row.entry;
  if (row.toLane)
    arrows.push_back({laneIndex(row.lane), laneIndex(row.toLane), begin, end});
  else if (std::string_view(row.kind) != "signal")
    bars.push_back({laneIndex(row.lane), row.kind, row.family, row.path, begin, end});
}

// One picture in the making.
class TimelineSvg::Drawing {
public:
  explicit Drawing(const TimelineSvg &source) : source(source) {
    for (const Bar &bar : source.bars) {
      total = std::max(total, bar.end);
      if (!bar.family.empty())
        addFamily(bar);
    }
    scale = std::clamp(total * kPixelsPerMicro, kNarrowest, kWidest) / total;
    placeBars();
  }

  std::string draw(std::string_view title) {
    const double width = kLeft + total * scale + 30, height = bottom + kGap;
    text =
        formatText("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
                   "font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%%\" height=\"100%%\" "
                   "fill=\"white\"/>\n<defs><marker id=\"tip\" markerWidth=\"6\" markerHeight=\"6\" refX=\"5\" "
                   "refY=\"3\" orient=\"auto\"><path d=\"M0,0 L6,3 L0,6 z\" fill=\"#c00\"/></marker></defs>\n",
                   width, height);
    label(kLeft, 18, formatText("%s, %s: %.1f µs", std::string(title).c_str(), source.entry.c_str(), total),
          14);
    drawAxis();
    drawLegend();
    for (size_t lane = 0; lane < bands.size(); ++lane)
      label(4, bands[lane].top + kRow - 4, source.lanes[lane], 12);
    for (size_t i = 0; i < source.bars.size(); ++i)
      drawBar(source.bars[i], rows[i]);
    drawLayers();
    for (const Arrow &arrow : source.arrows)
      drawArrow(arrow);
    return text + "</svg>\n";
  }

private:
  struct Family {
    std::string_view name;
    double micros;
  };

  double x(double micros) const { return kLeft + micros * scale; }

  void addFamily(const Bar &bar) {
    const size_t index = familyOf(bar);
    if (index == families.size())
      families.push_back({bar.family, 0});
    families[index].micros += bar.end - bar.begin;
  }
  // Its index, or their number if it has none.
  size_t familyOf(const Bar &bar) const {
    size_t index = 0;
    while (index < families.size() && families[index].name != bar.family)
      ++index;
    return index;
  }

  // The first row of its lane that is free; bars come in the order of the program, not of time.
  void placeBars() {
    std::vector<size_t> order(source.bars.size());
    for (size_t i = 0; i < order.size(); ++i)
      order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return source.bars[a].begin < source.bars[b].begin; });
    std::vector<std::vector<double>> freeFrom(source.lanes.size());
    rows.resize(order.size());
    for (size_t i : order) {
      const Bar &bar = source.bars[i];
      std::vector<double> &lane = freeFrom[bar.lane];
      size_t row = 0;
      while (row < lane.size() && lane[row] > bar.begin + 0.01)
        ++row;
      lane.resize(std::max(lane.size(), row + 1));
      lane[row] = bar.end;
      rows[i] = row;
    }
    double top = kTop + kLabelSpace;
    for (const auto &lane : freeFrom) {
      bands.push_back({top, std::max<size_t>(1, lane.size())});
      top += double(bands.back().rows) * kRow + kGap;
    }
    bottom = top - kGap;
  }

  void label(double left, double base, const std::string &words, int size) {
    text += formatText("<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\">%s</text>\n", left, base, size,
                       escaped(words).c_str());
  }

  void drawAxis() {
    const double step = roundStep(total, total * scale / 100);
    for (double at = 0; at <= total; at += step) {
      text += formatText("<path d=\"M%.1f,%.1f V%.1f\" stroke=\"#ddd\"/>\n", x(at), kTop, bottom + 8);
      label(x(at), bottom + 20, formatText("%g µs", at), 10);
    }
  }

  void drawLegend() {
    double left = kLeft;
    for (size_t i = 0; i < families.size(); ++i) {
      text += formatText("<rect x=\"%.1f\" y=\"28\" width=\"10\" height=\"10\" fill=\"%s\"/>\n", left,
                         colour(i).c_str());
      const std::string words =
          formatText("%s %.1f µs", std::string(families[i].name).c_str(), families[i].micros);
      label(left + 13, 37, words, 10);
      left += 30 + 6 * double(words.size());
    }
  }

  void drawBar(const Bar &bar, size_t row) {
    const size_t family = familyOf(bar);
    const std::string fill = family < families.size() ? colour(family) : bar.kind == "wait" ? "#eee" : "#bbb";
    text += formatText("<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" fill=\"%s\" stroke=\"#888\" "
                       "stroke-width=\"0.3\"><title>%s %s %s: %.2f µs from %.2f</title></rect>\n",
                       x(bar.begin), bands[bar.lane].top + double(row) * kRow,
                       std::max(0.3, (bar.end - bar.begin) * scale), kRow - 2, fill.c_str(),
                       escaped(bar.path).c_str(), escaped(bar.kind).c_str(), escaped(bar.family).c_str(),
                       bar.end - bar.begin, bar.begin);
  }

  // A bracket above the bars of each layer, in each lane. A lane's bars come in the order of its program.
  void drawLayers() {
    for (size_t i = 0; i < source.bars.size();) {
      const Bar &first = source.bars[i];
      const std::string_view layer = layerOf(first.path);
      double begin = first.begin, end = first.end;
      for (++i; i < source.bars.size() && source.bars[i].lane == first.lane; ++i) {
        const Bar &bar = source.bars[i];
        if (bar.family.empty()) // belongs to no module
          continue;
        if (layerOf(bar.path) != layer)
          break;
        begin = std::min(begin, bar.begin);
        end = std::max(end, bar.end);
      }
      if (layer.empty())
        continue;
      const double top = bands[first.lane].top;
      text += formatText("<path d=\"M%.1f,%.1f v-4 H%.1f v4\" fill=\"none\" stroke=\"#555\"/>\n", x(begin),
                         top - 2, x(end));
      if ((end - begin) * scale > 50)
        label(x(begin) + 2, top - 8, "layer " + std::string(layer), 10);
    }
  }

  void drawArrow(const Arrow &arrow) {
    const Band &from = bands[arrow.from], &to = bands[arrow.to];
    const bool down = from.top < to.top;
    text +=
        formatText("<path d=\"M%.2f,%.1f L%.2f,%.1f\" stroke=\"#c00\" marker-end=\"url(#tip)\"><title>signal: "
                   "%.2f µs from %.2f</title></path>\n",
                   x(arrow.raised), down ? from.top + double(from.rows) * kRow : from.top, x(arrow.noticed),
                   down ? to.top : to.top + double(to.rows) * kRow, arrow.noticed - arrow.raised, arrow.raised);
  }

  const TimelineSvg &source;
  double total = 1e-3, scale = 1, bottom = 0;
  std::vector<Family> families;
  std::vector<size_t> rows; // by bar
  std::vector<Band> bands;  // by lane
  std::string text;
};

std::string TimelineSvg::draw(std::string_view title) const { return Drawing(*this).draw(title); }

} // namespace ktrt::tools
