// Waiting for signals that a GPU may raise; see signals.h.
#include "runtime/executor/signals.h"

namespace ktrt {

SignalTable::SignalTable(uint32_t count, uint8_t *memory)
    : shared(reinterpret_cast<WaitWord *>(memory)), count(count) {
  words = shared;
  for (uint32_t i = 0; i < 2 * count; ++i)
    new (shared + i) WaitWord;
}

bool SignalTable::waitShared(uint32_t signal, uint32_t replay, uint64_t spinNanos, uint64_t timeoutNanos) {
  constexpr uint64_t sleep = 50'000;      // short beside what a replay takes that waits so long
  constexpr uint32_t sleepsPerWatch = 40; // a few milliseconds
  if (isRaised(signal, replay))
    return true;
  const uint64_t start = nowNanos();
  for (uint64_t passed = 0; passed < spinNanos && passed < timeoutNanos; passed = nowNanos() - start)
    for (int i = 0; i < 64; ++i) {
      __builtin_ia32_pause();
      if (isRaised(signal, replay))
        return true;
    }
  for (uint32_t round = 1;; ++round) {
    const uint32_t current = words[signal].load();
    if (isRaised(signal, replay))
      return true;
    if (nowNanos() - start >= timeoutNanos || givenUpBy(replay) >= 0)
      return false;
    words[signal].waitWhile(current, 0, sleep);
    if (round % sleepsPerWatch == 0)
      for (const auto &watch : watches)
        watch(replay);
  }
}

} // namespace ktrt
