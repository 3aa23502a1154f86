// A persistent team of pinned threads that all run the same function (SPMD), with a barrier.
//
// No queue and no condition variable: a generation word starts a run, a two-level counter ends it, and the same
// counter is the barrier. Waiting threads spin for a bounded time and then park, so that an idle session costs
// no CPU.
#pragma once

#include "runtime/abi/result.hpp"
#include "runtime/cpu/wait_word.h"

#include <cstdint>
#include <memory>
#include <pthread.h>
#include <vector>

namespace ktrt {

// Runs functions on a fixed number of threads. begin, finish and run belong to one controlling thread at a
// time.
class Team {
public:
  using Function = void (*)(void *context, uint32_t thread);

  struct Options {
    std::vector<uint32_t> cpus; // logical CPU of each thread; the size is the number of threads (at least 1)
    bool pin = true;            // bind each worker to its CPU
    bool pinCaller = false;     // bind the controlling thread too, as long as the team lives
    bool callerWorks = true; // the controlling thread is thread 0 (inside finish); else all threads are workers
    uint32_t nodes = 1; // memory nodes: threads of one part of the team share counters among themselves only
    uint32_t spinMicros =
        ~0u; // before a waiting thread parks; ~0 = kDefaultSpinMicros, less if CPUs are shared
  };
  // On the same machine a barrier that parks takes 17 us instead, and waking an idle team 50 to 250 us: 1 ms
  // bridges uneven kernels and the sampling between two tokens.
  static constexpr uint32_t kDefaultSpinMicros = 1000;
  static constexpr uint32_t kMaxThreads = 1024;

  // Starts the workers. Fails if the system does not give the threads; a failed pinning is ignored.
  static kt::Result<std::unique_ptr<Team>> start(const Options &options);
  ~Team();
  Team(const Team &) = delete;
  Team &operator=(const Team &) = delete;

  uint32_t threads() const { return count; }
  uint64_t spinTime() const { return spinNanos; } // nanoseconds before a waiting thread parks

  // Lets the workers start calling function(context, thread). Returns at once.
  void begin(Function function, void *context);
  // Runs thread 0's part if the caller works, and returns when all threads are done.
  void finish();
  void run(Function function, void *context) {
    begin(function, context);
    finish();
  }

  // Called by every thread of the current run, from inside its function: returns when all have arrived. What
  // each wrote before is visible to all afterwards.
  void barrier(uint32_t thread) {
    barrier(thread, [] { return false; });
  }

  // The same, but a waiting thread calls `idle` again and again until it returns false or all have arrived: a
  // place for work that is useful and short (some hundred nanoseconds a call).
  template <typename Idle> void barrier(uint32_t thread, Idle &&idle) {
    if (count == 1)
      return;
    uint32_t current = released.load(); // cannot change before this thread arrives
    if (arrive(thread)) {
      released.publish(current + 1);
      return;
    }
    while (released.load() == current && idle())
      ;
    released.waitWhile(current, spinNanos);
  }

private:
  // Threads of a group share one counter; groups do not cross memory nodes. Measured with 16 threads on 16
  // cores of a Xeon: a barrier takes 0.9 us with groups of 4 or 8 and 1.3 us with a single counter; 0.3 us with
  // 2 threads.
  static constexpr uint32_t kGroup = 8;
  struct alignas(64) Counter {
    std::atomic<uint32_t> arrived{0};
    uint32_t members = 0;
  };
  struct Worker {
    Team *team;
    uint32_t thread;
    pthread_t handle;
  };

  Team() = default;
  void makeGroups(uint32_t nodes);
  bool arrive(uint32_t thread);
  void loop(uint32_t thread);
  void pinController();
  static void *entryPoint(void *worker);

  uint32_t count = 1;
  bool callerWorks = true;
  uint64_t spinNanos = 0;
  std::vector<Worker> workers;
  std::unique_ptr<Counter[]> groups;
  std::vector<uint32_t> groupOf; // by thread
  Counter root;

  WaitWord generation; // raised by begin
  WaitWord finished;   // raised by the last thread of a run
  WaitWord released;   // raised by the last thread at a barrier
  Function function = nullptr;
  void *context = nullptr;
  bool stopping = false;

  std::vector<uint8_t>
      callerMask; // affinity of the controlling thread before it was pinned; empty if it was not
  pthread_t caller{};
};

} // namespace ktrt
