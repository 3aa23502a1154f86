// Layout of a plan file (.ktp): header, section table, sections. Shared by the compiler's writer and the
// reader.
//
//   offset 0                 PlanHeader (headerBytes long; readers skip what they do not know)
//   headerBytes              sectionCount × PlanSection
//   section offsets          sections, each at a multiple of kSectionAlignment
//
// All numbers are little-endian. Exactly one Program section (a flatbuffer, plan.fbs); any number of the
// others.
#pragma once

#include <cstdint>

namespace ktrt::plan {

inline constexpr char kMagic[8] = {'K', 'T', 'P', 'L', 'A', 'N', '\r', '\n'};
inline constexpr uint32_t kFormatVersion = 1;
inline constexpr uint64_t kSectionAlignment = 4096; // pages: code is mapped executable on its own

struct PlanHeader {
  char magic[8];
  uint32_t formatVersion; // readers refuse other versions
  uint32_t headerBytes;   // sizeof(PlanHeader) of the writer
  uint64_t fileBytes;     // size of the whole file: detects truncation
  uint32_t sectionCount;
  uint32_t sectionBytes; // sizeof(PlanSection) of the writer
  uint64_t tableHash;    // hash64 of the section table
};

enum class SectionKind : uint32_t {
  Program = 1,   // flatbuffer
  Code = 2,      // machine code, mapped read + execute
  Constants = 3, // small read-only data: rope tables, derived weights
  Weights = 4,   // packed GGUF tensors
};

struct PlanSection {
  SectionKind kind;
  uint32_t reserved;
  uint64_t offset; // from the start of the file
  uint64_t bytes;
  uint64_t hash; // hash64 of the section's bytes
};

static_assert(sizeof(PlanHeader) == 40 && sizeof(PlanSection) == 32, "part of the file format");

} // namespace ktrt::plan
