// A catalogue of GPU kernels, as a text file: which kernels must compile for every target, and well.
#pragma once

#include "compiler/schedule-to-kernels/cuda/compiler.h"

#include <cstdio>
#include <string>
#include <vector>

namespace ktc::catalogue {

// A line `family name=value …`; `spill` and `registers` are no parameters but the limits of this kernel. A line
// with values `*` is an entry for every weight format, which stands for each `*`.
struct Entry {
  std::string family;
  Params params;
  uint32_t maxSpillBytes = 0;
  uint32_t maxRegisters = 255;
  size_t line = 0;
};

// Reads a catalogue. `#` begins a comment. Errors name file and line.
kt::Result<std::vector<Entry>> read(const std::string &file);

// Compiles all entries for `target`, on as many threads as there are processors. Prints a line for each failure
// and a sum, with `verbose` a line for each kernel, to `stream`. A kernel fails that cannot be made, spills
// more than its limit or needs more registers.
bool compileAll(const cuda::Compiler &compiler, const std::vector<Entry> &entries, const cuda::Target &target,
                bool verbose, FILE *stream);

// True if there is an entry of every family; prints the families without one.
bool hasAllFamilies(const std::vector<Entry> &entries, FILE *stream);

} // namespace ktc::catalogue
