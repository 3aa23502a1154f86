// NVRTC, NVIDIA's run-time compiler for CUDA C++, found and loaded when a GPU kernel is to be compiled.
//
// Nothing of CUDA is needed to build ktc or to compile for the CPU: the few functions used are declared here as
// NVRTC's documentation specifies them, and the library is opened by dlopen.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ktc::cuda {

// An opened NVRTC. It stays loaded until the process ends, so that copies of the table never dangle.
struct Nvrtc {
  using Program = struct OpaqueNvrtcProgram *;
  // All return 0 for success, else a number that getErrorString names.
  const char *(*getErrorString)(int code);
  int (*version)(int *major, int *minor);
  int (*createProgram)(Program *program, const char *source, const char *name, int headerCount,
                       const char *const *headerTexts, const char *const *headerNames);
  int (*destroyProgram)(Program *program);
  int (*compileProgram)(Program program, int optionCount, const char *const *options);
  int (*getLogSize)(Program program, size_t *bytes); // with the final zero, as all sizes of texts
  int (*getLog)(Program program, char *log);
  int (*getCubinSize)(Program program, size_t *bytes);
  int (*getCubin)(Program program, char *cubin);
  int (*getPtxSize)(Program program, size_t *bytes);
  int (*getPtx)(Program program, char *ptx);

  std::string versionText; // "13.0"
  std::string path;        // of the library, as it was opened
};

// Where openNvrtc looks, in order: names for the loader and paths of files that exist. With `path` (or, if that
// is empty, the environment variable KTC_NVRTC) only that; else the loader's own search, then CUDA_HOME,
// CUDA_PATH, /usr/local/cuda, and the wheel nvidia-cuda-nvrtc in the Python environment VIRTUAL_ENV.
std::vector<std::string> nvrtcCandidates(std::string_view path);

// Opens the first candidate that is an NVRTC of version 12 or later. The error says what was looked for and why
// each file was refused.
kt::Result<Nvrtc> openNvrtc(std::string_view path);

} // namespace ktc::cuda
