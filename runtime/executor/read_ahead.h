// What a thread does while it waits for the others: it prefetches the weights that it will read next.
//
// Threads of a lane often wait for one that works alone (norms, routing), and memory would be idle. Which rows
// of the next matrix a thread gets is fixed by the plan, so their first bytes can already travel to its cache.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace ktrt {

// A weight matrix of a dispatch: unit u of its work begins at data + u * unitBytes.
struct WeightStream {
  const uint8_t *data;
  uint64_t unitBytes;
};

// The streams of one dispatch: [first, first + count) of the program's table, and its number of units.
struct StreamTarget {
  uint32_t first = 0;
  uint32_t count = 0;
  uint32_t units = 0;
};

// One thread's progress. Lives for one replay.
class ReadAhead {
public:
  // More than this per matrix would come too early: it has to stay in the cache of a core until it is used.
  static constexpr uint64_t kMostBytes = 64 << 10;

  ReadAhead(const std::vector<WeightStream> &streams, uint32_t thread, uint32_t threads)
      : streams(streams), thread(thread), threads(threads) {}

  // Works on `target` from now on; goes on where it was if that is the same as before.
  void aim(const StreamTarget &next) {
    if (next.first == target.first && next.count == target.count)
      return;
    target = next;
    stream = 0;
    begin();
  }

  // Prefetches a few lines; false if there is nothing left to do.
  bool step() {
    constexpr uint64_t line = 64, lines = 4;
    if (position == end) {
      if (stream + 1 >= target.count)
        return false;
      ++stream;
      begin();
      return true;
    }
    for (uint64_t i = 0; i < lines && position < end; ++i, position += std::min(line, end - position))
      __builtin_prefetch(reinterpret_cast<const void *>(position), 0, 2);
    __builtin_ia32_pause(); // leaves the core to a hardware thread beside this one
    return true;
  }

private:
  // Addresses, not pointers: a plan may say nonsense about what is prefetched, which must stay harmless.
  void begin() {
    position = end = 0;
    if (target.count == 0)
      return;
    const WeightStream &weights = streams[target.first + stream];
    const uint64_t first = uint64_t(target.units) * thread / threads,
                   last = uint64_t(target.units) * (thread + 1) / threads;
    position = reinterpret_cast<uint64_t>(weights.data) + first * weights.unitBytes;
    end = position + std::min((last - first) * weights.unitBytes, kMostBytes);
  }

  const std::vector<WeightStream> &streams;
  uint32_t thread, threads;
  StreamTarget target;
  uint32_t stream = 0;
  uint64_t position = 0, end = 0;
};

} // namespace ktrt
