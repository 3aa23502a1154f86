// Anonymous memory; see arena.h.
#include "runtime/memory/arena.h"

#include "runtime/plan/message.h"

#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <sys/mman.h>
#include <utility>

namespace ktrt {

static constexpr uint64_t kHugePage = 2u << 20;
static constexpr uint64_t kMaxArena = uint64_t(1) << 47; // user address space of x86-64

kt::Result<ArenaMemory> ArenaMemory::allocate(uint64_t bytes, bool hugePages, const std::string &what) {
  ArenaMemory memory;
  if (bytes == 0)
    return memory;
  if (bytes > kMaxArena)
    return failure("%s: %" PRIu64 " bytes are more than an address space holds", what.c_str(), bytes);
  bool align = hugePages && bytes >= kHugePage;
  memory.mapped = bytes + (align ? kHugePage : 0);
  memory.mapping = mmap(nullptr, memory.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory.mapping == MAP_FAILED) {
    memory.mapping = nullptr;
    return failure("%s: cannot reserve %" PRIu64 " bytes of memory: %s", what.c_str(), bytes, strerror(errno));
  }
  uintptr_t base = reinterpret_cast<uintptr_t>(memory.mapping);
  if (align) {
    base = (base + kHugePage - 1) / kHugePage * kHugePage;
    madvise(reinterpret_cast<void *>(base), bytes, MADV_HUGEPAGE);
  }
  memory.base = reinterpret_cast<uint8_t *>(base);
  memory.size = bytes;
  return memory;
}

ArenaMemory::ArenaMemory(ArenaMemory &&other) noexcept
    : base(std::exchange(other.base, nullptr)), size(std::exchange(other.size, 0)),
      mapping(std::exchange(other.mapping, nullptr)), mapped(std::exchange(other.mapped, 0)) {}

ArenaMemory &ArenaMemory::operator=(ArenaMemory &&other) noexcept {
  std::swap(base, other.base);
  std::swap(size, other.size);
  std::swap(mapping, other.mapping);
  std::swap(mapped, other.mapped);
  return *this;
}

ArenaMemory::~ArenaMemory() {
  if (mapping)
    munmap(mapping, mapped);
}

} // namespace ktrt
