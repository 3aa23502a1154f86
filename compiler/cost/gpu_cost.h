// Seconds of one dispatch on a described GPU.
#pragma once

#include "compiler/cost/dispatch_cost.h"

#include <string>
#include <vector>

namespace ktc {

// Seconds from raising a signal until the lane that waits for it goes on: a word over PCIe, and a cache line
// more.
inline constexpr double kHandOverSeconds = 2e-6;

// The share of its rate at which a CPU reads weights that takes turns with a GPU, layer by layer. Measured: 70
// to 80 % of the read rate in both phases of the experts, where a plan without a GPU reaches 90 %
// (docs/performance.md).
inline constexpr double kTurnsShare = 0.8;

// Rates of one GPU, assumed where the description has none. They are not measured by kernel: matrices are taken
// to read at a fixed share of the memory bandwidth.
class GpuRates {
public:
  // `gpu` may be NULL: a card that the machine does not have. `device` names it in assumptions.
  GpuRates(const policy::GpuMachine *gpu, const std::string &device);

  // Seconds of `dispatch` for `tokens` tokens after `past` others. `starting` is the time between two kernels
  // of a graph of which one follows the other, and what a kernel takes that does next to nothing.
  Seconds seconds(const DispatchShape &dispatch, int64_t tokens, int64_t past) const;

  // Seconds of moving `bytes` bytes between the GPU and the host.
  Seconds copySeconds(double bytes) const;

  // Sentences: what was assumed.
  const std::vector<std::string> &assumptions() const { return assumed; }

private:
  void assume(const std::string &what, double &rate, double value);

  double bandwidth = 0, ops = 0, hostBandwidth = 0;
  std::vector<std::string> assumed;
};

} // namespace ktc
