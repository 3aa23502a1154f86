// Progress bar, see terminal.h.
#include "runtime/tools/terminal.h"

#include <algorithm>
#include <cstdio>
#include <unistd.h>
#include <utility>

namespace ktrt::tools {

std::string progressLine(const std::string &label, size_t done, size_t total, size_t width,
                         const std::string &note) {
  double share = total ? std::min(1.0, static_cast<double>(done) / static_cast<double>(total)) : 0;
  size_t filled = static_cast<size_t>(share * static_cast<double>(width));
  std::string line = label + " [" + std::string(filled, '=') + std::string(width - filled, ' ') + "] ";
  line += std::to_string(static_cast<int>(share * 100)) + "%";
  return note.empty() ? line : line + "  " + note;
}

ProgressBar::ProgressBar(std::string label, bool enabled)
    : label(std::move(label)), enabled(enabled && isatty(STDERR_FILENO)) {}

void ProgressBar::update(size_t done, size_t total, const std::string &note) {
  auto now = std::chrono::steady_clock::now();
  if (!enabled || (drawn && now - last < std::chrono::milliseconds(50)))
    return;
  last = now;
  drawn = true;
  std::fprintf(stderr, "\r%s\x1b[K", progressLine(label, done, total, 30, note).c_str());
}

void ProgressBar::clear() {
  if (std::exchange(drawn, false))
    std::fputs("\r\x1b[K", stderr);
}

} // namespace ktrt::tools
