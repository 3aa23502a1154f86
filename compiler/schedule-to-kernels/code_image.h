// CodeImage: the machine code of all kernels of a schedule, one segment per instruction set and per GPU target.
//
// The generators are told the instruction set, so an image for any x86-64 machine and any GPU is made on any
// machine. A segment that is not empty becomes a code section of the plan as it is.
#pragma once

#include "compiler/schedule-to-kernels/gpu_segment.h"
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
  bool onCpu = true;  // a CPU lane dispatches it, or nobody does
  bool onGpu = false; // a GPU lane dispatches it
};

// Where a kernel lies in a segment. Kernels with equal bytes share their place.
struct KernelCode {
  uint64_t offset = 0;       // a multiple of KT_BUFFER_ALIGNMENT
  uint64_t bytes = 0;        // code, padding and constants; 0: no CPU lane runs this kernel
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
  std::vector<KernelInfo> kernels;     // in the order of the module
  std::vector<CodeSegment> segments;   // in the order they were asked for
  std::vector<GpuSegment> gpuSegments; // likewise; none if no GPU lane has a dispatch
};

// Generates every `sched.kernel` of `module`: those that CPU lanes dispatch for every level of `isas`, those
// that GPU lanes dispatch for every target of `gpu` (each level and target at most once), both on several
// threads. Failures are reported on the kernel operations, naming kernel and target: all of them, not only the
// first. NVRTC is looked for only if a GPU lane has a dispatch.
mlir::FailureOr<CodeImage> generateKernels(mlir::ModuleOp module, std::span<const x64::Isa> isas,
                                           const GpuOptions &gpu = {});

} // namespace ktc
