// Threads of a measurement: one per given CPU, bound to it, started and timed together.
#pragma once

#include <atomic>
#include <functional>
#include <vector>

namespace ktc {

// Runs `body(thread)` on one thread per CPU of `cpus` at once and returns the seconds from the first start to
// the last end.
double runTogether(const std::vector<int> &cpus, const std::function<void(int)> &body);

// A barrier at which threads spin, and after a while give up their time slice: what the runtime's team does.
class SpinBarrier {
public:
  explicit SpinBarrier(int threads) : threads(threads) {}
  void wait();

private:
  const int threads;
  alignas(64) std::atomic<int> arrived{0};
  alignas(64) std::atomic<unsigned> round{0};
};

} // namespace ktc
