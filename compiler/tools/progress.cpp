// Progress: see the header. Drawn on stderr, so that stdout stays for results.
#include "compiler/tools/progress.h"

#include <cstdio>
#include <unistd.h>

namespace ktc {

Progress::Progress() : terminal(isatty(STDERR_FILENO)) {}

void Progress::phase(const std::string &name) {
  if (!terminal)
    return;
  std::fprintf(stderr, "\r\033[K%s …", name.c_str());
  std::fflush(stderr);
  drawn = true;
}

void Progress::bytes(const std::string &name, uint64_t done, uint64_t total) {
  int percent = total ? static_cast<int>(done * 100.0 / total) : 100;
  if (!terminal || percent == lastPercent)
    return;
  lastPercent = percent;
  constexpr int width = 30;
  std::string bar(percent * width / 100, '#');
  bar.resize(width, '.');
  std::fprintf(stderr, "\r\033[K%s [%s] %3d %%", name.c_str(), bar.c_str(), percent);
  std::fflush(stderr);
  drawn = true;
}

void Progress::finish() {
  if (!drawn)
    return;
  std::fprintf(stderr, "\r\033[K");
  drawn = false;
}

} // namespace ktc
