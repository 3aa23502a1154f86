// Timing of single matrix kernels: see timing.h.
//
// A job is one call of the kernel: m tokens with one matrix. gate_up and down run dense, so that every thread
// reads its rows of one expert, as it does for each active expert of a model. When streaming, successive rounds
// walk through as many copies of the matrices as fill the buffer, so that weights come from memory.
#include "test/templates/tools/timing.h"

#include "runtime/abi/kt_abi.h"
#include "templates/specs.h"
#include "test/templates/tools/measure.h"
#include "test/templates/tools/team.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <immintrin.h>
#include <vector>

namespace ktc::timing {

namespace {

const KtTypeInfo *findFormat(const Params &params, const char *name) {
  const std::string wanted = stringParam(params, name, "");
  const KtTypeInfo *info = ktTypeInfoNamed(wanted.data(), wanted.size());
  return info && info->supported ? info : nullptr;
}

// The operands of one kernel call.
struct Job {
  std::vector<char *> operands;
  std::vector<std::pair<int, size_t>> matrices; // operand and bytes of each weight matrix
  int64_t n = 0, k = 0, m = 1;
  size_t weightBytes = 0;
  bool complete = true; // memory was there for everything
};

Job makeJob(const Settings &settings, size_t &copies) {
  Job job;
  job.n = intParam(settings.params, "n", 0);
  job.k = intParam(settings.params, "k", 0);
  job.m = intParam(settings.params, "m", 1);
  const bool gateUp = settings.family == "gate_up", down = settings.family == "down";
  // Any kind of activations, with room to spare.
  const size_t activations = size_t(job.m * job.k) * 4 + size_t(job.m) * (ktQ8RowBytes(job.k) + 64);
  const size_t results = size_t(job.m * job.n) * 4;
  const int firstMatrix = gateUp || down ? 2 : 1;
  for (const char *name :
       gateUp ? std::vector<const char *>{"format_gate", "format_up"} : std::vector<const char *>{"format"}) {
    const KtTypeInfo *format = findFormat(settings.params, name);
    const size_t bytes = size_t(job.n) * size_t(job.k) / format->blockElements * format->blockBytes;
    job.matrices.emplace_back(firstMatrix + static_cast<int>(job.matrices.size()), bytes);
    job.weightBytes += bytes;
  }
  copies = std::max<size_t>(1, (size_t(settings.streamBytes) + job.weightBytes - 1) / job.weightBytes);
  job.operands.assign(8, nullptr);
  auto put = [&](int operand, size_t bytes) {
    job.operands[size_t(operand)] = allocate(bytes, settings.hugePages);
    job.complete = job.complete && job.operands[size_t(operand)];
  };
  for (auto [operand, bytes] : job.matrices)
    put(operand, bytes * copies);
  put(0, activations);
  if (gateUp || down)
    put(1, activations);
  if (gateUp)
    put(6, activations);
  put(gateUp ? 4 : down ? 3 : 2, results);
  if (intParam(settings.params, "packed", 0))
    put(down ? 7 : 4, size_t(packedBlocks(job.m, 0) * packedBlockBytes(job.k)));
  return job;
}

// Reads `bytes` bytes and does nothing with them.
void readOnly(const char *from, size_t bytes) {
  for (size_t at = 0; at + 256 <= bytes; at += 256)
    asm volatile("vmovups (%0), %%ymm0\n vmovups 32(%0), %%ymm0\n vmovups 64(%0), %%ymm0\n"
                 "vmovups 96(%0), %%ymm0\n vmovups 128(%0), %%ymm0\n vmovups 160(%0), %%ymm0\n"
                 "vmovups 192(%0), %%ymm0\n vmovups 224(%0), %%ymm0"
                 :
                 : "r"(from + at)
                 : "xmm0");
}

void print(const Settings &settings, const Job &job, double time, double readTime) {
  const double frequency = coreFrequency(), gigabytes = static_cast<double>(job.weightBytes) * 1e-9;
  const double weights = static_cast<double>(job.n * job.k) * static_cast<double>(job.matrices.size());
  const double perCycle = weights / time / frequency / static_cast<double>(settings.threads);
  std::printf("%s %s %s n %ld k %ld m %ld threads %ld: %.1f us, %.2f GB/s, %.2f weights/cycle, "
              "%.2f products/cycle at %.2f GHz",
              settings.family.c_str(), std::string(x64::isaName(settings.isa)).c_str(),
              stringParam(settings.params, settings.family == "gate_up" ? "format_gate" : "format", "").c_str(),
              static_cast<long>(job.n), static_cast<long>(job.k), static_cast<long>(job.m),
              static_cast<long>(settings.threads), time * 1e6, gigabytes / time, perCycle,
              perCycle * static_cast<double>(job.m), frequency * 1e-9);
  if (readTime > 0)
    std::printf(", read %.2f GB/s, share %.3f", gigabytes / readTime, readTime / time);
  std::printf("\n");
}

bool knowsFamily(const Settings &settings) {
  if (settings.family == "gate_up")
    return findFormat(settings.params, "format_gate") && findFormat(settings.params, "format_up");
  return (settings.family == "linear" || settings.family == "down") && findFormat(settings.params, "format");
}

int fail(const char *message) {
  std::fprintf(stderr, "kt-kernel: %s\n", message);
  return 1;
}

} // namespace

int run(const Settings &settings, const x64::Kernel &kernel) {
  if (!knowsFamily(settings) || (settings.family != "linear" && intParam(settings.params, "dense", 0) != 1))
    return fail("--time knows linear, and gate_up and down with dense=1");
  if (settings.isa == x64::Isa::Amx && !requestTiles())
    return fail("this machine has no AMX");
  size_t copies = 1;
  Job job = makeJob(settings, copies);
  const size_t scratchBytes = (kernel.scratchBytes + 127) / 64 * 64;
  char *scratch = allocate(scratchBytes * size_t(settings.threads), settings.hugePages);
  const KtKernelFn code = loadCode(kernel);
  if (!code || !scratch || !job.complete)
    return fail("out of memory");
  const KtStep step = {static_cast<uint32_t>(job.m), 0, 0, 0};
  const int64_t units = (job.n + KT_ROWS_PER_UNIT - 1) / KT_ROWS_PER_UNIT;

  auto call = [&](int64_t thread, int64_t round) {
    std::array<void *, 8> operands;
    std::copy(job.operands.begin(), job.operands.end(), operands.begin());
    for (auto [operand, bytes] : job.matrices)
      operands[size_t(operand)] = job.operands[size_t(operand)] + bytes * (size_t(round) % copies);
    const KtKernelArgs args = {operands.data(),
                               &step,
                               scratch + scratchBytes * size_t(thread),
                               static_cast<uint32_t>(units * thread / settings.threads),
                               static_cast<uint32_t>(units * (thread + 1) / settings.threads),
                               static_cast<uint32_t>(thread),
                               static_cast<uint32_t>(settings.threads)};
    code(&args);
  };
  auto read = [&](int64_t thread, int64_t round) {
    for (auto [operand, bytes] : job.matrices) {
      const size_t share = bytes / size_t(settings.threads);
      readOnly(job.operands[size_t(operand)] + bytes * (size_t(round) % copies) + share * size_t(thread),
               share);
    }
  };
  // A round walks the whole buffer, or does enough calls that starting the threads does not count.
  const int64_t calls = settings.streamBytes > 0
                            ? static_cast<int64_t>(copies)
                            : std::max<int64_t>(1, (int64_t(1) << 21) / (job.n * job.k * job.m));
  auto repeated = [&](auto work) {
    return fastestRound(settings.threads, 0.5,
                        [&, work](int64_t thread, int64_t) {
                          for (int64_t i = 0; i < calls; ++i)
                            work(thread, i);
                        }) /
           static_cast<double>(calls);
  };
  const double readTime = settings.streamBytes > 0 ? repeated(read) : 0;
  print(settings, job, repeated(call), readTime);
  return 0;
}

} // namespace ktc::timing
