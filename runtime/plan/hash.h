// Hashes of the plan format: whole sections, and a sample of large weight files.
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdint>

namespace ktrt::plan {

// XXH64 with seed 0 of `bytes` bytes at `data`.
inline uint64_t hash64(const void *data, uint64_t bytes) { return XXH64(data, bytes, 0); }

// Identifies a large mapped file without reading all of it: its size, its first MiB (where a GGUF file keeps
// metadata and tensor table) and 64 blocks of 4 KiB spread evenly over the rest. Two files of one model with
// other weights differ in practically every block.
inline uint64_t sampleHash(const uint8_t *data, uint64_t bytes) {
  constexpr uint64_t head = 1u << 20, block = 4096, samples = 64;
  uint64_t first = bytes < head ? bytes : head;
  XXH64_state_t state;
  XXH64_reset(&state, bytes);
  XXH64_update(&state, data, first);
  uint64_t rest = bytes - first;
  if (rest <= block * samples) {
    XXH64_update(&state, data + first, rest);
  } else {
    for (uint64_t i = 0; i < samples; ++i)
      XXH64_update(&state, data + first + (rest - block) / (samples - 1) * i, block);
  }
  return XXH64_digest(&state);
}

} // namespace ktrt::plan
