// MappedFile: one file, mapped read-only, unmapped when the object goes away.
//
// The reader works on the mapping so that a 400 GB model costs only the pages of its header. The mapping is
// private and read-only; as with every mapping, a file that another process truncates meanwhile faults.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace ktc {

class MappedFile {
public:
  // Maps the regular, non-empty file `path`. Errors name the path and the reason of the system.
  static ::kt::Result<MappedFile> open(const std::string &path);

  MappedFile() = default;
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;
  ~MappedFile();

  // All bytes of the file; valid as long as this object (or the one it was moved to) lives.
  std::span<const uint8_t> bytes() const { return {base, size}; }

private:
  const uint8_t *base = nullptr;
  size_t size = 0;
};

} // namespace ktc
