// A whole file mapped read-only: plans and linked weight files.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstdint>
#include <string>

namespace ktrt {

// Owns a read-only mapping of a file. Empty files map to a null pointer and 0 bytes. Movable.
class MappedFile {
public:
  // Maps the file at `path`. The error names the path and the reason of the system.
  static kt::Result<MappedFile> open(const std::string &path);

  MappedFile() = default;
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  ~MappedFile();

  const uint8_t *data() const { return base; }
  uint64_t bytes() const { return size; }
  const std::string &path() const { return name; }

  // Tells the kernel that the range will be read soon, or reads all of it in before returning (`now`).
  // Offsets outside the file are clipped. Failure only costs time and is ignored.
  void prefetch(uint64_t offset, uint64_t length, bool now) const;

private:
  std::string name;
  uint8_t *base = nullptr;
  uint64_t size = 0;
};

} // namespace ktrt
