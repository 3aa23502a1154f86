// Writes plan files. Used by the compiler and by tests; lives here because the runtime owns the format.
//
// Sections are streamed piece by piece through a small buffer, so that a plan may pack weights of any size. The
// file is written beside its destination, synced and renamed: readers see the old plan or the whole new one.
#pragma once

#include "runtime/abi/result.hpp"
#include "runtime/plan/header.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace ktrt::plan {

// Contents of one section: pieces one after the other, each aligned, gaps filled with zeros. Nothing is copied
// until the plan is written, so memory and descriptors given here must live until then.
class SectionSource {
public:
  explicit SectionSource(SectionKind kind) : sectionKind(kind) {}

  // Appends bytes in memory (or a mapped file). Returns their offset in the section. `alignment` is a power of
  // two of at most kSectionAlignment.
  uint64_t add(const void *data, uint64_t bytes, uint64_t alignment = 64);
  // Appends `bytes` bytes of the open file `fd` from `offset`. Returns their offset in the section. The file is
  // read with pread while writing, which keeps large models out of this process's memory.
  uint64_t addFile(int fd, uint64_t offset, uint64_t bytes, uint64_t alignment = 64);

  SectionKind kind() const { return sectionKind; }
  uint64_t bytes() const { return size; }

private:
  friend class PlanWriter;
  struct Piece {
    const uint8_t *data; // null: from fd
    int fd;
    uint64_t fileOffset;
    uint64_t offset; // in the section
    uint64_t bytes;
  };
  uint64_t append(Piece piece, uint64_t alignment);

  SectionKind sectionKind;
  uint64_t size = 0;
  std::vector<Piece> pieces;
};

// Called with bytes written so far and in total; only for progress bars.
using WriteProgress = std::function<void(uint64_t done, uint64_t total)>;

// Writes a plan with these sections, in this order (indices in the program refer to it), to `path`. On failure
// the error names the file and the reason, and nothing new is left on disk.
kt::Status writePlan(const std::string &path, const std::vector<SectionSource> &sections,
                     const WriteProgress &progress = {});

} // namespace ktrt::plan
