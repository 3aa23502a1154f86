// What a lane looks like to the session: something that replays its program of an entry. CPU teams are one
// kind, CUDA streams the other, which run by themselves between the start and the end of a replay.
#pragma once

#include "runtime/abi/kt_abi.h"
#include "runtime/abi/result.hpp"
#include "runtime/executor/signals.h"

#include <cstdint>
#include <span>
#include <vector>

namespace ktrt {

// Nanoseconds spent in one command, summed over replays, and what became of its hints (plan.fbs).
struct CommandTime {
  uint64_t replays = 0;
  uint64_t nanos = 0;
  uint64_t chosen = 0;    // experts
  uint64_t guessed = 0;   // of those, in the hint
  uint64_t ahead = 0;     // bytes that the first thread has prefetched by the hint
  uint64_t busyNanos = 0; // in the command, without the wait at the next barrier, mean of all threads of a team
};

// When one command ran in the last replay, in nanoseconds of some clock; both 0 if that was not measured.
struct CommandSpan {
  uint64_t begin = 0;
  uint64_t end = 0;
};

// Replays one lane. Begin and finish belong to the session's caller.
class LaneRunner {
public:
  virtual ~LaneRunner() = default;
  // Starts the lane's program of `entry`. `steps`, one for each part of the entry's tokens, live until finish
  // returns; `replay` is never 0 and differs from that of the previous replays.
  virtual void begin(uint32_t entry, std::span<const KtStep> steps, uint32_t replay) = 0;
  // Returns when the program is done. Fails if another lane did not raise a signal in time.
  virtual kt::Status finish() = 0;
  virtual uint32_t threads() const = 0;
  // Switches per-command timing on, with all times at zero, or off.
  virtual void setProfiling(bool on) = 0;
  // Times of the program of `entry`, one per command; empty if nothing was measured.
  virtual const std::vector<CommandTime> &times(uint32_t entry) const = 0;
  // The last replay of `entry` while profiling, likewise.
  virtual const std::vector<CommandSpan> &spans(uint32_t entry) const = 0;
  // Null if the spans are of nowNanos(). Otherwise they are of a clock of the lane's own, and this is the time
  // of nowNanos() between which all of them lie.
  virtual const CommandSpan *window() const { return nullptr; }
};

} // namespace ktrt
