// kt-kernel: generates one kernel from the command line, to look at its code or to time it.
//
//   kt-kernel --family linear --isa avx512 --param format=q4_k --param n=4096 --param k=4096 --param m=1
//   --bytes
//
//   --dump FILE  write the raw code and constants
//   --bytes      print the code without its constants as the hex text that `llvm-mc --disassemble` reads
//   --listing    print the whole catalogue of listing.cpp for the ISA instead of one kernel
//   --time       (linear only) run it on one thread over a matrix of the given shape and print its rate
#include "runtime/abi/kt_abi.h"
#include "templates/x64/x64.h"
#include "test/templates/tools/listing.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

using namespace ktc;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string family = "linear";
  x64::Isa isa = x64::Isa::Avx2;
  Params params;
  std::string dump;
  bool bytes = false, listing = false, time = false;
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

double seconds(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

// Seconds of the fastest of many runs: on a busy machine the others were interrupted.
template <typename Work> double fastest(Work work, double budget) {
  double best = 1e9;
  const auto start = Clock::now();
  do {
    const auto begin = Clock::now();
    work();
    best = std::min(best, seconds(begin));
  } while (seconds(start) < budget);
  return best;
}

// Cycles per second, from a chain of dependent multiplications of three cycles each.
double coreFrequency() {
  constexpr int rounds = 50000;
  auto chain = [] {
    uint64_t value = 3;
    for (int i = 0; i < rounds; ++i)
      asm volatile("imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0" : "+r"(value));
  };
  return 12.0 * rounds / fastest(chain, 0.1);
}

// A zero-initialised mapping, filled with a byte that is a sensible scale in every format.
void *allocate(size_t bytes) {
  void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return nullptr;
  madvise(memory, bytes, MADV_HUGEPAGE);
  std::memset(memory, 0x2e, bytes);
  return memory;
}

const KtTypeInfo *findFormat(const std::string &name) {
  for (uint32_t id = 0; id < 64; ++id)
    if (const KtTypeInfo *info = ktTypeInfo(id); info && name == info->name)
      return info;
  return nullptr;
}

// Asks the operating system for the right to use AMX tiles.
bool requestTiles() {
  constexpr long requestPermission = 0x1023, tileData = 18;
  return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
}

int timeLinear(const Options &options, const x64::Kernel &kernel) {
  const KtTypeInfo *format = findFormat(stringParam(options.params, "format", ""));
  const int64_t n = intParam(options.params, "n", 0), k = intParam(options.params, "k", 0);
  const int64_t m = intParam(options.params, "m", 1);
  if (options.family != "linear" || !format)
    return std::fprintf(stderr, "kt-kernel: --time knows the linear family only\n"), 1;
  const size_t weightBytes = size_t(n) * k / format->blockElements * format->blockBytes;
  void *code = mmap(nullptr, kernel.code.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  void *operands[] = {allocate(m * k * 4 + ktQ8RowBytes(k) * m), allocate(weightBytes), allocate(m * n * 4),
                      nullptr};
  if (code == MAP_FAILED || !operands[0] || !operands[1] || !operands[2])
    return std::fprintf(stderr, "kt-kernel: out of memory\n"), 1;
  std::memcpy(code, kernel.code.data(), kernel.code.size());
  mprotect(code, kernel.code.size(), PROT_READ | PROT_EXEC);
  const KtStep step = {static_cast<uint32_t>(m), 0, 0, 0};
  void *scratch = allocate(kernel.scratchBytes + 64);
  if (options.isa == x64::Isa::Amx && !requestTiles())
    return std::fprintf(stderr, "kt-kernel: this machine has no AMX\n"), 1;
  const KtKernelArgs args = {operands, &step, scratch, 0, static_cast<uint32_t>((n + 3) / 4), 0, 1};
  auto run = reinterpret_cast<KtKernelFn>(code);
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
  return options.time ? timeLinear(options, *kernel) : 0;
}
