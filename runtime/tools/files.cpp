// Whole inputs and atomic outputs, see files.h.
#include "runtime/tools/files.h"

#include <cerrno>
#include <cstring>
#include <unistd.h>
#include <utility>

namespace ktrt::tools {

kt::Result<std::string> readInput(const std::string &path) {
  bool standard = path == "-";
  std::FILE *file = standard ? stdin : std::fopen(path.c_str(), "rb");
  std::string name = standard ? "standard input" : path;
  if (!file)
    return kt::Error{name + ": cannot open: " + std::strerror(errno)};
  std::string text;
  char buffer[1 << 16];
  size_t got;
  errno = 0;
  while ((got = std::fread(buffer, 1, sizeof(buffer), file)) > 0)
    text.append(buffer, got);
  int problem = std::ferror(file) ? errno : 0;
  if (!standard)
    std::fclose(file);
  if (problem)
    return kt::Error{name + ": cannot read: " + std::strerror(problem)};
  return text;
}

kt::Status OutputFile::failed(const char *what) const {
  return kt::Error{path + ": cannot " + what + ": " + std::strerror(errno)};
}

kt::Status OutputFile::open(const std::string &target) {
  path = target;
  // The process id keeps two runs that write the same file apart.
  temporary = target + ".tmp" + std::to_string(getpid());
  file = std::fopen(temporary.c_str(), "wb");
  return file ? kt::Status() : failed("create");
}

kt::Status OutputFile::write(const void *data, size_t bytes) {
  return std::fwrite(data, 1, bytes, file) == bytes ? kt::Status() : failed("write");
}

kt::Status OutputFile::commit() {
  std::FILE *finished = std::exchange(file, nullptr);
  bool written = std::fflush(finished) == 0;
  kt::Status status = written ? kt::Status() : failed("write");
  if (std::fclose(finished) != 0 && written)
    status = failed("write");
  if (status && std::rename(temporary.c_str(), path.c_str()) != 0)
    status = failed("rename");
  if (!status)
    unlink(temporary.c_str());
  return status;
}

OutputFile::~OutputFile() {
  if (!file)
    return;
  std::fclose(file);
  unlink(temporary.c_str());
}

} // namespace ktrt::tools
