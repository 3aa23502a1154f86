// Threads that start together: see team.h.
#include "test/templates/tools/team.h"

#include "test/templates/tools/measure.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <immintrin.h>
#include <sched.h>
#include <thread>
#include <vector>

namespace ktc::timing {

namespace {

using Clock = std::chrono::steady_clock;

double seconds(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

// Binds the calling thread to the index-th CPU that it may use; leaves it alone if there are fewer.
void bindToCpu(int64_t index) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
    return;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed) && index-- == 0) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      sched_setaffinity(0, sizeof(one), &one);
      return;
    }
}

// Waits until `counter` reaches `value`; gives the CPU away if that takes long.
void waitFor(const std::atomic<int64_t> &counter, int64_t value) {
  for (int spins = 0; counter.load(std::memory_order_acquire) < value; ++spins)
    spins < 20000 ? _mm_pause() : std::this_thread::yield();
}

} // namespace

std::vector<double> roundTimes(int64_t threads, int64_t atLeast, double budget,
                               const std::function<void(int64_t, int64_t)> &work) {
  std::atomic<int64_t> started = 0, finished = 0;
  std::atomic<bool> stop = false;
  struct alignas(64) Own {
    double seconds = 0;
  };
  std::vector<Own> own(static_cast<size_t>(threads));
  auto timed = [&](int64_t thread, int64_t round) {
    const double start = threadSeconds();
    work(thread, round);
    own[static_cast<size_t>(thread)].seconds = threadSeconds() - start;
  };
  auto help = [&](int64_t thread) {
    bindToCpu(thread);
    for (int64_t round = 0;; ++round) {
      waitFor(started, round + 1);
      if (stop)
        return;
      timed(thread, round);
      finished.fetch_add(1, std::memory_order_release);
    }
  };
  std::vector<std::thread> helpers;
  for (int64_t thread = 1; thread < threads; ++thread)
    helpers.emplace_back(help, thread);
  cpu_set_t before;
  sched_getaffinity(0, sizeof(before), &before);
  bindToCpu(0);
  std::vector<double> times;
  const auto begin = Clock::now();
  for (int64_t round = 0; round < atLeast || seconds(begin) < budget; ++round) {
    started.fetch_add(1, std::memory_order_release);
    timed(0, round);
    waitFor(finished, (round + 1) * (threads - 1));
    if (round > 0)
      times.push_back(std::max_element(own.begin(), own.end(), [](auto &a, auto &b) {
                        return a.seconds < b.seconds;
                      })->seconds);
  }
  stop = true;
  started.fetch_add(1, std::memory_order_release);
  for (std::thread &helper : helpers)
    helper.join();
  sched_setaffinity(0, sizeof(before), &before);
  return times;
}

} // namespace ktc::timing
