// Progress of long work: a bar that redraws itself on a terminal, nothing at all elsewhere.
#pragma once

#include <cstdint>
#include <string>

namespace ktc {

class Progress {
public:
  Progress();
  ~Progress() { finish(); }

  // A new phase without a known length.
  void phase(const std::string &name);
  // Part of a phase that is counted in bytes. Redraws at most when the percentage changes.
  void bytes(const std::string &name, uint64_t done, uint64_t total);
  // Clears the line.
  void finish();

private:
  bool terminal;
  int lastPercent = -1;
  bool drawn = false;
};

} // namespace ktc
