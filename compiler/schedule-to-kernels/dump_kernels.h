// Text and file forms of a CodeImage: `--emit kernels` and `--dump-kernels DIR`.
#pragma once

#include "compiler/schedule-to-kernels/code_image.h"
#include "runtime/abi/result.hpp"

#include "llvm/Support/raw_ostream.h"

#include <string>

namespace ktc {

// Prints, per kernel, its symbol, family and parameters, and a line per instruction set with its sizes and per
// GPU target with what it uses and how it is launched; with `disassembly` also the code for CPUs. Addresses
// count from the start of the kernel.
void printKernels(const CodeImage &image, llvm::raw_ostream &stream, bool disassembly);

// Writes `<symbol>.<isa>.bin` (code and constants) and `<symbol>.<isa>.asm` (disassembly, constants as bytes)
// for every kernel, for GPUs `<symbol>.<target>.cubin` (or .ptx), .cu (source) and .log (of the compiler), and
// the index `kernels.txt`, into `directory`, which is made if it does not exist. Characters of a symbol that do
// not belong into file names become `_`. Errors name the file and the reason of the system.
kt::Status dumpKernels(const CodeImage &image, const std::string &directory);

} // namespace ktc
