// kt-cuda: makes GPU kernels from the command line, to look at their code and their use of the GPU, or to time
// them.
//
//   kt-cuda --family linear --param format=q4_k --param n=4096 --param k=4096 --param m=1 --target sm_90 --time
//
//   --target T        sm_80, …, compute_80 (the GPU at hand, or sm_90a)
//   --nvrtc FILE      the compiler (KTC_NVRTC, or as found)
//   --source          print the translation unit
//   --log             print what the compiler said
//   --cubin FILE      write the code
//   --time            run it on the GPU at hand with weights from outside its L2 cache, and print its rate
//   --past N          with --time and attention: positions in the cache before the tokens (0)
//   --operand I=BYTES with --time: size of operand I, for families whose sizes kt-cuda does not know
//   --chain FILE      time the kernels of a catalogue one after the other, as decode runs them, after a pause
//   each time
//                     (cuda_chain.h); --layers N, --pause MICROSECONDS
//   --catalogue FILE  compile all kernels of a catalogue (cuda_catalogue.h) instead; --verbose prints each, and
//                     with --all-families every family must be in it
#include "test/templates/cuda/driver.h"
#include "test/templates/tools/cuda_catalogue.h"
#include "test/templates/tools/cuda_chain.h"
#include "test/templates/tools/cuda_timing.h"
#include "test/templates/tools/param_text.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace {

using namespace ktc;

struct Options {
  std::string family, target, nvrtc, cubin, catalogue, chain;
  Params params;
  cuda_timing::Sizes sizes;
  cuda_timing::ChainOptions chainOptions;
  bool source = false, log = false, time = false, verbose = false, allFamilies = false;
};

bool parseOption(Options &options, const std::string &name, const char *value) {
  if (name == "--family")
    options.family = value;
  else if (name == "--target" || name == "--sm")
    options.target = std::strspn(value, "0123456789") ? "sm_" + std::string(value) : value;
  else if (name == "--nvrtc")
    options.nvrtc = value;
  else if (name == "--cubin")
    options.cubin = value;
  else if (name == "--catalogue")
    options.catalogue = value;
  else if (name == "--param")
    return parseParam(value, options.params);
  else if (name == "--chain")
    options.chain = value;
  else if (name == "--past")
    options.sizes.past = options.chainOptions.past = std::strtoll(value, nullptr, 10);
  else if (name == "--layers")
    options.chainOptions.layers = std::strtoll(value, nullptr, 10);
  else if (name == "--pause")
    options.chainOptions.pause = std::strtoll(value, nullptr, 10);
  else if (name == "--operand" && std::strchr(value, '='))
    options.sizes.operands[std::strtoull(value, nullptr, 10)] =
        std::strtoull(std::strchr(value, '=') + 1, nullptr, 10);
  else
    return false;
  return true;
}

bool parse(Options &options, int argc, char **argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    bool *flag = name == "--source"         ? &options.source
                 : name == "--log"          ? &options.log
                 : name == "--time"         ? &options.time
                 : name == "--verbose"      ? &options.verbose
                 : name == "--all-families" ? &options.allFamilies
                                            : nullptr;
    if (flag) {
      *flag = true;
    } else if (i + 1 >= argc || !parseOption(options, name, argv[++i])) {
      std::fprintf(stderr, "kt-cuda: bad option %s\n", name.c_str());
      return false;
    }
  }
  return true;
}

int fail(const std::string &message) {
  std::fprintf(stderr, "kt-cuda: %s\n", message.c_str());
  return 1;
}

kt::Result<cuda::Target> chooseTarget(const Options &options) {
  if (!options.target.empty())
    return cuda::parseTarget(options.target);
  if (kt::Result<const test::Driver *> gpu = test::driver())
    return cuda::targetFor((*gpu)->major, (*gpu)->minor);
  return cuda::parseTarget("sm_90a");
}

int compileCatalogue(const Options &options, const cuda::Compiler &compiler, const cuda::Target &target) {
  kt::Result<std::vector<catalogue::Entry>> entries = catalogue::read(options.catalogue);
  if (!entries)
    return fail(entries.error().message);
  const bool complete = !options.allFamilies || catalogue::hasAllFamilies(*entries, stdout);
  return catalogue::compileAll(compiler, *entries, target, options.verbose, stdout) && complete ? 0 : 1;
}

int timeChain(const Options &options, const cuda::Compiler &compiler, const cuda::Target &target) {
  kt::Result<std::vector<catalogue::Entry>> entries = catalogue::read(options.chain);
  if (!entries)
    return fail(entries.error().message);
  if (options.chainOptions.layers < 3 || entries->empty())
    return fail("a chain has kernels, and at least 3 layers");
  kt::Status status = cuda_timing::runChain(compiler, *entries, target, options.chainOptions);
  return status ? 0 : fail(status.error().message);
}

int makeOne(const Options &options, const cuda::Compiler &compiler, const cuda::Target &target) {
  if (options.source) {
    kt::Result<cuda::Instance> instance = cuda::instantiate(options.family, options.params, target.sm);
    if (!instance)
      return fail(instance.error().message);
    std::printf("%s", instance->source.c_str());
  }
  kt::Result<cuda::GpuKernel> kernel = compiler.make(options.family, options.params, target);
  if (!kernel)
    return fail(kernel.error().message);
  const cuda::ResourceUsage &usage = kernel->compiled.usage;
  const cuda::Launch &launch = kernel->instance.launch;
  if (options.log)
    std::printf("%s", kernel->compiled.log.c_str());
  std::printf(
      "%s: %zu bytes, %u registers, %u + %u bytes of shared memory, %u spilled, grid %ux%ux%u of %u threads\n",
      std::string(target.name).c_str(), kernel->compiled.image.size(), usage.registers, usage.sharedBytes,
      launch.sharedBytes, usage.spillBytes, launch.gridX, launch.gridY, launch.gridZ, launch.threads);
  if (!options.cubin.empty()) {
    std::ofstream stream(options.cubin, std::ios::binary);
    stream.write(reinterpret_cast<const char *>(kernel->compiled.image.data()),
                 static_cast<std::streamsize>(kernel->compiled.image.size()));
    if (!stream.flush())
      return fail(options.cubin + ": cannot be written");
  }
  if (!options.time)
    return 0;
  kt::Status status = cuda_timing::run(options.family, options.params, options.sizes, *kernel);
  return status ? 0 : fail(status.error().message);
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  if (!parse(options, argc, argv) ||
      (options.family.empty() && options.catalogue.empty() && options.chain.empty()))
    return 2;
  kt::Result<cuda::Target> target = chooseTarget(options);
  if (!target)
    return fail(target.error().message);
  const cuda::Compiler compiler({options.nvrtc});
  if (!options.chain.empty())
    return timeChain(options, compiler, *target);
  return options.catalogue.empty() ? makeOne(options, compiler, *target)
                                   : compileCatalogue(options, compiler, *target);
}
