// Signals between the lanes of one replay.
#pragma once

#include "runtime/cpu/wait_word.h"

#include <functional>
#include <new>
#include <type_traits>
#include <vector>

namespace ktrt {

// One word per signal, alone on its cache line. It holds the number of the replay that raised it last, so that
// nothing has to be reset between replays.
//
// Where GPUs take part, the words lie in memory that they see. A GPU cannot wake a sleeping thread, so whoever
// waits there looks again and again, at last with short sleeps in between. Signals can also have a flag, for
// operations that can only write or await a fixed value: it is 0 at the beginning of each replay and 1 once
// raised.
class SignalTable {
public:
  explicit SignalTable(uint32_t count) : own(count), words(own.data()), count(count) {}
  // In `shared`: sharedBytes(count) bytes of zeros, aligned to 64, that outlive the table.
  SignalTable(uint32_t count, uint8_t *shared);
  static uint64_t sharedBytes(uint32_t count) { return uint64_t(count) * 2 * sizeof(WaitWord); }

  // Marks `signal` as raised in replay number `replay`.
  void raise(uint32_t signal, uint32_t replay) {
    words[signal].publish(replay);
    if (flags)
      flags[signal].publish(1);
  }
  // The same as wait() below, but the thread first calls `idle` again and again until it returns false or the
  // signal is raised: a place for work that is useful and short (some hundred nanoseconds a call).
  template <typename Idle>
  bool wait(uint32_t signal, uint32_t replay, uint64_t spinNanos, uint64_t timeoutNanos, Idle &&idle) {
    while (!isRaised(signal, replay) && idle())
      ;
    return wait(signal, replay, spinNanos, timeoutNanos);
  }
  // Waits until `signal` is raised in this replay; false after the timeout or once the replay was given up.
  bool wait(uint32_t signal, uint32_t replay, uint64_t spinNanos, uint64_t timeoutNanos) {
    if (shared)
      return waitShared(signal, replay, spinNanos, timeoutNanos);
    for (;;) {
      uint32_t current = words[signal].load();
      if (current == replay)
        return true;
      if (!words[signal].waitWhile(current, spinNanos, timeoutNanos))
        return false;
    }
  }

  // What a GPU raises and awaits.
  uint32_t *word(uint32_t signal) { return reinterpret_cast<uint32_t *>(words + signal); }
  uint32_t *flag(uint32_t signal) { return reinterpret_cast<uint32_t *>(shared + count + signal); }

  // Before the first replay: some lane works with flags.
  void useFlags() { flags = shared + count; }
  // Before the lanes of a replay begin.
  void beginReplay() {
    if (flags)
      for (uint32_t i = 0; i < count; ++i)
        flags[i].publish(0);
  }

  // Ends all waiting in this replay, because lane `lane` has failed.
  void giveUp(uint32_t replay, uint32_t lane) {
    culprit.store(lane, std::memory_order_relaxed);
    lost.store(replay, std::memory_order_release);
  }
  // Raises all flags, for operations that nothing else can release.
  void releaseFlags() {
    for (uint32_t i = 0; flags && i < count; ++i)
      flags[i].publish(1);
  }
  // The lane that made this replay fail, or -1.
  int64_t givenUpBy(uint32_t replay) const {
    return lost.load(std::memory_order_acquire) == replay ? int64_t(culprit.load(std::memory_order_relaxed))
                                                          : -1;
  }
  // Something that a thread that has been waiting for long looks at: it gives the replay up if a lane has
  // failed.
  void addWatch(std::function<void(uint32_t replay)> watch) { watches.push_back(std::move(watch)); }

private:
  bool isRaised(uint32_t signal, uint32_t replay) const {
    return words[signal].load() == replay || (flags && flags[signal].load() != 0);
  }
  bool waitShared(uint32_t signal, uint32_t replay, uint64_t spinNanos, uint64_t timeoutNanos);

  std::vector<WaitWord> own;
  WaitWord *words;
  WaitWord *shared = nullptr;
  WaitWord *flags = nullptr; // null unless used
  uint32_t count;
  std::atomic<uint32_t> lost{0}, culprit{0};
  std::vector<std::function<void(uint32_t)>> watches;
};
static_assert(std::is_standard_layout_v<WaitWord>, "its first member is what GPUs see");

} // namespace ktrt
