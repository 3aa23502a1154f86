// Replays without CUDA graphs: the nodes of a graph one by one, for finding out whether a wrong result comes
// from the graph (an edge that is missing) or from a kernel.
#pragma once

#include "runtime/cuda/driver.h"

namespace ktrt::cuda {

// Replaces the functions of `driver` that make and launch graphs by our own, if $KTRT_GRAPH is 0: these keep
// the nodes, and a launch puts one after the other on the stream, in the order in which they were created. That
// order agrees with the edges, so results are those of the graph, bit for bit; each node begins when the one
// before it has ended. The functions that are replaced must not be used before. An error if $KTRT_GRAPH is
// neither 0, 1 nor empty.
kt::Status applyGraphMode(Driver &driver);

} // namespace ktrt::cuda
