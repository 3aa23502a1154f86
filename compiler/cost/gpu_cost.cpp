// See gpu_cost.h.
#include "compiler/cost/gpu_cost.h"

#include <algorithm>
#include <cmath>

namespace ktc {

namespace {

constexpr double kNodeSeconds = 2e-6;    // from the end of one kernel of a CUDA graph to the start of the next
constexpr double kStreamShare = 0.75;    // of the memory bandwidth, for matrices of few tokens
constexpr double kTensorShare = 0.5;     // of the matrix rate, for many tokens
constexpr double kBytesPerElement = 8.0; // of rows that are read and written as float32

} // namespace

GpuRates::GpuRates(const policy::GpuMachine *gpu, const std::string &device) {
  if (gpu) {
    bandwidth = gpu->bandwidth;
    ops = gpu->tensorOps;
    hostBandwidth = gpu->h2dBandwidth;
  }
  assume("the memory bandwidth of " + device + " is not given; 900 GB/s assumed", bandwidth, 900e9);
  assume("the matrix rate of " + device + " is not given; 100 TFLOP/s assumed", ops, 1e14);
  assume("the PCIe bandwidth of " + device + " is not given; 20 GB/s assumed", hostBandwidth, 20e9);
  assumed.push_back("kernels of " + device +
                    " were not measured; 75 % of its bandwidth and 2 us between kernels assumed");
}

void GpuRates::assume(const std::string &what, double &rate, double value) {
  if (rate > 0)
    return;
  rate = value;
  assumed.push_back(what);
}

Seconds GpuRates::seconds(const DispatchShape &dispatch, int64_t tokens, int64_t past) const {
  const Work work = workOf(dispatch, tokens, past);
  double bytes = work.cacheBytes, operations = 0;
  for (const MatrixWork &matrix : work.matrices) {
    bytes += matrix.bytes * expectedExperts(matrix, tokens);
    operations += 2 * matrix.weights * static_cast<double>(tokens) * matrix.chosenShare *
                  static_cast<double>(matrix.experts);
  }
  if (work.hostBytes > 0)
    return copySeconds(work.hostBytes);
  const bool attends = work.cacheBytes > 0;
  if (attends)
    operations += 2 * work.items;
  else if (work.matrices.empty())
    bytes += work.items * kBytesPerElement;
  const double reading = bytes / (bandwidth * kStreamShare), computing = operations / (ops * kTensorShare);
  return reading > computing ? Seconds{reading, 0, kNodeSeconds} : Seconds{0, computing, kNodeSeconds};
}

Seconds GpuRates::copySeconds(double bytes) const { return {bytes / hostBandwidth, 0, kNodeSeconds}; }

} // namespace ktc
