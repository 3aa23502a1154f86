// Seconds of one dispatch on a described GPU.
#pragma once

#include "compiler/cost/dispatch_cost.h"

#include <string>
#include <vector>

namespace ktc {

// Rates of one GPU, assumed where the description has none.
class GpuRates {
public:
  // `gpu` may be NULL: a card that the machine does not have. `device` names it in assumptions.
  GpuRates(const policy::GpuMachine *gpu, const std::string &device);

  // Seconds of `dispatch` for `tokens` tokens after `past` others. `starting` is what a kernel takes that does
  // next to nothing, from the end of the one that it follows.
  Seconds seconds(const DispatchShape &dispatch, int64_t tokens, int64_t past) const;

  // Seconds of moving `bytes` bytes between the GPU and the host.
  Seconds copySeconds(double bytes) const;

  // Seconds from raising a signal until the lane that waits for it goes on.
  double handOverSeconds() const { return handOver; }

  // Sentences: what was assumed.
  const std::vector<std::string> &assumptions() const { return assumed; }

private:
  void assume(const std::string &what, double &rate, double value);

  double bandwidth = 0, ops = 0, hostBandwidth = 0;
  double weightStream = 0, matrixLatency = 0, kernelLatency = 0, kernelGap = 0, handOver = 0;
  std::vector<std::string> assumed;
};

} // namespace ktc
