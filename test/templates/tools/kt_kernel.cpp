// kt-kernel: generates one kernel from the command line, to look at its code or to time it.
//
//   kt-kernel --family linear --isa avx512 --param format=q4_k --param n=4096 --param k=4096 --param m=1
//   --bytes
//
//   --dump FILE  write the raw code and constants
//   --bytes      print the code without its constants as the hex text that `llvm-mc --disassemble` reads
//   --listing    print the whole catalogue of listing.cpp for the ISA instead of one kernel
//   --time       run it (linear, attention, or gate_up and down with --param dense=1) and print its rate
//   --threads N  with --time: each thread does its share of the rows (1)
//   --stream MB  with --time: take weights from that much memory instead of the cache, and compare with reading
//   --pages P    with --time: memory on `thp` (transparent huge pages, the default) or `small` pages
//   --past N     with --time and attention: positions in the cache before the tokens (0)
#include "templates/x64/x64.h"
#include "test/templates/tools/listing.h"
#include "test/templates/tools/param_text.h"
#include "test/templates/tools/time_attention.h"
#include "test/templates/tools/timing.h"

#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

namespace {

using namespace ktc;

struct Options {
  std::string family = "linear";
  x64::Isa isa = x64::Isa::Avx2;
  Params params;
  std::string dump;
  bool bytes = false, listing = false, time = false;
  int64_t threads = 1, streamMegabytes = 0;
  bool hugePages = true;
  int64_t past = 0;
};

// A whole decimal number in low..high.
bool parseNumber(const char *text, int64_t low, int64_t high, int64_t &number) {
  const char *end = text + std::strlen(text);
  auto result = std::from_chars(text, end, number);
  return result.ec == std::errc() && result.ptr == end && number >= low && number <= high;
}

bool parseOption(Options &options, const std::string &name, const char *value) {
  if (name == "--family") {
    options.family = value;
  } else if (name == "--dump") {
    options.dump = value;
  } else if (name == "--threads") {
    return parseNumber(value, 1, 1024, options.threads);
  } else if (name == "--stream") {
    return parseNumber(value, 0, 1 << 20, options.streamMegabytes);
  } else if (name == "--pages") {
    options.hugePages = std::strcmp(value, "thp") == 0;
    return options.hugePages || std::strcmp(value, "small") == 0;
  } else if (name == "--past") {
    return parseNumber(value, 0, 1 << 24, options.past);
  } else if (name == "--isa") {
    auto isa = x64::parseIsa(value);
    if (isa)
      options.isa = *isa;
    return isa.has_value();
  } else if (name == "--param") {
    return parseParam(value, options.params);
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
  if (options.family.starts_with("attention_"))
    return timing::timeAttention(options.family, options.params, options.isa, *kernel, options.past);
  return timing::run({options.family, options.isa, options.params, options.threads,
                      options.streamMegabytes << 20, options.hugePages},
                     *kernel);
}
