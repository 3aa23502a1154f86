// How fast this machine's memory can be read, measured in the process and on the cores that decode.
#pragma once

#include "runtime/abi/result.hpp"
#include "runtime/cpu/team.h"
#include "runtime/memory/arena.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace ktrt::api {

// Measures as often as asked. Memory that other programs or other machines use too changes its speed within
// seconds, so a rate says something about what is measured right before or after it only.
class ReadMeter {
public:
  // With one thread bound to each of `cpus` (Session::cpus()), and a buffer of `bytes` bytes, which should be
  // far larger than the caches. Fails if there is no memory for it.
  static kt::Result<ReadMeter> create(const std::vector<uint32_t> &cpus, uint64_t bytes);

  // Reads the buffer `passes` times: bytes per second of the median pass.
  double measure(uint32_t passes);

private:
  ReadMeter() = default;
  std::unique_ptr<Team> team;
  ArenaMemory buffer;
  uint64_t slice = 0; // bytes per thread
};

} // namespace ktrt::api
