// Read-only file mappings; see mapped_file.h.
#include "runtime/memory/mapped_file.h"

#include "runtime/plan/message.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace ktrt {

kt::Result<MappedFile> MappedFile::open(const std::string &path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return failure("%s: cannot open: %s", path.c_str(), strerror(errno));
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd);
    return failure("%s: not a regular file", path.c_str());
  }
  MappedFile file;
  file.name = path;
  file.size = uint64_t(info.st_size);
  if (file.size != 0) {
    void *base = mmap(nullptr, file.size, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
      int reason = errno;
      close(fd);
      file.size = 0;
      return failure("%s: cannot map: %s", path.c_str(), strerror(reason));
    }
    file.base = static_cast<uint8_t *>(base);
  }
  close(fd); // the mapping keeps the file
  return file;
}

MappedFile::MappedFile(MappedFile &&other) noexcept
    : name(std::move(other.name)), base(std::exchange(other.base, nullptr)),
      size(std::exchange(other.size, 0)) {}

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(name, other.name);
  std::swap(base, other.base);
  std::swap(size, other.size);
  return *this;
}

MappedFile::~MappedFile() {
  if (base)
    munmap(base, size);
}

void MappedFile::prefetch(uint64_t offset, uint64_t length, bool now) const {
  if (offset >= size)
    return;
  if (length > size - offset)
    length = size - offset;
  uint64_t page = uint64_t(sysconf(_SC_PAGESIZE));
  uint64_t skew = offset % page;
  uint8_t *first = base + (offset - skew);
  length += skew;
#ifdef MADV_POPULATE_READ
  if (now && madvise(first, length, MADV_POPULATE_READ) == 0)
    return;
#endif
  madvise(first, length, MADV_WILLNEED);
  if (!now)
    return;
  // Kernels before 5.14: touch a byte of every page.
  volatile uint8_t sink = 0;
  for (uint64_t i = 0; i < length; i += page)
    sink = uint8_t(sink + first[i]);
}

} // namespace ktrt
