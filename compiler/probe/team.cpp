// See team.h.
#include "compiler/probe/team.h"

#include <immintrin.h>
#include <sched.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <thread>

namespace ktc {

static void bindTo(int cpu) {
  cpu_set_t *set = CPU_ALLOC(cpu + 1);
  if (!set)
    return;
  size_t bytes = CPU_ALLOC_SIZE(cpu + 1);
  CPU_ZERO_S(bytes, set);
  CPU_SET_S(cpu, bytes, set);
  (void)sched_setaffinity(0, bytes, set); // unbound threads measure too, only less steadily
  CPU_FREE(set);
}

double runTogether(const std::vector<int> &cpus, const std::function<void(int)> &body) {
  using Clock = std::chrono::steady_clock;
  // The threads take the times: on a loaded machine this one may run again only when they are done.
  std::vector<Clock::time_point> starts(cpus.size()), ends(cpus.size());
  std::barrier start(static_cast<std::ptrdiff_t>(cpus.size()));
  std::vector<std::thread> team;
  for (size_t t = 0; t < cpus.size(); ++t)
    team.emplace_back([&, t] {
      bindTo(cpus[t]);
      start.arrive_and_wait();
      starts[t] = Clock::now();
      body(static_cast<int>(t));
      ends[t] = Clock::now();
    });
  for (std::thread &thread : team)
    thread.join();
  auto taken = *std::max_element(ends.begin(), ends.end()) - *std::min_element(starts.begin(), starts.end());
  return std::max(std::chrono::duration<double>(taken).count(), 1e-9);
}

void SpinBarrier::wait() {
  unsigned now = round.load(std::memory_order_acquire);
  if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
    arrived.store(0, std::memory_order_relaxed);
    round.store(now + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; round.load(std::memory_order_acquire) == now; ++spins)
    if (spins > 10'000)
      std::this_thread::yield();
    else
      _mm_pause();
}

} // namespace ktc
