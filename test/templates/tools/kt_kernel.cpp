// kt-kernel: generates one kernel from the command line, to look at its code or to time it.
//
//   kt-kernel --family linear --isa avx512 --param format=q4_k --param n=4096 --param k=4096 --param m=1
//   --bytes
//
//   --dump FILE  write the raw code and constants
//   --bytes      print the code without its constants as the hex text that `llvm-mc --disassemble` reads
//   --listing    print the whole catalogue of listing.cpp for the ISA instead of one kernel
//   --time       run it on one thread and print its rate: linear over a matrix of the given shape, attention
//   for
//                m tokens behind --past N others
#include "runtime/abi/kt_abi.h"
#include "templates/x64/x64.h"
#include "test/templates/tools/listing.h"
#include "test/templates/tools/time_attention.h"
#include "test/templates/tools/timing.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

namespace {

using namespace ktc;
using namespace timing;

struct Options {
  std::string family = "linear";
  x64::Isa isa = x64::Isa::Avx2;
  Params params;
  std::string dump;
  bool bytes = false, listing = false, time = false;
  int64_t past = 0;
};

// Integers and reals are recognised by their spelling.
ParamValue parseValue(const std::string &text) {
  const char *end = text.data() + text.size();
  int64_t integer;
  if (auto result = std::from_chars(text.data(), end, integer); result.ec == std::errc() && result.ptr == end)
    return integer;
  double real;
  if (auto result = std::from_chars(text.data(), end, real); result.ec == std::errc() && result.ptr == end)
    return real;
  return text;
}

bool parseOption(Options &options, const std::string &name, const char *value) {
  if (name == "--family") {
    options.family = value;
  } else if (name == "--dump") {
    options.dump = value;
  } else if (name == "--past") {
    options.past = std::max(0, std::atoi(value));
  } else if (name == "--isa") {
    auto isa = x64::parseIsa(value);
    if (isa)
      options.isa = *isa;
    return isa.has_value();
  } else if (name == "--param") {
    const char *equals = std::strchr(value, '=');
    if (!equals)
      return false;
    options.params[std::string(value, equals)] = parseValue(equals + 1);
  } else {
    return false;
  }
  return true;
}

bool parse(Options &options, int argc, char **argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--bytes") {
      options.bytes = true;
    } else if (name == "--listing") {
      options.listing = true;
    } else if (name == "--time") {
      options.time = true;
    } else if (i + 1 >= argc || !parseOption(options, name, argv[++i])) {
      std::fprintf(stderr, "kt-kernel: bad option %s\n", name.c_str());
      return false;
    }
  }
  return true;
}

void printBytes(const x64::Kernel &kernel) {
  for (size_t i = 0; i < kernel.codeBytes; ++i)
    std::printf("0x%02x%c", kernel.code[i], i % 16 == 15 ? '\n' : ' ');
  std::printf("\n");
}

const KtTypeInfo *findFormat(const std::string &name) {
  for (uint32_t id = 0; id < 64; ++id)
    if (const KtTypeInfo *info = ktTypeInfo(id); info && name == info->name)
      return info;
  return nullptr;
}

int timeLinear(const Options &options, const x64::Kernel &kernel) {
  const KtTypeInfo *format = findFormat(stringParam(options.params, "format", ""));
  const int64_t n = intParam(options.params, "n", 0), k = intParam(options.params, "k", 0);
  const int64_t m = intParam(options.params, "m", 1);
  if (options.family != "linear" || !format)
    return std::fprintf(stderr, "kt-kernel: --time knows the families linear and attention only\n"), 1;
  const size_t weightBytes = size_t(n) * k / format->blockElements * format->blockBytes;
  const KtKernelFn run = loadCode(kernel);
  void *operands[] = {allocate(m * k * 4 + ktQ8RowBytes(k) * m), allocate(weightBytes), allocate(m * n * 4),
                      nullptr};
  if (!run || !operands[0] || !operands[1] || !operands[2])
    return std::fprintf(stderr, "kt-kernel: out of memory\n"), 1;
  const KtStep step = {static_cast<uint32_t>(m), 0, 0, 0};
  void *scratch = allocate(kernel.scratchBytes + 64);
  if (options.isa == x64::Isa::Amx && !requestTiles())
    return std::fprintf(stderr, "kt-kernel: this machine has no AMX\n"), 1;
  const KtKernelArgs args = {operands, &step, scratch, 0, static_cast<uint32_t>((n + 3) / 4), 0, 1};
  run(&args);
  const double each = fastest([&] { run(&args); }, 0.5), frequency = coreFrequency();
  std::printf(
      "%s %s n %ld k %ld m %ld: %.1f us, %.2f GB/s, %.2f weights/cycle, %.2f products/cycle at %.2f GHz\n",
      format->name, x64::isaName(options.isa).data(), static_cast<long>(n), static_cast<long>(k),
      static_cast<long>(m), each * 1e6, static_cast<double>(weightBytes) / each * 1e-9,
      static_cast<double>(n * k) / each / frequency, static_cast<double>(n * k * m) / each / frequency,
      frequency * 1e-9);
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  if (!parse(options, argc, argv))
    return 2;
  if (options.listing)
    return listing::print(options.isa, stdout) ? 0 : 1;
  auto kernel = x64::generate(options.family, options.params, options.isa);
  if (!kernel) {
    std::fprintf(stderr, "kt-kernel: %s\n", kernel.error().message.c_str());
    return 1;
  }
  if (!options.dump.empty())
    std::ofstream(options.dump, std::ios::binary)
        .write(reinterpret_cast<const char *>(kernel->code.data()), static_cast<long>(kernel->code.size()));
  if (options.bytes)
    printBytes(*kernel);
  if (!options.time)
    return 0;
  return options.family.starts_with("attention_")
             ? timing::timeAttention(options.family, options.params, options.isa, *kernel, options.past)
             : timeLinear(options, *kernel);
}
