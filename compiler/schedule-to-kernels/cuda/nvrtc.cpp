// Search for and loading of NVRTC; see the header.
#include "compiler/schedule-to-kernels/cuda/nvrtc.h"

#include <cstdlib>
#include <dlfcn.h>
#include <glob.h>

namespace ktc::cuda {

static std::string environment(const char *name) {
  const char *value = std::getenv(name);
  return value ? value : "";
}

// Appends the files that match `pattern`, the highest version first.
static void appendMatches(const std::string &pattern, std::vector<std::string> &paths) {
  glob_t found = {};
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
    for (size_t i = found.gl_pathc; i-- > 0;)
      paths.push_back(found.gl_pathv[i]);
  globfree(&found);
}

std::vector<std::string> nvrtcCandidates(std::string_view path) {
  if (!path.empty())
    return {std::string(path)};
  if (std::string named = environment("KTC_NVRTC"); !named.empty())
    return {named};
  std::vector<std::string> candidates = {"libnvrtc.so.13", "libnvrtc.so.12"};
  for (const std::string &home :
       {environment("CUDA_HOME"), environment("CUDA_PATH"), std::string("/usr/local/cuda")})
    if (!home.empty())
      appendMatches(home + "/lib64/libnvrtc.so.1[2-9]", candidates);
  if (std::string python = environment("VIRTUAL_ENV"); !python.empty())
    appendMatches(python + "/lib/python3*/site-packages/nvidia/*/lib/libnvrtc.so.1[2-9]", candidates);
  return candidates;
}

namespace {

// Looks functions up and remembers the first that is missing.
struct Symbols {
  void *library;
  const char *missing = nullptr;

  template <typename Function> void operator()(Function &function, const char *name) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    if (!function && !missing)
      missing = name;
  }
};

} // namespace

// NVRTC opens a second library by name, which the loader does not find when both lie in a folder of their own,
// as in the Python package. Loaded beforehand from the folder of NVRTC, it is known by that name.
static void preloadBuiltins(const Nvrtc &nvrtc) {
  Dl_info info = {};
  if (!dladdr(reinterpret_cast<void *>(nvrtc.version), &info) || !info.dli_fname)
    return;
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos)
    dlopen((path.substr(0, slash) + "/libnvrtc-builtins.so." + nvrtc.versionText).c_str(),
           RTLD_NOW | RTLD_LOCAL);
}

static kt::Result<Nvrtc> openLibrary(const std::string &path) {
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return kt::Error{dlerror()};
  Nvrtc nvrtc = {};
  Symbols symbol{library};
  symbol(nvrtc.getErrorString, "nvrtcGetErrorString");
  symbol(nvrtc.version, "nvrtcVersion");
  symbol(nvrtc.createProgram, "nvrtcCreateProgram");
  symbol(nvrtc.destroyProgram, "nvrtcDestroyProgram");
  symbol(nvrtc.compileProgram, "nvrtcCompileProgram");
  symbol(nvrtc.getLogSize, "nvrtcGetProgramLogSize");
  symbol(nvrtc.getLog, "nvrtcGetProgramLog");
  symbol(nvrtc.getCubinSize, "nvrtcGetCUBINSize");
  symbol(nvrtc.getCubin, "nvrtcGetCUBIN");
  symbol(nvrtc.getPtxSize, "nvrtcGetPTXSize");
  symbol(nvrtc.getPtx, "nvrtcGetPTX");
  if (symbol.missing)
    return kt::Error{path + ": has no function " + symbol.missing};
  int major = 0, minor = 0;
  if (nvrtc.version(&major, &minor) != 0 || major < 12)
    return kt::Error{path + ": is NVRTC " + std::to_string(major) + "." + std::to_string(minor) +
                     ", expected 12.0 or later"};
  nvrtc.versionText = std::to_string(major) + "." + std::to_string(minor);
  nvrtc.path = path;
  preloadBuiltins(nvrtc);
  return nvrtc;
}

kt::Result<Nvrtc> openNvrtc(std::string_view path) {
  std::string reasons;
  for (const std::string &candidate : nvrtcCandidates(path)) {
    kt::Result<Nvrtc> nvrtc = openLibrary(candidate);
    if (nvrtc)
      return nvrtc;
    reasons += "\n  " + nvrtc.error().message;
  }
  return kt::Error{
      "GPU kernels need NVRTC, which was not found: install the CUDA toolkit or the Python package "
      "nvidia-cuda-nvrtc, or name libnvrtc.so by --nvrtc or KTC_NVRTC; looked for" +
      reasons};
}

} // namespace ktc::cuda
