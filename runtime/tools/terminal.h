// What ktrt shows while it works: a progress bar on terminals, and nothing that spoils logs elsewhere.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace ktrt::tools {

// A bar on standard error that redraws itself and vanishes at the end. Draws nothing if standard error is no
// terminal, or if `enabled` is false.
class ProgressBar {
public:
  explicit ProgressBar(std::string label, bool enabled = true);
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar &) = delete;
  ProgressBar &operator=(const ProgressBar &) = delete;

  // Shows `done` of `total`, and `note` behind the bar. Redraws at most every 50 ms, so it may be called often.
  void update(size_t done, size_t total, const std::string &note = "");
  // Removes the bar, before other text is printed.
  void clear();

private:
  std::string label;
  bool enabled;
  bool drawn = false;
  std::chrono::steady_clock::time_point last;
};

// The line that ProgressBar draws, without control characters; `width` is the number of cells of the bar
// itself.
std::string progressLine(const std::string &label, size_t done, size_t total, size_t width,
                         const std::string &note);

} // namespace ktrt::tools
