// From CUDA source to machine code: NVRTC with the headers of templates/cuda in memory, and the cache.
//
// Needs no GPU. Knows nothing of MLIR, so that tests and tools of kernels use it too.
#pragma once

#include "compiler/schedule-to-kernels/cuda/kernel_cache.h"
#include "compiler/schedule-to-kernels/cuda/nvrtc.h"
#include "compiler/schedule-to-kernels/cuda/target.h"
#include "templates/params.h"

namespace ktc::cuda {

struct CompilerOptions {
  std::string nvrtc;                                      // path of the library; empty: search (nvrtc.h)
  std::string cacheFolder = KernelCache::defaultFolder(); // empty: no cache
};

// An instance of a family with its code.
struct GpuKernel {
  Instance instance;
  CompiledKernel compiled;
};

// Compiles kernels. All functions may be called from several threads at once.
class Compiler {
public:
  // Never fails: without NVRTC, kernels of the cache are still found (compiled by any version of it), and
  // compiling others gives the error of openNvrtc.
  explicit Compiler(const CompilerOptions &options);

  // Compiles a translation unit that defines `kernel`. Errors name `name`, which is for messages only, and the
  // target, and contain the whole log.
  kt::Result<CompiledKernel> compile(const std::string &name, const std::string &source,
                                     const Target &target) const;

  // Instantiates a family and compiles the instance. Also an error: a block of it needs more shared memory or
  // registers than an SM of the target has.
  kt::Result<GpuKernel> make(std::string_view family, const Params &params, const Target &target) const;

  // The NVRTC that is used, or why there is none.
  const kt::Result<Nvrtc> &library() const { return nvrtc; }

private:
  kt::Result<Nvrtc> nvrtc;
  KernelCache cache;
};

} // namespace ktc::cuda
