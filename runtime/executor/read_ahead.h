// What a thread does while it waits for the others: it prefetches the weights that it will read next.
//
// Threads of a lane often wait for one that works alone (norms, routing) or for another lane, and memory would
// be idle. Which rows of the next matrix a thread gets is fixed by the plan, so their first bytes can already
// travel to its cache. Of experts a hint says which ones will probably be needed: it is read without any order,
// and whatever it holds decides only what is prefetched.
#pragma once

#include "runtime/executor/work_split.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace ktrt {

// A weight matrix of a dispatch: unit u of its work begins at data + u * unitBytes, with a hint that of expert
// e at data + e * expertBytes + u * unitBytes.
struct WeightStream {
  const uint8_t *data;
  uint64_t unitBytes;
  uint64_t expertBytes = 0;
};

// The streams of one dispatch: [first, first + count) of the program's table, and its number of units.
struct StreamTarget {
  uint32_t first = 0;
  uint32_t count = 0;
  uint32_t units = 0;
  uint32_t choices = 1;           // ids in the hint
  uint32_t experts = 1;           // ids of experts are less than that
  const int32_t *ids = nullptr;   // the hint, or null
  const int32_t *lists = nullptr; // with a hint: the experts that were chosen in the end (kt_abi.h)

  // What the hint, if there is one, says now: the other lane may be writing it.
  int32_t idAt(uint32_t index) const {
    return std::atomic_ref(const_cast<int32_t &>(ids[index])).load(std::memory_order_relaxed);
  }
};

// One thread's progress. Lives for one replay.
class ReadAhead {
public:
  // More than this per matrix would come too early: it has to stay in the cache of a core until it is used.
  static constexpr uint64_t kMostBytes = 64 << 10;

  // Of hinted experts at most `mostHinted` bytes are read ahead: they stay in the cache for long.
  ReadAhead(const std::vector<WeightStream> &streams, uint32_t thread, uint32_t threads, uint64_t mostHinted)
      : streams(streams), thread(thread), threads(threads), mostHinted(mostHinted) {}

  // Works on `target` from now on; goes on where it was if that is the same as before.
  void aim(const StreamTarget &next) {
    if (next.first == target.first && next.count == target.count)
      return;
    target = next;
    choice = stream = 0;
    left = mostHinted;
    begin();
  }

  // With the pause a step takes some 50 ns. That many lines are as much as a core can have under way in that
  // time, for where nobody else uses the memory; and half of it, for where others still work.
  static constexpr uint64_t kManyLines = 8, kFewLines = 4;

  // Prefetches `lines` lines; false if there is nothing left to do.
  bool step(uint64_t lines = kFewLines) {
    constexpr uint64_t line = 64;
    if (position == end)
      return next();
    for (uint64_t i = 0; i < lines && position < end; ++i, position += std::min(line, end - position))
      __builtin_prefetch(reinterpret_cast<const void *>(position), 0, 2);
    __builtin_ia32_pause(); // leaves the core to a hardware thread beside this one
    return true;
  }

  // The bytes that are being prefetched, as addresses; for tests.
  uint64_t rangeBegin() const { return position; }
  uint64_t rangeEnd() const { return end; }
  // Bytes of hinted experts that have been, or are being, prefetched for the current target.
  uint64_t hintedBytes() const { return mostHinted - left - (target.ids ? end - position : 0); }

private:
  // Goes on to the next matrix, of the same expert first.
  bool next() {
    const bool more = left != 0 || !target.ids;
    if (matricesFirst ? choice + 1 < target.choices && more : stream + 1 < target.count) {
      ++(matricesFirst ? choice : stream);
    } else if (matricesFirst ? stream + 1 < target.count && more : choice + 1 < target.choices && more) {
      ++(matricesFirst ? stream : choice);
      (matricesFirst ? choice : stream) = 0;
    } else {
      return false;
    }
    begin();
    return true;
  }

  // Addresses, not pointers: a plan may say nonsense about what is prefetched, which must stay harmless.
  void begin() {
    position = end = 0;
    if (target.count == 0)
      return;
    const WeightStream &weights = streams[target.first + stream];
    const UnitRange share = shareOf(target.units, thread, threads);
    uint64_t most = kMostBytes, expert = 0;
    if (target.ids) {
      expert = uint32_t(target.idAt(choice));
      if (expert >= target.experts)
        return;
      most = left;
    }
    position = reinterpret_cast<uint64_t>(weights.data) + expert * weights.expertBytes +
               share.begin * weights.unitBytes;
    end = position + std::min((share.end - share.begin) * weights.unitBytes, most);
    if (target.ids)
      left -= end - position;
  }

  const std::vector<WeightStream> &streams;
  const uint32_t thread, threads;
  const uint64_t mostHinted;
  StreamTarget target;
  static inline const bool matricesFirst = getenv("KTRT_HINT_ORDER") && *getenv("KTRT_HINT_ORDER") == 'm';
  uint32_t choice = 0, stream = 0;
  uint64_t left = 0; // of mostHinted
  uint64_t position = 0, end = 0;
};

} // namespace ktrt
