// A catalogue of GPU kernels, as a text file: which kernels must compile for every target, and well.
#pragma once

#include "compiler/schedule-to-kernels/cuda/compiler.h"

#include <cstdio>
#include <string>
#include <vector>

namespace ktc::catalogue {

// A line `family name=value …`; `spill` and `registers` are no parameters but the limits of this kernel.
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
// more than its limit or needs more registers, and a family fails of which there is no entry.
bool compileAll(const cuda::Compiler &compiler, const std::vector<Entry> &entries, const cuda::Target &target,
                bool verbose, FILE *stream);

} // namespace ktc::catalogue
