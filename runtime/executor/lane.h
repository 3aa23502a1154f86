// What a lane looks like to the session: something that replays its program of an entry. CPU teams are one
// kind; CUDA streams will be another, which is why start and end of a replay are separate.
#pragma once

#include "runtime/abi/kt_abi.h"
#include "runtime/abi/result.hpp"
#include "runtime/cpu/wait_word.h"

#include <cstdint>
#include <vector>

namespace ktrt {

// Signals between the lanes of one replay. A word holds the number of the replay that raised it last, so that
// nothing has to be reset between replays.
class SignalTable {
public:
  explicit SignalTable(uint32_t count) : words(count) {}
  // Marks `signal` as raised in replay number `replay`.
  void raise(uint32_t signal, uint32_t replay) { words[signal].publish(replay); }
  // Waits until `signal` is raised in this replay; false after the timeout.
  bool wait(uint32_t signal, uint32_t replay, uint64_t spinNanos, uint64_t timeoutNanos);

private:
  std::vector<WaitWord> words;
};

// Nanoseconds spent in one command, summed over replays.
struct CommandTime {
  uint64_t replays = 0;
  uint64_t nanos = 0;
};

// Replays one lane. Begin and finish belong to the session's caller.
class LaneRunner {
public:
  virtual ~LaneRunner() = default;
  // Starts the lane's program of `entry`. `step` lives until finish returns; `replay` is never 0 and differs
  // from that of the previous replays.
  virtual void begin(uint32_t entry, const KtStep &step, uint32_t replay) = 0;
  // Returns when the program is done. Fails if another lane did not raise a signal in time.
  virtual kt::Status finish() = 0;
  virtual uint32_t threads() const = 0;
  // Switches per-command timing on, with all times at zero, or off.
  virtual void setProfiling(bool on) = 0;
  // Times of the program of `entry`, one per command; empty if nothing was measured.
  virtual const std::vector<CommandTime> &times(uint32_t entry) const = 0;
};

} // namespace ktrt
