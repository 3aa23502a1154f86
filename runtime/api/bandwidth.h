// How fast this machine's memory can be read, measured in the process and with the threads that decode.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstdint>

namespace ktrt::api {

// Reads a buffer of `bytes` bytes, which should be far larger than the caches, with `threads` threads bound to
// the cores that a team of that size uses. Returns bytes per second of the best of `passes` passes. Fails if
// there is no memory for the buffer.
kt::Result<double> measureReadBandwidth(uint32_t threads, uint64_t bytes, uint32_t passes);

} // namespace ktrt::api
