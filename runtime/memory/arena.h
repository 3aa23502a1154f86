// Anonymous memory for arenas (activations, KV cache, I/O) and scratch.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstdint>
#include <string>

namespace ktrt {

// Owns one zero-filled, page-aligned allocation that lives as long as a session. Pages appear when they are
// first touched, so a KV cache for a long context costs only what is used. Movable.
class ArenaMemory {
public:
  // Reserves `bytes` bytes. With `hugePages` the kernel is advised to back it with huge pages, and allocations
  // of 2 MiB or more start at a multiple of 2 MiB. `what` names the arena in the error, e.g. "arenas[1] (kv)".
  static kt::Result<ArenaMemory> allocate(uint64_t bytes, bool hugePages, const std::string &what);

  ArenaMemory() = default;
  ArenaMemory(ArenaMemory &&other) noexcept;
  ArenaMemory &operator=(ArenaMemory &&other) noexcept;
  ~ArenaMemory();

  uint8_t *data() const { return base; }
  uint64_t bytes() const { return size; }

private:
  uint8_t *base = nullptr;
  uint64_t size = 0;
  void *mapping = nullptr; // what munmap takes back; includes the slack before `base`
  uint64_t mapped = 0;
};

} // namespace ktrt
