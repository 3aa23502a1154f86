// Weights on their way from files to a GPU.
//
// A mapping would be read by page faults, one page after the other; here several threads read large blocks
// straight into pinned memory, and while one buffer is filled the other one travels.
#pragma once

#include "runtime/cuda/gpu.h"

#include <vector>

namespace ktrt::cuda {

// Bytes of a file that go to an address on the GPU.
struct UploadPiece {
  uint32_t file; // index into the paths
  uint64_t offset;
  uint64_t bytes;
  DeviceAddress destination;
};

struct UploadOptions {
  uint64_t bufferBytes = 64 << 20; // of each of the two buffers
  uint32_t threads = 8;            // that read
};

// Copies all pieces, whose files are paths[piece.file]; returns when they have arrived. Errors name file and
// range.
kt::Status upload(Gpu &gpu, const std::vector<std::string> &paths, std::vector<UploadPiece> pieces,
                  const UploadOptions &options = {});

} // namespace ktrt::cuda
