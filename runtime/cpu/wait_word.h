// A 32-bit word that threads wait on: they spin for a bounded time and then sleep in the kernel.
//
// The one waiting primitive of the runtime: barriers, the start and end of a replay and cross-lane signals use
// it.
#pragma once

#include <atomic>
#include <climits>
#include <cstdint>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ktrt {

// Nanoseconds of the monotonic clock.
inline uint64_t nowNanos() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return uint64_t(time.tv_sec) * 1'000'000'000 + uint64_t(time.tv_nsec);
}

// Alone on its cache line. The count of sleepers shares the line: it only changes when somebody gives up
// spinning.
class alignas(64) WaitWord {
public:
  static constexpr uint64_t kForever = ~uint64_t(0);

  uint32_t load() const { return value.load(std::memory_order_acquire); }

  // Sets the word and wakes whoever sleeps on it. What this thread wrote before is visible to them.
  void publish(uint32_t next) {
    // Sequentially consistent on both sides: either this thread sees the sleeper, or the sleeper sees `next`.
    value.store(next, std::memory_order_seq_cst);
    if (parked.load(std::memory_order_seq_cst) != 0)
      syscall(SYS_futex, &value, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  }

  // Returns true as soon as the word differs from `old`, false after `timeoutNanos`. Spins for at most
  // `spinNanos` before it sleeps.
  bool waitWhile(uint32_t old, uint64_t spinNanos, uint64_t timeoutNanos = kForever) {
    if (load() != old)
      return true;
    uint64_t start = nowNanos();
    do {
      for (int i = 0; i < 64; ++i) {
        __builtin_ia32_pause();
        if (load() != old)
          return true;
      }
    } while (nowNanos() - start < spinNanos);
    return park(old, start, timeoutNanos);
  }

private:
  bool park(uint32_t old, uint64_t start, uint64_t timeoutNanos) {
    parked.fetch_add(1, std::memory_order_seq_cst);
    bool changed = true;
    while (value.load(std::memory_order_seq_cst) == old) {
      timespec left, *timeout = nullptr;
      if (timeoutNanos != kForever) {
        uint64_t passed = nowNanos() - start;
        if (passed >= timeoutNanos) {
          changed = false;
          break;
        }
        left.tv_sec = time_t((timeoutNanos - passed) / 1'000'000'000);
        left.tv_nsec = long((timeoutNanos - passed) % 1'000'000'000);
        timeout = &left;
      }
      syscall(SYS_futex, &value, FUTEX_WAIT_PRIVATE, old, timeout, nullptr, 0);
    }
    parked.fetch_sub(1, std::memory_order_relaxed);
    return changed;
  }

  std::atomic<uint32_t> value{0};
  std::atomic<uint32_t> parked{0};
};
static_assert(sizeof(WaitWord) == 64 && sizeof(std::atomic<uint32_t>) == 4);

} // namespace ktrt
