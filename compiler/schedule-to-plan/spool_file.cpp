// Unnamed temporary files; see the header.
#include "compiler/schedule-to-plan/spool_file.h"

#include <cerrno>
#include <cstring>
#include <stdlib.h>
#include <unistd.h>
#include <utility>

namespace ktc {

kt::Result<SpoolFile> SpoolFile::create(const std::string &directory) {
  // mkstemp and unlink rather than O_TMPFILE, which network file systems lack.
  std::string name = directory + "/.ktc-spool-XXXXXX";
  SpoolFile file;
  file.directory = directory;
  file.fd = mkstemp(name.data());
  if (file.fd < 0)
    return kt::Error{directory + ": cannot make a temporary file there: " + strerror(errno)};
  unlink(name.c_str());
  return file;
}

SpoolFile::SpoolFile(SpoolFile &&other) noexcept { *this = std::move(other); }

SpoolFile &SpoolFile::operator=(SpoolFile &&other) noexcept {
  std::swap(fd, other.fd);
  std::swap(size, other.size);
  std::swap(directory, other.directory);
  return *this;
}

SpoolFile::~SpoolFile() {
  if (fd >= 0)
    close(fd);
}

kt::Status SpoolFile::append(const void *data, uint64_t bytes) {
  const char *from = static_cast<const char *>(data);
  while (bytes != 0) {
    ssize_t written = pwrite(fd, from, bytes, static_cast<off_t>(size));
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return kt::Error{directory + ": cannot write a temporary file there: " + strerror(errno)};
    from += written;
    size += static_cast<uint64_t>(written);
    bytes -= static_cast<uint64_t>(written);
  }
  return {};
}

} // namespace ktc
