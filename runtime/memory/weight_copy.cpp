// Copying weights to where they are read fastest; see weight_copy.h.
#include "runtime/memory/weight_copy.h"

#include "runtime/cpu/team.h"
#include "runtime/cpu/topology.h"
#include "runtime/plan/message.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace ktrt {

namespace {

constexpr uint64_t kHugePage = 2u << 20;

struct Job {
  const uint8_t *source;
  uint8_t *destination;
  uint64_t bytes;
  uint64_t matrixBytes; // 0: not split over nodes
};

struct Copying {
  const std::vector<Job> *jobs;
  uint32_t nodes, threads;

  // Thread t works for node t * nodes / threads and takes every n-th piece of it, n being the node's threads.
  static void run(void *context, uint32_t thread) {
    const Copying &self = *static_cast<Copying *>(context);
    const uint32_t node = uint32_t(uint64_t(thread) * self.nodes / self.threads);
    const ThreadRange own = nodeThreads(self.threads, node, self.nodes);
    uint32_t piece = 0;
    for (const Job &job : *self.jobs) {
      // What is read by all nodes alike is spread over them in pieces of a huge page.
      const uint64_t matrix = job.matrixBytes ? job.matrixBytes : kHugePage * self.nodes;
      forEachNodePart(job.bytes, matrix, node, self.nodes, [&](uint64_t begin, uint64_t end) {
        if (piece++ % own.count == thread - own.first)
          memcpy(job.destination + begin, job.source + begin, end - begin);
      });
    }
  }
};

// Bytes that the system can give without swapping; the largest number if it does not say.
uint64_t availableMemory() {
  uint64_t kilobytes = UINT64_MAX >> 10;
  if (FILE *file = fopen("/proc/meminfo", "re")) {
    char line[128];
    while (fgets(line, sizeof(line), file))
      if (sscanf(line, "MemAvailable: %" SCNu64, &kilobytes) == 1)
        break;
    fclose(file);
  }
  return kilobytes << 10;
}

} // namespace

kt::Result<WeightCopies> WeightCopies::make(const plan::Plan &plan, std::vector<const uint8_t *> &addresses,
                                            const std::vector<uint32_t> &cpus) {
  WeightCopies copies;
  const plan::WeightLayout *layout = plan.weight_layout();
  if (!layout || !plan.weights() || (layout->nodes() <= 1 && !layout->huge_pages()))
    return copies;
  const uint32_t nodes = std::min(layout->nodes(), uint32_t(cpus.size()));
  std::vector<Job> jobs;
  std::vector<uint32_t> copied;
  for (uint32_t i = 0; i < plan.weights()->size(); ++i) {
    const plan::Weight &weight = *plan.weights()->Get(i);
    if (weight.split_bytes() == 0 && !layout->huge_pages())
      continue;
    if (plan.devices() && plan.devices()->Get(weight.device())->kind() != plan::DeviceKind::Cpu)
      continue; // not kept in the memory of the host
    copied.push_back(i);
    copies.total += weight.bytes();
  }
  if (uint64_t available = availableMemory(); copies.total > available)
    return failure("the plan wants %" PRIu64
                   " bytes of weights copied into memory near the CPUs, but only %" PRIu64
                   " bytes are available; compile it for this machine",
                   copies.total, available);
  for (uint32_t i : copied) {
    const plan::Weight &weight = *plan.weights()->Get(i);
    const bool isSplit = nodes > 1 && weight.split_bytes() != 0;
    // A huge page has one node; parts that are much smaller than it would end up on the wrong one.
    const bool huge = layout->huge_pages() && (!isSplit || weight.split_bytes() / nodes >= 8 * kHugePage);
    kt::Result<ArenaMemory> memory = ArenaMemory::allocate(weight.bytes(), huge, "copy of a weight");
    if (!memory)
      return memory.error();
    jobs.push_back({addresses[i], memory->data(), weight.bytes(), isSplit ? weight.split_bytes() : 0});
    addresses[i] = memory->data();
    copies.copies.push_back(std::move(*memory));
  }
  Team::Options options;
  options.cpus = cpus;
  options.pinCaller = true;
  kt::Result<std::unique_ptr<Team>> team = Team::start(options);
  if (!team)
    return team.error();
  Copying copying{&jobs, nodes, (*team)->threads()};
  (*team)->run(Copying::run, &copying);
  return copies;
}

} // namespace ktrt
