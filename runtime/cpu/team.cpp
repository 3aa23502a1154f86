// The thread team; see team.h.
#include "runtime/cpu/team.h"

#include "runtime/cpu/topology.h"
#include "runtime/plan/message.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <sched.h>

namespace ktrt {

static constexpr size_t kMaskCpus = 8192;

static void pinThread(pthread_t thread, uint32_t cpu) {
  if (cpu >= kMaskCpus)
    return;
  std::vector<uint8_t> mask(CPU_ALLOC_SIZE(kMaskCpus));
  CPU_SET_S(cpu, mask.size(), reinterpret_cast<cpu_set_t *>(mask.data()));
  pthread_setaffinity_np(thread, mask.size(), reinterpret_cast<cpu_set_t *>(mask.data()));
}

kt::Result<std::unique_ptr<Team>> Team::start(const Options &options) {
  size_t threads = options.cpus.size();
  if (threads == 0 || threads > kMaxThreads)
    return failure("cannot run %zu threads: expected 1 to %u", threads, kMaxThreads);
  std::unique_ptr<Team> team(new Team());
  team->count = uint32_t(threads);
  team->callerWorks = options.callerWorks;
  uint32_t micros = options.spinMicros;
  if (micros == ~0u)
    micros = cpusAreShared(options.cpus) ? 0 : kDefaultSpinMicros;
  team->spinNanos = uint64_t(micros) * 1000;

  team->makeGroups(std::clamp(options.nodes, 1u, team->count));

  uint32_t first = options.callerWorks ? 1 : 0;
  team->workers.reserve(threads); // workers keep pointers into it
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); // workers inherit: signals go to the application's own threads
  int reason = 0;
  for (uint32_t i = first; i < team->count && reason == 0; ++i) {
    team->workers.push_back({team.get(), i, {}});
    Worker &worker = team->workers.back();
    reason = pthread_create(&worker.handle, nullptr, entryPoint, &worker);
    if (reason != 0) {
      team->workers.pop_back();
      break;
    }
    if (options.pin)
      pinThread(worker.handle, options.cpus[i]);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (reason != 0)
    return failure("cannot start thread %zu of %zu: %s", team->workers.size() + first + 1, threads,
                   strerror(reason));
  if (options.pinCaller && options.callerWorks) {
    team->pinController();
    pinThread(team->caller, options.cpus[0]);
  }
  return team;
}

// Numbers the groups: as many as needed for the threads of each node.
void Team::makeGroups(uint32_t nodes) {
  groupOf.resize(count);
  uint32_t groupCount = 0;
  for (uint32_t node = 0; node < nodes; ++node) {
    const ThreadRange own = nodeThreads(count, node, nodes);
    for (uint32_t i = 0; i < own.count; ++i)
      groupOf[own.first + i] = groupCount + i / kGroup;
    groupCount += (own.count + kGroup - 1) / kGroup;
  }
  groups = std::make_unique<Counter[]>(groupCount);
  for (uint32_t group : groupOf)
    ++groups[group].members;
  root.members = groupCount;
}

// Remembers the affinity of the controlling thread, to be restored at the end.
void Team::pinController() {
  caller = pthread_self();
  callerMask.resize(CPU_ALLOC_SIZE(kMaskCpus));
  if (pthread_getaffinity_np(caller, callerMask.size(), reinterpret_cast<cpu_set_t *>(callerMask.data())) != 0)
    callerMask.clear();
}

Team::~Team() {
  stopping = true;
  generation.publish(generation.load() + 1);
  for (Worker &worker : workers)
    pthread_join(worker.handle, nullptr);
  if (!callerMask.empty() && pthread_equal(caller, pthread_self()))
    pthread_setaffinity_np(caller, callerMask.size(), reinterpret_cast<cpu_set_t *>(callerMask.data()));
}

void *Team::entryPoint(void *argument) {
  Worker *worker = static_cast<Worker *>(argument);
  char name[16];
  snprintf(name, sizeof(name), "ktrt-%u", worker->thread % 10000);
  pthread_setname_np(pthread_self(), name);
  worker->team->loop(worker->thread);
  return nullptr;
}

void Team::loop(uint32_t thread) {
  for (uint32_t seen = 0;; ++seen) {
    generation.waitWhile(seen, spinNanos);
    if (stopping)
      return;
    function(context, thread);
    if (arrive(thread))
      finished.publish(seen + 1);
  }
}

void Team::begin(Function newFunction, void *newContext) {
  function = newFunction;
  context = newContext;
  generation.publish(generation.load() + 1);
}

void Team::finish() {
  uint32_t current = generation.load();
  if (callerWorks) {
    function(context, 0);
    if (arrive(0)) {
      finished.publish(current);
      return;
    }
  }
  while (finished.load() != current)
    finished.waitWhile(current - 1, spinNanos);
}

// Counts this thread in; true for the last one. Counters are reset before the last thread reports, so they are
// ready when anybody can arrive again.
bool Team::arrive(uint32_t thread) {
  Counter &group = groups[groupOf[thread]];
  if (group.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 != group.members)
    return false;
  group.arrived.store(0, std::memory_order_relaxed);
  if (root.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 != root.members)
    return false;
  root.arrived.store(0, std::memory_order_relaxed);
  return true;
}

} // namespace ktrt
