// MappedFile: see the header. POSIX only, like the rest of the compiler.
#include "compiler/gguf-to-model/mapped_file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace ktc {

::kt::Result<MappedFile> MappedFile::open(const std::string &path) {
  auto fail = [&](const std::string &reason) { return ::kt::Error{path + ": cannot be read: " + reason}; };
  // O_NONBLOCK: opening a FIFO must not wait for a writer; it has no effect on regular files.
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return fail(std::strerror(errno));
  struct stat status{};
  if (::fstat(fd, &status) != 0) {
    int code = errno;
    ::close(fd);
    return fail(std::strerror(code));
  }
  if (!S_ISREG(status.st_mode) || status.st_size <= 0) {
    ::close(fd);
    return fail(S_ISREG(status.st_mode) ? "the file is empty" : "expected a regular file");
  }
  size_t size = static_cast<size_t>(status.st_size);
  void *address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  int code = errno;
  ::close(fd);
  if (address == MAP_FAILED)
    return fail(std::strerror(code));
  MappedFile file;
  file.base = static_cast<const uint8_t *>(address);
  file.size = size;
  return file;
}

MappedFile::MappedFile(MappedFile &&other) noexcept
    : base(std::exchange(other.base, nullptr)), size(std::exchange(other.size, 0)) {}

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(base, other.base);
  std::swap(size, other.size);
  return *this;
}

MappedFile::~MappedFile() {
  if (base)
    ::munmap(const_cast<uint8_t *>(base), size);
}

} // namespace ktc
