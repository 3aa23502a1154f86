// Background reading of weights; see prefetch.h.
#include "runtime/memory/prefetch.h"

#include <algorithm>
#include <csignal>
#include <unistd.h>

namespace ktrt {

// Small enough to stop quickly even on a slow disk.
static constexpr uint64_t kStep = 16u << 20;

std::unique_ptr<Prefetcher> Prefetcher::start(std::vector<Range> ranges) {
  uint64_t total = 0;
  for (const Range &range : ranges)
    total += range.bytes;
  uint64_t memory = uint64_t(sysconf(_SC_PHYS_PAGES)) * uint64_t(sysconf(_SC_PAGESIZE));
  if (total == 0 || total > memory / 10 * 9)
    return nullptr; // reading the end would throw out the beginning
  std::unique_ptr<Prefetcher> prefetcher(new Prefetcher());
  prefetcher->ranges = std::move(ranges);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  prefetcher->running = pthread_create(&prefetcher->thread, nullptr, threadMain, prefetcher.get()) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!prefetcher->running)
    return nullptr;
  return prefetcher;
}

Prefetcher::~Prefetcher() {
  stop = true;
  if (running)
    pthread_join(thread, nullptr);
}

void *Prefetcher::threadMain(void *argument) {
  Prefetcher &self = *static_cast<Prefetcher *>(argument);
  pthread_setname_np(pthread_self(), "ktrt-prefetch");
  for (const Range &range : self.ranges)
    for (uint64_t done = 0; done < range.bytes && !self.stop; done += kStep)
      range.file->prefetch(range.offset + done, std::min(kStep, range.bytes - done), true);
  return nullptr;
}

} // namespace ktrt
