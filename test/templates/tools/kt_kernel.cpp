// kt-kernel: generates one kernel from the command line, to look at its code or to time it.
//
//   kt-kernel --family linear --isa avx512 --param format=q4_k --param n=4096 --param k=4096 --param m=1
//   --bytes
//
// `kt-kernel --help` says what else there is.
#include "templates/x64/x64.h"
#include "test/templates/tools/listing.h"
#include "test/templates/tools/param_text.h"
#include "test/templates/tools/time_attention.h"
#include "test/templates/tools/timing.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace {

using namespace ktc;

constexpr char usage[] =
    R"(usage: kt-kernel --family NAME --isa avx2|avx2vnni|avx512|amx --param NAME=VALUE ... [options]

Generates one kernel. templates/README.md has the families and their parameters.

  --dump FILE       write the raw code and constants
  --bytes           print the code without its constants as the hex text that `llvm-mc --disassemble` reads
  --listing         print the whole catalogue of kernels for the ISA instead of one
  --time            run it (linear, gate_up, down, attention) and print its rate; gate_up and down multiply
                    all tokens with one expert (dense=1), or with random choices of top_k of experts
  --threads N       with --time: each thread does its share of the rows (1)
  --stream MB       with --time: take weights from that much memory instead of the cache, in alternation with
                    only reading it; use several times the size of the last cache level
  --pages P         with --time: memory on `thp` (transparent huge pages, the default) or `small` pages
  --sweep NAME=V,V  with --time: a kernel for each of these values of a parameter, in alternation
  --beside R        with --stream: compare with reading (`read`, the default) or with int8 tile products of
                    registers (`tiles`, AMX only)
  --past N          with --time and attention: positions in the cache before the tokens (0)
)";

struct Options {
  std::string family = "linear";
  x64::Isa isa = x64::Isa::Avx2;
  Params params;
  std::string dump;
  bool bytes = false, listing = false, time = false, help = false;
  int64_t threads = 1, streamMegabytes = 0;
  bool hugePages = true, besideTiles = false;
  int64_t past = 0;
  std::string sweptParam;
  std::vector<ParamValue> sweep;
};

// A whole decimal number in low..high.
bool parseNumber(const char *text, int64_t low, int64_t high, int64_t &number) {
  const char *end = text + std::strlen(text);
  auto result = std::from_chars(text, end, number);
  return result.ec == std::errc() && result.ptr == end && number >= low && number <= high;
}

// NAME=V,V,V
bool parseSweep(Options &options, const std::string &text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return false;
  options.sweptParam = text.substr(0, equals);
  for (size_t at = equals + 1; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    options.sweep.push_back(parseParamValue(text.substr(at, end - at)));
    at = end + 1;
  }
  return true;
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
  } else if (name == "--beside") {
    options.besideTiles = std::strcmp(value, "tiles") == 0;
    return options.besideTiles || std::strcmp(value, "read") == 0;
  } else if (name == "--sweep") {
    return parseSweep(options, value);
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
    } else if (name == "--help") {
      options.help = true;
    } else if (i + 1 >= argc || !parseOption(options, name, argv[++i])) {
      std::fprintf(stderr, "kt-kernel: bad option or value: %s%s%s (see kt-kernel --help)\n", name.c_str(),
                   i < argc && argv[i] != name ? " " : "", i < argc && argv[i] != name ? argv[i] : "");
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

int fail(const kt::Error &error) {
  std::fprintf(stderr, "kt-kernel: %s\n", error.message.c_str());
  return 1;
}

// --time of linear, gate_up and down.
int timeMatrix(const Options &options) {
  std::vector<timing::Variant> variants;
  for (const ParamValue &value : options.sweep) {
    Params params = options.params;
    params[options.sweptParam] = value;
    variants.push_back({params, {}, kernelName("", {{options.sweptParam, value}}).substr(1) + ": "});
  }
  if (variants.empty())
    variants.push_back({options.params, {}, ""});
  for (timing::Variant &variant : variants) {
    auto kernel = x64::generate(options.family, variant.params, options.isa);
    if (!kernel)
      return fail(kernel.error());
    variant.kernel = std::move(*kernel);
  }
  return timing::run({options.family, options.isa, options.threads, size_t(options.streamMegabytes) << 20,
                      options.hugePages, options.besideTiles},
                     variants);
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  if (!parse(options, argc, argv))
    return 2;
  if (options.help)
    return std::fputs(usage, stdout) < 0;
  if (options.listing)
    return listing::print(options.isa, stdout) ? 0 : 1;
  const bool attention = options.family.starts_with("attention_");
  if (options.time && !attention)
    return timeMatrix(options);
  auto kernel = x64::generate(options.family, options.params, options.isa);
  if (!kernel)
    return fail(kernel.error());
  if (options.time)
    return timing::timeAttention(options.family, options.params, options.isa, *kernel, options.past);
  if (!options.dump.empty())
    std::ofstream(options.dump, std::ios::binary)
        .write(reinterpret_cast<const char *>(kernel->code.data()), static_cast<long>(kernel->code.size()));
  if (options.bytes)
    printBytes(*kernel);
  return 0;
}
