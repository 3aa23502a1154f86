// From the program of a lane to the nodes and edges of one graph: which kernel raises and awaits which signal.
//
// A signal is cheapest in the tail of a kernel, and a wait at the start of one (kt_cuda.h). Both need no node
// of their own if the edges allow it; where they do not, there is one. Nothing here calls the driver.
#pragma once

#include "plan_generated.h"

#include <cstdint>
#include <vector>

namespace ktrt::cuda {

// Where the signals of an entry are raised: by signal, the lane program and the command in it.
struct SignalSource {
  uint32_t program = 0;
  uint32_t command = 0;
};

struct LaneNode {
  enum class Kind : uint8_t { Kernel, Copy, Fill, Raise, Wait };
  static constexpr int64_t kNone = -1;

  Kind kind;
  uint32_t command; // of the program
  std::vector<uint32_t>
      after;              // earlier nodes, ascending and without those that follow from others. None: the start
  int64_t raise = kNone;  // signal that the node raises when it is done
  int64_t wait = kNone;   // signal that it waits for before it begins
  bool completes = false; // a kernel after which everything else is done, and which raises no signal
};

// Nodes in an order in which they can be created.
struct LaneGraph {
  std::vector<LaneNode> nodes;
  std::vector<uint32_t> last; // nodes that nothing follows
};

// Arranges a lane program of an entry, which is verified. `sources` by signal. With `fold`, kernels raise and
// await signals where possible; otherwise all signals and waits are nodes. With `completion`, the last kernel
// is given edges from all that would end beside it, so that it can say that the replay is done.
LaneGraph arrangeLane(const plan::LaneProgram &program, const std::vector<SignalSource> &sources, bool fold,
                      bool completion);

// Where the signals of `entry` are raised.
std::vector<SignalSource> signalSources(const plan::Entry &entry);

} // namespace ktrt::cuda
