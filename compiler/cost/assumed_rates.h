// What kernels are assumed to reach on a machine that was not measured.
#pragma once

#include "compiler/cost/work.h"
#include "compiler/policy/machine.h"
#include "templates/x64/x64.h"

#include <string>

namespace ktc {

// Bytes/s that `cores` cores read together: 10 GB/s each for the first eight, 4 GB/s each for the others, which
// share the memory channels, and at most 200 GB/s per NUMA node.
double assumedBandwidth(int cores, int numaNodes);

// Rates of the kernels of one weight format on all of `cores` cores, where all cores read `bandwidth` bytes/s.
policy::FormatRates assumedFormatRates(x64::Isa isa, const std::string &format, int cores, double bandwidth);

// Items/s of one core for a dispatch of another family.
double assumedItemRate(x64::Isa isa, const DispatchShape &dispatch);

} // namespace ktc
