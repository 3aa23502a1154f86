// Reads a plan file: maps it, checks header, section table, hashes and contents, and gives typed access.
//
// Trust: the code in a plan is trusted as a shared library is. Everything else may be damaged, truncated or
// written for something else, and is checked here once, so that no later stage checks again.
#pragma once

#include "plan_generated.h"
#include "runtime/abi/result.hpp"
#include "runtime/memory/mapped_file.h"
#include "runtime/plan/header.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ktrt::plan {

// An open, verified plan. Movable; everything it hands out lives as long as it does.
class PlanFile {
public:
  struct Options {
    bool hashWeights = false; // also hash weight sections: reads the whole file
  };

  // Opens and fully checks the plan at `path`. Errors begin with the path and name `table[index]`.
  static kt::Result<PlanFile> open(const std::string &path, const Options &options);
  static kt::Result<PlanFile> open(const std::string &path) { return open(path, Options()); }

  const std::string &path() const { return file.path(); }
  const Plan &plan() const { return *program; }
  const PlanHeader &header() const { return head; }
  std::span<const PlanSection> sections() const { return table; }
  // First byte of section `index`; its size is sections()[index].bytes.
  const uint8_t *section(uint32_t index) const { return file.data() + table[index].offset; }
  const MappedFile &mapping() const { return file; }

private:
  kt::Status readHeader();
  kt::Status readSections();
  kt::Status checkHashes(bool weights) const;
  kt::Status readProgram();

  MappedFile file;
  PlanHeader head{};
  std::vector<PlanSection> table; // copied: a writer of a later version may use longer records
  const Plan *program = nullptr;
};

// "program", "code", "constants", "weights", or "unknown".
const char *sectionKindName(SectionKind kind);

} // namespace ktrt::plan
