// Reading GGUF files by descriptor; see the header.
#include "compiler/schedule-to-plan/model_files.h"

#include "runtime/plan/hash.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ktc {

ModelFiles::ModelFiles(const GgufModel &model) : model(model), descriptors(model.files().size(), -1) {}

ModelFiles::~ModelFiles() {
  for (int fd : descriptors)
    if (fd >= 0)
      close(fd);
}

kt::Result<int> ModelFiles::descriptor(uint32_t file) {
  if (file >= descriptors.size())
    return kt::Error{"the schedule names model file " + std::to_string(file) + ", but the model has " +
                     std::to_string(descriptors.size())};
  if (descriptors[file] >= 0)
    return descriptors[file];
  const GgufFile &expected = info(file);
  int fd = open(expected.path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return kt::Error{expected.path + ": cannot open: " + strerror(errno)};
  descriptors[file] = fd;
  struct stat found;
  if (fstat(fd, &found) != 0 || static_cast<uint64_t>(found.st_size) != expected.bytes)
    return kt::Error{expected.path + ": changed while it was compiled: expected " +
                     std::to_string(expected.bytes) + " bytes"};
  return fd;
}

kt::Status ModelFiles::checkRange(uint32_t file, uint64_t offset, uint64_t bytes,
                                  const std::string &what) const {
  if (file >= descriptors.size())
    return kt::Error{what + ": expected a model file in 0.." + std::to_string(descriptors.size() - 1) +
                     ", found " + std::to_string(file)};
  uint64_t size = info(file).bytes;
  if (offset > size || bytes > size - offset)
    return kt::Error{what + ": bytes " + std::to_string(offset) + " + " + std::to_string(bytes) +
                     " are outside the " + std::to_string(size) + " of " + info(file).path};
  return {};
}

kt::Status ModelFiles::read(uint32_t file, uint64_t offset, void *destination, uint64_t bytes) {
  kt::Result<int> fd = descriptor(file);
  if (!fd)
    return fd.error();
  char *to = static_cast<char *>(destination);
  while (bytes != 0) {
    ssize_t got = pread(*fd, to, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return kt::Error{info(file).path + ": cannot read at byte " + std::to_string(offset) + ": " +
                       (got == 0 ? "the file ends there" : strerror(errno))};
    to += got;
    offset += static_cast<uint64_t>(got);
    bytes -= static_cast<uint64_t>(got);
  }
  return {};
}

kt::Result<uint64_t> ModelFiles::sampleHash(uint32_t file) {
  kt::Result<MappedFile> mapping = MappedFile::open(info(file).path);
  if (!mapping)
    return mapping.error();
  return ktrt::plan::sampleHash(mapping->bytes().data(), mapping->bytes().size());
}

} // namespace ktc
