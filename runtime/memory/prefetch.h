// Reads weights into memory in the background, so that the first tokens start at once on a file of any size and
// the later ones do not wait for page faults.
#pragma once

#include "runtime/memory/mapped_file.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <pthread.h>
#include <vector>

namespace ktrt {

// One background thread that walks over mapped ranges. Stops within one step when destroyed. The files must
// outlive it.
class Prefetcher {
public:
  struct Range {
    const MappedFile *file;
    uint64_t offset;
    uint64_t bytes;
  };
  // Starts reading. Returns null, which is fine, if the ranges would not fit into memory or no thread can be
  // started.
  static std::unique_ptr<Prefetcher> start(std::vector<Range> ranges);
  ~Prefetcher();
  Prefetcher(const Prefetcher &) = delete;
  Prefetcher &operator=(const Prefetcher &) = delete;

private:
  Prefetcher() = default;
  static void *threadMain(void *prefetcher);

  std::vector<Range> ranges;
  std::atomic<bool> stop{false};
  pthread_t thread{};
  bool running = false;
};

} // namespace ktrt
