// GpuSegment: the code of a schedule's GPU kernels for one target, compiled by NVRTC on several threads.
#pragma once

#include "compiler/schedule-to-kernels/cuda/compiler.h"

#include <functional>

namespace ktc {

// Which GPU code is made, and how.
struct GpuOptions {
  std::vector<cuda::Target> targets;
  cuda::CompilerOptions compiler;
  std::function<void(size_t done, size_t total)> progress; // called by one thread at a time
};

// Where a kernel lies in a segment, and all that is known of it.
struct GpuCode {
  uint64_t offset = 0; // a multiple of KT_BUFFER_ALIGNMENT
  uint64_t bytes = 0;  // of the cubin or PTX text; 0: no GPU lane runs this kernel
  cuda::Launch launch;
  cuda::ResourceUsage usage;
  std::string source, log;
};

struct GpuSegment {
  cuda::Target target;
  std::vector<uint8_t> bytes;
  std::vector<GpuCode> kernels; // by the index of CodeImage::kernels

  std::span<const uint8_t> image(size_t index) const {
    return {bytes.data() + kernels[index].offset, kernels[index].bytes};
  }
};

// A kernel to be compiled: its index in the segments, family and parameters.
struct GpuRequest {
  size_t index;
  std::string_view family;
  const Params *params;
};

// What went wrong with a request for a target.
struct GpuFailure {
  size_t index;
  std::string message;
};

// Compiles `requests` for every target, on as many threads as there are processors. Segments have `kernelCount`
// kernels. All failures are appended to `failures`, by target and index; the segments are complete if there are
// none.
std::vector<GpuSegment> compileGpuSegments(std::span<const GpuRequest> requests, size_t kernelCount,
                                           const GpuOptions &options, std::vector<GpuFailure> &failures);

} // namespace ktc
