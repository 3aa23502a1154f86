// What happened when in one replay: the commands of all lanes and the signals between them, on one clock.
#pragma once

#include "runtime/executor/lane.h"
#include "runtime/plan/reader.h"

#include <memory>
#include <vector>

namespace ktrt {

// Times are nanoseconds of nowNanos().
struct TimelineCommand {
  uint32_t lane;
  uint32_t command; // of the lane's program
  uint64_t begin, end;
};

struct TimelineSignal {
  uint32_t signal;
  uint32_t from, to;        // lanes
  uint64_t raised, noticed; // the lane that waits goes on
};

struct Timeline {
  uint32_t entry = 0;
  std::vector<TimelineCommand> commands; // that were measured, by lane
  std::vector<TimelineSignal> signals;
};

// The last replay of entry `entry`, which was profiled. `lanes` as in the plan.
//
// A GPU has a clock of its own. What is known is that nothing on the GPU ran before the graph was launched or
// after it had ended, that a signal is noticed after it was raised, and that it is raised after what it
// follows: each gives a bound for the difference of the clocks, and signals in both directions leave little
// room between them.
Timeline readTimeline(const plan::Plan &plan, uint32_t entry,
                      const std::vector<std::unique_ptr<LaneRunner>> &lanes);

} // namespace ktrt
