// Runs generated kernels the way the runtime does, to time them.
#pragma once

#include "runtime/abi/kt_abi.h"
#include "runtime/abi/result.hpp"
#include "templates/x64/x64.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ktc {

// One kernel in executable memory, with operands that it owns or borrows.
class TimedKernel {
public:
  // Generates the kernel for `threads` threads. Fails as x64::generate does, or if memory is short.
  static kt::Result<std::unique_ptr<TimedKernel>> make(std::string_view family, const Params &params,
                                                       x64::Isa isa, int threads);
  ~TimedKernel();
  TimedKernel(const TimedKernel &) = delete;
  TimedKernel &operator=(const TimedKernel &) = delete;

  // The next operand: memory of the caller, `bytes` bytes of its own (all 0x2e), int32 numbers, or absent.
  void operand(void *address) { operands.push_back(address); }
  uint8_t *ownOperand(size_t bytes);
  void numbers(const std::vector<int32_t> &values);
  void absent() { operands.push_back(nullptr); }

  const std::vector<void *> &operandList() const { return operands; }

  uint32_t units = 0; // of one call by all threads together
  KtStep step{1, 0, 0, 0};

  // The part of `thread`, with operands that may differ from operandList(); every thread of a team calls it
  // once.
  void run(int thread, int threads, void *const *operands);

private:
  TimedKernel() = default;
  KtKernelFn function = nullptr;
  void *code = nullptr;
  size_t codeBytes = 0, scratchBytes = 0;
  std::vector<std::vector<uint8_t>> owned;
  std::vector<uint8_t> scratch;
  std::vector<void *> operands;
};

// Calls per second of all threads together, when a thread on each of `cpus` calls its own kernel
// (`make(thread)`) over and over without waiting for others, for about `seconds`. Each thread's typical call
// counts, `share` of its calls being faster: kBusy for arithmetic, which is
// fastest in moments when other threads of the same core pause; 0.5, the median, for reading memory, whose
// speed the threads share. So other programs, which interrupt some calls, disturb little. 0 if a kernel cannot
// be made. Operand `walk.index` moves from call to call through memory, and the next measurement goes on where
// this one stopped: what it would find in a cache was read longest ago.
struct Walk {
  size_t index = 0;
  size_t bytes = 0, stride = 0;           // from the operand's first address; stride 0: it stays
  std::vector<size_t> *offsets = nullptr; // of each thread, in and out
};
inline constexpr double kBusy = 0.25;
double callRate(const std::function<std::unique_ptr<TimedKernel>(int)> &make, const std::vector<int> &cpus,
                double share, double seconds, const Walk &walk = {});

// Seconds of the fastest call of one kernel by a team with a thread on each of `cpus`, the barrier after it
// included.
double teamSeconds(TimedKernel &kernel, const std::vector<int> &cpus, double seconds, const Walk &walk = {});

} // namespace ktc
