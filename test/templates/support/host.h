// Which ISA levels the test machine can run, asked from the CPU itself.
#pragma once

#include "templates/x64/x64.h"

#include <cstdint>
#include <vector>

namespace ktc::test {

// True when the host can execute kernels of `isa`. Amx counts where Avx512 runs as long as no kernel uses
// tiles.
bool hostRuns(x64::Isa isa);

// Levels to test, in order; prints a line for each level that the host cannot run, so that a skip is visible.
std::vector<x64::Isa> runnableIsas();

} // namespace ktc::test
