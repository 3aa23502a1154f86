// One NVRTC program per kernel; see the header.
#include "compiler/schedule-to-kernels/cuda/compiler.h"

#include <utility>

namespace ktc::cuda {

namespace {

// A program of NVRTC, destroyed at the end of its scope.
class Program {
public:
  Program(const Nvrtc &nvrtc, const std::string &source) : nvrtc(nvrtc) {
    std::vector<const char *> names, texts;
    for (const Header &header : headers()) {
      names.push_back(header.name);
      texts.push_back(header.text);
    }
    status = nvrtc.createProgram(&program, source.c_str(), "kernel.cu", static_cast<int>(names.size()),
                                 texts.data(), names.data());
  }
  Program(const Program &) = delete;
  Program &operator=(const Program &) = delete;
  ~Program() {
    if (program)
      nvrtc.destroyProgram(&program);
  }

  // 0, or NVRTC's number of the error.
  int compile(std::span<const std::string> options) {
    if (status != 0)
      return status;
    std::vector<const char *> arguments;
    for (const std::string &option : options)
      arguments.push_back(option.c_str());
    return nvrtc.compileProgram(program, static_cast<int>(arguments.size()), arguments.data());
  }

  std::string log() const {
    std::string text;
    size_t bytes = 0;
    if (!program || nvrtc.getLogSize(program, &bytes) != 0 || bytes <= 1)
      return text;
    text.resize(bytes);
    if (nvrtc.getLog(program, text.data()) != 0)
      return {};
    text.resize(bytes - 1);
    return text;
  }

  // Empty if there is no image of this kind.
  std::vector<uint8_t> image(bool ptx) const {
    size_t bytes = 0;
    if ((ptx ? nvrtc.getPtxSize : nvrtc.getCubinSize)(program, &bytes) != 0)
      return {};
    std::vector<uint8_t> result(bytes);
    if ((ptx ? nvrtc.getPtx : nvrtc.getCubin)(program, reinterpret_cast<char *>(result.data())) != 0)
      return {};
    return result;
  }

private:
  const Nvrtc &nvrtc;
  struct OpaqueNvrtcProgram *program = nullptr;
  int status = 0;
};

std::vector<std::string> compileOptions(const Target &target) {
  std::vector<std::string> options = {"--gpu-architecture=" + std::string(target.name), "--std=c++17",
                                      "--device-as-default-execution-space"};
  if (!target.ptx)
    options.push_back("--ptxas-options=-v"); // the resource report
  return options;
}

} // namespace

Compiler::Compiler(const CompilerOptions &options)
    : nvrtc(openNvrtc(options.nvrtc)), cache(options.cacheFolder) {}

kt::Result<CompiledKernel> Compiler::compile(const std::string &name, const std::string &source,
                                             const Target &target) const {
  const std::vector<std::string> options = compileOptions(target);
  const std::string key = kernelKey(source, options);
  if (std::optional<CompiledKernel> known = cache.find(key, nvrtc ? nvrtc->versionText : ""))
    return std::move(*known);
  if (!nvrtc)
    return nvrtc.error();
  const std::string what = name + " for " + std::string(target.name);
  Program program(*nvrtc, source);
  const int status = program.compile(options);
  CompiledKernel kernel;
  kernel.log = program.log();
  if (status != 0)
    return kt::Error{what + ": NVRTC " + nvrtc->versionText + ": " + nvrtc->getErrorString(status) + "\n" +
                     kernel.log};
  kernel.image = program.image(target.ptx);
  if (kernel.image.empty())
    return kt::Error{what + ": NVRTC " + nvrtc->versionText + " made no code\n" + kernel.log};
  kernel.usage = readResourceUsage(kernel.log);
  cache.store(key, nvrtc->versionText, kernel);
  return kernel;
}

// An error if no SM of the target can hold a block. PTX is compiled by the driver, so its registers are
// unknown.
static kt::Status checkFits(const Instance &instance, const ResourceUsage &usage, const Target &target) {
  constexpr uint64_t smRegisters = 65536;
  const uint64_t shared = uint64_t(instance.launch.sharedBytes) + usage.sharedBytes;
  if (shared > target.sharedBytes)
    return kt::Error{"a block needs " + std::to_string(shared) + " bytes of shared memory, " +
                     std::string(target.name) + " has " + std::to_string(target.sharedBytes)};
  // Registers are given out to warps by 8 per thread.
  const uint64_t registers = (uint64_t(usage.registers) + 7) / 8 * 8 * instance.launch.threads;
  if (registers > smRegisters)
    return kt::Error{"a block of " + std::to_string(instance.launch.threads) + " threads needs " +
                     std::to_string(registers) + " registers, an SM has " + std::to_string(smRegisters)};
  return {};
}

kt::Result<GpuKernel> Compiler::make(std::string_view family, const Params &params,
                                     const Target &target) const {
  kt::Result<Instance> instance = instantiate(family, params, target.sm);
  if (!instance)
    return instance.error();
  kt::Result<CompiledKernel> compiled = compile(kernelName(family, params), instance->source, target);
  if (!compiled)
    return compiled.error();
  if (kt::Status fits = checkFits(*instance, compiled->usage, target); !fits)
    return kt::Error{kernelName(family, params) + ": " + fits.error().message};
  return GpuKernel{std::move(*instance), std::move(*compiled)};
}

} // namespace ktc::cuda
