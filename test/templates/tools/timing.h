// Timing of matrix kernels: `kt-kernel --time`.
#pragma once

#include "templates/x64/x64.h"

#include <string>
#include <vector>

namespace ktc::timing {

// What `--time` runs.
struct Settings {
  std::string family; // linear, gate_up or down
  x64::Isa isa = x64::Isa::Avx2;
  int64_t threads = 1;
  size_t streamBytes = 0; // weights are read from a buffer of at least this size; 0: one matrix, in the cache
  bool hugePages = true;
  bool besideTiles = false; // streaming, AMX: compare with int8 tile products of registers instead of reading
};

// One of the kernels that are compared, and what is said in front of its results.
struct Variant {
  Params params;
  x64::Kernel kernel;
  std::string label;
};

// Runs the kernels again and again and prints a line for each: time, bytes of weights per second, weights and
// products per cycle and thread.
// Without streamBytes that is the fastest run. With streamBytes, short slices of all kernels alternate with
// slices in which the same threads only read the same memory (or, besideTiles, multiply tiles that stay in
// registers): the speed of memory and of cores changes by half within a second where others share them. The
// line then has the medians of both rates, the median of the ratio of a slice to the reference right before and
// after it, and the quartiles of that. Returns an exit code; messages go to stderr.
int run(const Settings &settings, const std::vector<Variant> &variants);

} // namespace ktc::timing
