// See kernel_timer.h.
#include "compiler/probe/kernel_timer.h"

#include "compiler/probe/team.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>

namespace ktc {

static uint8_t *aligned(std::vector<uint8_t> &bytes) {
  auto address = reinterpret_cast<uintptr_t>(bytes.data());
  return bytes.data() + (-address & (KT_BUFFER_ALIGNMENT - 1));
}

kt::Result<std::unique_ptr<TimedKernel>> TimedKernel::make(std::string_view family, const Params &params,
                                                           x64::Isa isa, int threads) {
  kt::Result<x64::Kernel> kernel = x64::generate(family, params, isa);
  if (!kernel)
    return kernel.error();
  std::unique_ptr<TimedKernel> timed(new TimedKernel);
  timed->codeBytes = kernel->code.size();
  void *code = mmap(nullptr, timed->codeBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED)
    return kt::Error{"no memory for a kernel"};
  timed->code = code;
  std::memcpy(code, kernel->code.data(), timed->codeBytes);
  if (mprotect(code, timed->codeBytes, PROT_READ | PROT_EXEC) != 0)
    return kt::Error{"memory for a kernel cannot be made executable"};
  timed->function = reinterpret_cast<KtKernelFn>(code);
  // Threads must not share lines or, being written at the same time, neighbouring ones.
  timed->scratchBytes = (kernel->scratchBytes + 255) / 256 * 256 + 256;
  timed->scratch.resize(timed->scratchBytes * threads + KT_BUFFER_ALIGNMENT);
  return timed;
}

TimedKernel::~TimedKernel() {
  if (code)
    munmap(code, codeBytes);
}

uint8_t *TimedKernel::ownOperand(size_t bytes) {
  owned.emplace_back(bytes + 2 * KT_BUFFER_ALIGNMENT, uint8_t{0x2e});
  operands.push_back(aligned(owned.back()));
  return static_cast<uint8_t *>(operands.back());
}

void TimedKernel::numbers(const std::vector<int32_t> &values) {
  std::memcpy(ownOperand(values.size() * 4), values.data(), values.size() * 4);
}

void TimedKernel::run(int thread, int threads, void *const *with) {
  auto share = [&](int t) { return static_cast<uint32_t>(uint64_t{units} * t / threads); };
  uint8_t *own = aligned(scratch) + scratchBytes * thread;
  const KtKernelArgs args = {with,
                             &step,
                             own,
                             share(thread),
                             share(thread + 1),
                             static_cast<uint32_t>(thread),
                             static_cast<uint32_t>(threads)};
  if (args.unitBegin < args.unitEnd)
    function(&args);
}

namespace {

using Clock = std::chrono::steady_clock;

// Addresses of the operands of successive calls.
class Operands {
public:
  Operands(const TimedKernel &kernel, const Walk &walk, int thread)
      : operands(kernel.operandList()), walk(walk), thread(thread) {
    if (!walk.stride)
      return;
    start = static_cast<uint8_t *>(operands[walk.index]);
    offset = std::min((*walk.offsets)[thread], walk.bytes - walk.stride);
  }
  ~Operands() {
    if (walk.stride)
      (*walk.offsets)[thread] = offset;
  }
  void *const *next() {
    if (walk.stride) {
      offset = walk.bytes - offset >= 2 * walk.stride ? offset + walk.stride : 0;
      operands[walk.index] = start + offset;
    }
    return operands.data();
  }

private:
  std::vector<void *> operands;
  const Walk walk;
  const int thread;
  uint8_t *start = nullptr;
  size_t offset = 0;
};

} // namespace

double callRate(const std::function<std::unique_ptr<TimedKernel>(int)> &make, const std::vector<int> &cpus,
                double share, double seconds, const Walk &walk) {
  std::vector<std::unique_ptr<TimedKernel>> kernels;
  for (size_t t = 0; t < cpus.size(); ++t)
    if (kernels.push_back(make(static_cast<int>(t))); !kernels.back())
      return 0;
  std::vector<double> rates(cpus.size());
  runTogether(cpus, [&](int thread) {
    TimedKernel &kernel = *kernels[thread];
    Operands operands(kernel, walk, thread);
    std::vector<double> times;
    const auto start = Clock::now();
    kernel.run(0, 1, operands.next()); // warms caches
    for (auto begin = Clock::now();;) {
      kernel.run(0, 1, operands.next());
      const auto end = Clock::now();
      times.push_back(std::chrono::duration<double>(end - begin).count());
      begin = end;
      if (times.size() >= 5 && std::chrono::duration<double>(end - start).count() > seconds)
        break;
    }
    auto typical = times.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(times.size() - 1));
    std::nth_element(times.begin(), typical, times.end());
    rates[thread] = 1 / std::max(*typical, 1e-9);
  });
  return std::accumulate(rates.begin(), rates.end(), 0.0);
}

double teamSeconds(TimedKernel &kernel, const std::vector<int> &cpus, double seconds, const Walk &walk) {
  const int threads = static_cast<int>(cpus.size());
  SpinBarrier barrier(threads);
  double best = 1e9;
  bool done = false;
  runTogether(cpus, [&](int thread) {
    Operands operands(kernel, walk, thread);
    const auto start = Clock::now();
    for (int call = 0; !done; ++call) {
      void *const *with = operands.next();
      barrier.wait();
      const auto begin = Clock::now();
      kernel.run(thread, threads, with);
      barrier.wait();
      if (thread == 0) {
        const auto end = Clock::now();
        if (call > 0) // the first one warms caches and wakes cores
          best = std::min(best, std::chrono::duration<double>(end - begin).count());
        done = call >= 5 && std::chrono::duration<double>(end - start).count() > seconds;
      }
      barrier.wait();
    }
  });
  return best;
}

} // namespace ktc
