// How fast this machine's memory can be read, measured in the process and with the threads that decode.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstdint>
#include <vector>

namespace ktrt::api {

// Reads a buffer of `bytes` bytes, which should be far larger than the caches, with one thread bound to each
// of `cpus` (Session::cpus()). Returns bytes per second of the best of `passes` passes. Fails if there is no
// memory for the buffer.
kt::Result<double> measureReadBandwidth(const std::vector<uint32_t> &cpus, uint64_t bytes, uint32_t passes);

} // namespace ktrt::api
