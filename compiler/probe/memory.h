// Buffers of a given kind of page, and how fast they are read.
#pragma once

#include "compiler/policy/machine.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ktc {

// How a buffer is backed. File: a shared file mapping in the page cache (4 KiB pages), as weights that stay in
// their GGUF file are read. Small: anonymous pages of 4 KiB. Huge: anonymous memory that asks for huge pages.
enum class Pages { File, Small, Huge };

// A mapping that is written once by the threads of `cpus`, each its own part, so that its pages lie on their
// nodes. Not valid if there is no memory for it.
class Buffer {
public:
  Buffer(size_t bytes, Pages pages, const std::vector<int> &cpus);
  ~Buffer();
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;

  explicit operator bool() const { return memory; }
  uint8_t *data() const { return memory; }
  size_t size() const { return bytes; }

private:
  uint8_t *memory = nullptr;
  size_t bytes = 0;
};

// Bytes/s that one thread on each of `cpus` reads from `buffer`, each its own part, for about `seconds`: the
// sum of the threads' median rates over pieces of a megabyte, so that interruptions by other programs disturb
// little.
double measureRead(const Buffer &buffer, const std::vector<int> &cpus, double seconds);

} // namespace ktc
