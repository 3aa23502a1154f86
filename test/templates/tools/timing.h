// Timing of single matrix kernels: `kt-kernel --time`.
#pragma once

#include "templates/x64/x64.h"

#include <string>

namespace ktc::timing {

// What `--time` runs.
struct Settings {
  std::string family; // linear, gate_up or down
  x64::Isa isa = x64::Isa::Avx2;
  Params params;
  int64_t threads = 1;
  int64_t streamBytes = 0; // weights are read from a buffer of at least this size; 0: one matrix, in the cache
  bool hugePages = true;
};

// Runs `kernel` (of these settings) again and again and prints the rate of the fastest run: time, bytes of
// weights per second, weights and products per cycle and thread; with streamBytes also the rate at which the
// same threads only read the same buffer. Returns an exit code; messages go to stderr.
int run(const Settings &settings, const x64::Kernel &kernel);

} // namespace ktc::timing
