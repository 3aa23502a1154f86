// CodeImage: the machine code of all kernels of a schedule, one segment per instruction set.
//
// The generators are told the instruction set, so an image for any x86-64 machine is made on any other. A
// segment becomes a code section of the plan as it is.
#pragma once

#include "dialects/schedule/Schedule.h"
#include "templates/x64/x64.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ktc {

// A kernel of the schedule. Its index in CodeImage::kernels is also its index in every segment.
struct KernelInfo {
  std::string symbol; // of the sched.kernel
  std::string family;
  Params params;
};

// Where a kernel lies in a segment. Kernels with equal bytes share their place.
struct KernelCode {
  uint64_t offset = 0;       // a multiple of KT_BUFFER_ALIGNMENT
  uint64_t bytes = 0;        // code, padding and constants
  uint64_t codeBytes = 0;    // of them instructions
  uint64_t scratchBytes = 0; // per thread
};

struct CodeSegment {
  x64::Isa isa = x64::Isa::Avx2;
  std::vector<uint8_t> bytes;
  std::vector<KernelCode> kernels;

  // All bytes of kernel `index`, and its instructions alone.
  std::span<const uint8_t> image(size_t index) const {
    return {bytes.data() + kernels[index].offset, kernels[index].bytes};
  }
  std::span<const uint8_t> code(size_t index) const {
    return {bytes.data() + kernels[index].offset, kernels[index].codeBytes};
  }
};

struct CodeImage {
  std::vector<KernelInfo> kernels;   // in the order of the module
  std::vector<CodeSegment> segments; // in the order they were asked for
};

// Generates every `sched.kernel` of `module` for every level of `isas` (each at most once), on the threads of
// the module's context. Failures are reported on the kernel operations, naming kernel and instruction set: all
// of them, not only the first.
mlir::FailureOr<CodeImage> generateKernels(mlir::ModuleOp module, std::span<const x64::Isa> isas);

} // namespace ktc
