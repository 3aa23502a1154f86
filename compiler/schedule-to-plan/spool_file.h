// SpoolFile: an unnamed temporary file for data that is computed once and copied into the plan later.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstdint>
#include <string>

namespace ktc {

// The file has no name from the start, so that it disappears with the object or with the process, whatever
// happens.
class SpoolFile {
public:
  // Makes a file on the file system that holds `directory`.
  static kt::Result<SpoolFile> create(const std::string &directory);

  SpoolFile() = default;
  SpoolFile(SpoolFile &&other) noexcept;
  SpoolFile &operator=(SpoolFile &&other) noexcept;
  ~SpoolFile();

  // Appends bytes; errors give the reason of the system (a full disk).
  kt::Status append(const void *data, uint64_t bytes);

  int descriptor() const { return fd; }
  uint64_t bytes() const { return size; }

private:
  int fd = -1;
  uint64_t size = 0;
  std::string directory;
};

} // namespace ktc
