// Copies of weights that lie better than the mapped file: on the memory node of the threads that read them, or
// in huge pages.
//
// The rows of a matrix are split over the threads of a team in order, and the threads of a node are neighbours,
// so a node reads one contiguous part of every matrix. A page belongs to the node of the thread that touches it
// first: copying with the team that will read is all that is needed. Splitting by rows needs no partial sums:
// every node writes its own part of each result, and activations are small.
#pragma once

#include "plan_generated.h"
#include "runtime/abi/result.hpp"
#include "runtime/memory/arena.h"

#include <cstdint>
#include <vector>

namespace ktrt {

// The part of `matrixBytes` bytes of each matrix in [0, bytes) that node `node` of `nodes` owns: calls
// range(begin, end) for each, in whole pages except at the ends, ascending. Exposed for tests.
template <typename Range>
void forEachNodePart(uint64_t bytes, uint64_t matrixBytes, uint32_t node, uint32_t nodes, Range &&range) {
  constexpr uint64_t page = 4096;
  auto cut = [&](uint64_t matrix, uint32_t part) {
    uint64_t at = matrix + matrixBytes / nodes * part + matrixBytes % nodes * part / nodes;
    return at >= bytes ? bytes : at / page * page;
  };
  for (uint64_t matrix = 0; matrix < bytes; matrix += matrixBytes) {
    uint64_t begin = node == 0 && matrix == 0 ? 0 : cut(matrix, node);
    uint64_t end = cut(matrix, node + 1);
    if (begin < end)
      range(begin, end);
    if (matrixBytes >= bytes - matrix)
      break;
  }
}

class WeightCopies {
public:
  // Copies what `plan.weight_layout` asks for. addresses[i] is where weight i of the plan lies and is changed
  // if the weight is copied. `cpus`: the team that will read, its threads in node order. Fails if memory does
  // not suffice.
  static kt::Result<WeightCopies> make(const plan::Plan &plan, std::vector<const uint8_t *> &addresses,
                                       const std::vector<uint32_t> &cpus);

  uint64_t bytes() const { return total; } // of all copies
  bool empty() const { return copies.empty(); }

private:
  std::vector<ArenaMemory> copies;
  uint64_t total = 0;
};

} // namespace ktrt
