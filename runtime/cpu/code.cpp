// W^X code loading and perf maps; see code.h.
#include "runtime/cpu/code.h"

#include "runtime/plan/message.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace ktrt {

kt::Result<CodeSegment> CodeSegment::load(const uint8_t *code, uint64_t bytes, const std::string &what) {
  CodeSegment segment;
  if (bytes == 0)
    return segment;
  void *base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED)
    return failure("%s: cannot reserve memory for code: %s", what.c_str(), strerror(errno));
  segment.base = static_cast<uint8_t *>(base);
  segment.size = bytes;
  memcpy(base, code, bytes);
  if (mprotect(base, bytes, PROT_READ | PROT_EXEC) != 0)
    return failure("%s: the system does not allow executable memory: %s", what.c_str(), strerror(errno));
  return segment;
}

CodeSegment::CodeSegment(CodeSegment &&other) noexcept
    : base(std::exchange(other.base, nullptr)), size(std::exchange(other.size, 0)) {}

CodeSegment &CodeSegment::operator=(CodeSegment &&other) noexcept {
  std::swap(base, other.base);
  std::swap(size, other.size);
  return *this;
}

CodeSegment::~CodeSegment() {
  if (base)
    munmap(base, size);
}

kt::Status writePerfMap(const std::vector<CodeSymbol> &symbols) {
  std::string path = formatText(P_tmpdir "/perf-%d.map", int(getpid())); // the name is fixed by perf
  FILE *file = fopen(path.c_str(), "ae");
  if (!file)
    return failure("%s: cannot write the perf map: %s", path.c_str(), strerror(errno));
  for (const CodeSymbol &symbol : symbols)
    fprintf(file, "%zx %llx %.*s\n", reinterpret_cast<size_t>(symbol.address),
            static_cast<unsigned long long>(symbol.bytes), int(symbol.name.size()), symbol.name.data());
  if (fclose(file) != 0)
    return failure("%s: cannot write the perf map: %s", path.c_str(), strerror(errno));
  return {};
}

} // namespace ktrt
