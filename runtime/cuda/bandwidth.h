// How fast a GPU's memory can be read, measured in the process that decodes.
#pragma once

#include "runtime/cuda/gpu.h"

namespace ktrt::cuda {

// Bytes per second that the GPU reads and writes while it copies within its memory (a copy counts twice), the
// best of some passes. Takes up to 1 GiB of free memory for the time of the call. Fails if there is too little.
kt::Result<double> measureBandwidth(Gpu &gpu);

} // namespace ktrt::cuda
