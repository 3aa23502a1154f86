// Measuring on a busy machine: what kt-kernel's timings of all families share.
#pragma once

#include "templates/x64/x64.h"

#include <algorithm>

namespace ktc::timing {

// Seconds that this thread has run: unlike the time of day it stands still while others have the core.
double threadSeconds();

// Seconds of the fastest of many runs that take `budget` seconds together: the others were disturbed.
template <typename Work> double fastest(Work work, double budget) {
  double best = 1e9;
  const double start = threadSeconds();
  do {
    const double begin = threadSeconds();
    work();
    best = std::min(best, threadSeconds() - begin);
  } while (threadSeconds() - start < budget);
  return best;
}

// Cycles per second, from a chain of dependent multiplications of three cycles each.
double coreFrequency();

// A mapping filled with a byte that is a sensible scale in every format; null if there is no memory. Never
// freed.
char *allocate(size_t bytes, bool hugePages = true);

// The kernel in executable memory; null if there is none. Never freed.
KtKernelFn loadCode(const x64::Kernel &kernel);

// Asks the operating system for the right to use AMX tiles.
bool requestTiles();

// Multiplies int8 tiles of 16 x 64 and 64 x 16 values in registers, `count` times (rounded up to a multiple of
// four, two by two tiles as kernels do). After requestTiles(); loses what this thread has in its tiles.
void multiplyTiles(int64_t count);
constexpr double productsPerTile = 16 * 16 * 64;

} // namespace ktc::timing
