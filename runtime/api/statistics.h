// Order statistics of repeated measurements.
#pragma once

#include "runtime/api/ktrt.h"

#include <algorithm>
#include <vector>

namespace ktrt::api {

// Minimum, median and maximum; the median of an even number is the mean of the middle two. Zeros for no values.
inline KtrtRate summarize(std::vector<double> values) {
  if (values.empty())
    return {};
  std::sort(values.begin(), values.end());
  size_t half = values.size() / 2;
  double median = values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {values.front(), median, values.back()};
}

} // namespace ktrt::api
