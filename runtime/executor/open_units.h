// Units of a dispatch that any thread may take.
//
// Threads do not read memory equally fast, least of all on machines that share their memory with others, and a
// phase ends with its slowest thread. So the last part of each thread's share of a large dispatch is open: who
// is done takes a grain of it, first of its own share, then of the others'. Which thread computes a unit
// changes no result.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

namespace ktrt {

// How many units at the end of a share of `units` are open. A sixth: measured on 16 threads, a quarter and an
// eighth gain the same within noise, a sixteenth nothing.
constexpr uint32_t openUnits(uint32_t units) { return (units + 5) / 6; }

// How many of a share of `units` for many tokens: the second half, `grain` units at a time. Such work waits for
// the arithmetic of cores, whose other threads may be busy with something else: a thread can take half as long
// again.
constexpr uint32_t openUnitsOfMany(uint32_t units, uint32_t grain) { return units / 2 / grain * grain; }

// The last `units` of a share are open, and are taken `grain` at a time.
struct OpenPart {
  uint32_t units = 0, grain = 1;
};

// What has been taken, for all dispatches of one program that have open shares. A state holds the replay it
// belongs to, so nothing is reset between replays.
class OpenUnits {
public:
  OpenUnits() = default;
  OpenUnits(size_t dispatches, uint32_t threads)
      : threads(threads), states(std::make_unique<State[]>(dispatches * threads)) {}

  // Takes up to `grain` units of the open units [open, end) of `owner`'s share in this replay: true and
  // [begin, next), or false if none is left. Any thread may call it.
  bool take(size_t dispatch, uint32_t owner, uint32_t replay, uint32_t open, uint32_t end, uint32_t grain,
            uint32_t &begin, uint32_t &next) {
    std::atomic<uint64_t> &state = states[dispatch * threads + owner].value;
    uint64_t seen = state.load(std::memory_order_relaxed);
    do {
      begin = uint32_t(seen >> 32) == replay ? uint32_t(seen) : open;
      if (begin >= end)
        return false;
      next = begin + std::min(grain, end - begin);
    } while (!state.compare_exchange_weak(seen, uint64_t(replay) << 32 | next, std::memory_order_relaxed));
    return true;
  }

private:
  struct alignas(64) State {
    std::atomic<uint64_t> value{0}; // replay, next unit
  };
  uint32_t threads = 0;
  std::unique_ptr<State[]> states;
};

} // namespace ktrt
