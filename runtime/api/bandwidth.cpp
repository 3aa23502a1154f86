// Streaming read over a large buffer: the roof that decoding is compared with.
//
// Each thread owns one contiguous slice, which it has written first (so that its pages are near the thread's
// core), and reads it in every pass. A team like the session's does it, bound to the same cores.
#include "runtime/api/bandwidth.h"

#include "runtime/abi/read_range.h"
#include "runtime/api/statistics.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

namespace ktrt::api {
namespace {

// What the threads of one measurement share.
struct Measurement {
  Team &team;
  uint8_t *buffer;
  uint64_t slice;                // bytes per thread
  std::vector<double> rates;     // of each pass, bytes per second; written by thread 0
  std::atomic<uint64_t> sink{0}; // keeps the reads from being optimised away
};

void write(void *context, uint32_t thread) {
  auto &shared = *static_cast<Measurement *>(context);
  std::memset(shared.buffer + shared.slice * thread, static_cast<int>(thread + 1), shared.slice);
}

void read(void *context, uint32_t thread) {
  auto &shared = *static_cast<Measurement *>(context);
  for (double &rate : shared.rates) {
    shared.team.barrier(thread);
    auto start = std::chrono::steady_clock::now();
    shared.sink.fetch_xor(kt::readRange(shared.buffer + shared.slice * thread, shared.slice),
                          std::memory_order_relaxed);
    shared.team.barrier(thread);
    std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (thread == 0)
      rate = static_cast<double>(shared.slice * shared.team.threads()) / elapsed.count();
  }
}

} // namespace

kt::Result<ReadMeter> ReadMeter::create(const std::vector<uint32_t> &cpus, uint64_t bytes) {
  Team::Options options;
  options.cpus = cpus;
  options.pinCaller = true;
  auto team = Team::start(options);
  if (!team)
    return team.error();
  ReadMeter meter;
  meter.team = std::move(*team);
  meter.slice = bytes / meter.team->threads() / 4096 * 4096;
  auto buffer =
      ArenaMemory::allocate(meter.slice * meter.team->threads(), true, "buffer for the read bandwidth");
  if (!buffer)
    return buffer.error();
  meter.buffer = std::move(*buffer);
  Measurement shared{*meter.team, meter.buffer.data(), meter.slice, {}};
  meter.team->run(write, &shared);
  return meter;
}

double ReadMeter::measure(uint32_t passes) {
  Measurement shared{*team, buffer.data(), slice, std::vector<double>(passes)};
  team->run(read, &shared);
  // Its threads have parked before others want the cores.
  std::this_thread::sleep_for(2 * std::chrono::nanoseconds(team->spinTime()));
  return summarize(std::move(shared.rates)).median;
}

} // namespace ktrt::api
