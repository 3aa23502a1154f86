// Timing of the attention families for kt-kernel.
#pragma once

#include "templates/x64/x64.h"

namespace ktc::timing {

// Runs the kernel on one thread for m tokens at positions past, past + 1, … over a cache in memory, and prints
// the time per pair of a query row and a position that it sees, and the rate of its products as a share of what
// registers alone reach on this ISA (tdpbf16ps with Amx, else FMA) in the same run. Returns an exit code.
int timeAttention(const std::string &family, const Params &params, x64::Isa isa, const x64::Kernel &kernel,
                  int64_t past);

} // namespace ktc::timing
