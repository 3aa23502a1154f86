// Rotary position tables, in double precision; see the header.
#include "compiler/schedule-to-plan/rope_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ktc {

// The (fractional) pair that turns `rotations` times within the trained context.
static double pairOf(model::RopeAttr rope, double rotations) {
  double context = static_cast<double>(rope.getOriginalContext());
  return static_cast<double>(rope.getDims()) * std::log(context / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(rope.getBase()));
}

// YaRN: pairs that turn often keep their frequency, pairs that turn less than once are interpolated, and a ramp
// leads from one to the other.
static void applyYarn(model::RopeAttr rope, std::vector<double> &frequencies) {
  double low = pairOf(rope, rope.getBetaFast()), high = pairOf(rope, rope.getBetaSlow());
  if (rope.getWholePairs()) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(0.0, low);
  high = std::min(static_cast<double>(rope.getDims() - 1), high);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    double ramp = std::clamp((static_cast<double>(i) - low) / std::max(0.001, high - low), 0.0, 1.0);
    frequencies[i] = frequencies[i] / rope.getFactor() * ramp + frequencies[i] * (1 - ramp);
  }
}

std::vector<double> ropeFrequencies(model::RopeAttr rope, std::span<const float> factors) {
  std::vector<double> frequencies(static_cast<size_t>(rope.getDims()) / 2);
  for (size_t i = 0; i < frequencies.size(); ++i)
    frequencies[i] =
        std::pow(rope.getBase(), -2.0 * static_cast<double>(i) / static_cast<double>(rope.getDims()));
  if (rope.getScaling() == "yarn")
    applyYarn(rope, frequencies);
  else if (rope.getScaling() == "linear")
    for (double &frequency : frequencies)
      frequency /= rope.getFactor();
  for (size_t i = 0; i < factors.size(); ++i)
    frequencies[i] /= factors[i];
  return frequencies;
}

void ropeRows(std::span<const double> frequencies, double magnitude, uint64_t first, std::span<float> out) {
  size_t pairs = frequencies.size();
  for (size_t row = 0; row < out.size() / (2 * pairs); ++row) {
    double position = static_cast<double>(first + row);
    for (size_t i = 0; i < pairs; ++i) {
      double angle = position * frequencies[i];
      out[2 * (row * pairs + i)] = static_cast<float>(std::cos(angle) * magnitude);
      out[2 * (row * pairs + i) + 1] = static_cast<float>(std::sin(angle) * magnitude);
    }
  }
}

} // namespace ktc
