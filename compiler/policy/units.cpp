// Parsers and printers of sizes, devices and layer ranges.
#include "compiler/policy/units.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace ktc::policy {
namespace {

constexpr int kLastLayer = 1'000'000; // open ranges end here; no model comes near
constexpr int kMaxGpus = 64;

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

struct Unit {
  std::string_view name;
  double bytes;
};
constexpr Unit kUnits[] = {{"", 1},      {"B", 1},        {"KB", 1e3},     {"MB", 1e6},     {"GB", 1e9},
                           {"TB", 1e12}, {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};

bool parseLayer(std::string_view text, int &layer) {
  text = trim(text);
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), layer);
  return !text.empty() && code == std::errc() && end == text.data() + text.size() && layer >= 0 &&
         layer < kLastLayer;
}

} // namespace

kt::Result<uint64_t> parseSize(std::string_view text) {
  std::string_view rest = trim(text);
  double number = 0;
  auto [end, code] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  auto bad = [&](const std::string &why) {
    return kt::Error{"bad size '" + std::string(text.substr(0, 60)) + "': " + why};
  };
  if (code != std::errc() || !std::isfinite(number) || number < 0)
    return bad("expected a number and a unit, such as 24GiB");
  std::string_view name = trim(rest.substr(end - rest.data()));
  for (const Unit &unit : kUnits)
    if (name == unit.name) {
      if (number * unit.bytes >= 0x1p63)
        return bad("too large");
      return static_cast<uint64_t>(number * unit.bytes);
    }
  if (name.size() == 1 && std::string_view("kKmMgGtT").find(name[0]) != std::string_view::npos) {
    std::string letter(1, static_cast<char>(name[0] & ~0x20));
    return bad("say " + letter + "iB (powers of 1024) or " + letter + "B (powers of 1000)");
  }
  return bad("unknown unit '" + std::string(name.substr(0, 20)) +
             "'; known: B, KB, MB, GB, TB, KiB, MiB, GiB, TiB");
}

std::string formatBytes(uint64_t bytes) {
  static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 999.5 && unit < 6) {
    value /= 1024;
    ++unit;
  }
  char buffer[32];
  int digits = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  std::snprintf(buffer, sizeof(buffer), "%.*f %s", digits, value, names[unit]);
  return buffer;
}

kt::Result<std::string> parseDevice(std::string_view text, bool allowAuto) {
  std::string_view name = trim(text);
  if (name == "cpu" || (allowAuto && name == "auto"))
    return std::string(name);
  if (name == "cuda")
    return std::string("cuda:0");
  if (name.rfind("cuda:", 0) == 0) {
    std::string_view digits = name.substr(5);
    int index = 0;
    auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (!digits.empty() && code == std::errc() && end == digits.data() + digits.size() && index >= 0 &&
        index < kMaxGpus)
      return "cuda:" + std::to_string(index);
  }
  return kt::Error{"unknown device '" + std::string(name.substr(0, 60)) + "'; known: cpu, cuda, cuda:N" +
                   (allowAuto ? ", auto" : "")};
}

kt::Result<std::vector<LayerRange>> parseLayers(std::string_view text) {
  auto bad = [&](const std::string &why) {
    return kt::Error{"bad layers '" + std::string(text.substr(0, 60)) + "': " + why};
  };
  std::vector<LayerRange> ranges;
  std::string_view rest = text;
  while (true) {
    size_t comma = rest.find(',');
    std::string_view part = trim(rest.substr(0, comma));
    size_t dash = part.find('-');
    LayerRange range;
    if (!parseLayer(part.substr(0, dash), range.first))
      return bad("expected numbers and ranges, such as 0-9,12,40-");
    range.last = range.first;
    if (dash != std::string_view::npos) {
      if (trim(part.substr(dash + 1)).empty())
        range.last = kLastLayer;
      else if (!parseLayer(part.substr(dash + 1), range.last))
        return bad("expected numbers and ranges, such as 0-9,12,40-");
    }
    if (range.last < range.first)
      return bad("the range " + std::string(part) + " ends before it begins");
    ranges.push_back(range);
    if (comma == std::string_view::npos)
      return ranges;
    rest.remove_prefix(comma + 1);
  }
}

bool containsLayer(const std::vector<LayerRange> &ranges, int layer) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const LayerRange &range) { return range.first <= layer && layer <= range.last; });
}

bool containsLayers(const std::vector<LayerRange> &outer, const std::vector<LayerRange> &inner) {
  // Ranges of `outer` may overlap or touch: walk each inner range from its first layer as far as any range
  // reaches.
  for (const LayerRange &range : inner) {
    int next = range.first;
    bool advanced = true;
    while (next <= range.last && advanced) {
      advanced = false;
      for (const LayerRange &cover : outer)
        if (cover.first <= next && next <= cover.last) {
          next = cover.last + 1;
          advanced = true;
        }
    }
    if (next <= range.last)
      return false;
  }
  return true;
}

std::string foldLayers(const std::vector<int> &layers) {
  std::string text;
  for (size_t i = 0; i < layers.size();) {
    size_t end = i + 1;
    while (end < layers.size() && layers[end] == layers[end - 1] + 1)
      ++end;
    text += (text.empty() ? "" : ",") + std::to_string(layers[i]);
    if (end - i > 1)
      text += "-" + std::to_string(layers[end - 1]);
    i = end;
  }
  return text;
}

} // namespace ktc::policy
