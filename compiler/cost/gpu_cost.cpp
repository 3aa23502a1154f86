// See gpu_cost.h.
#include "compiler/cost/gpu_cost.h"

#include <algorithm>
#include <cmath>

namespace ktc {

namespace {

// Measured on an H200 (docs/performance.md): timelines of decoded tokens, and prompts of 2048 tokens.
constexpr double kGapSeconds = 0.6e-6;    // from the end of one kernel of a CUDA graph to the start of the next
constexpr double kMatrixSeconds = 2.0e-6; // of a matrix kernel from there, however small, beside its weights
constexpr double kKernelSeconds = 2.0e-6; // of any other kernel
// What attention takes longer than a small kernel: it goes over positions in steps, then merges.
constexpr double kAttentionSeconds = 3.3e-6;
// What chosen experts take longer than one matrix: they are looked up, and each is a matrix of its own.
constexpr double kExpertsSeconds = 6.0e-6;
constexpr double kHandOverSeconds = 2e-6; // a word over PCIe, and a cache line more
constexpr double kStreamShare = 0.75;     // of the memory bandwidth, for matrices of few tokens
constexpr double kTensorShare = 0.20;     // of the matrix rate, for many tokens
constexpr double kBytesPerElement = 8.0;  // of rows that are read and written as float32

} // namespace

GpuRates::GpuRates(const policy::GpuMachine *gpu, const std::string &device) {
  if (gpu) {
    bandwidth = gpu->bandwidth;
    ops = gpu->tensorOps;
    hostBandwidth = gpu->h2dBandwidth;
    weightStream = gpu->weightStream;
    matrixLatency = gpu->matrixLatency;
    kernelLatency = gpu->kernelLatency;
    kernelGap = gpu->kernelGap;
    handOver = gpu->handOver;
  }
  assume("the memory bandwidth of " + device + " is not given; 900 GB/s assumed", bandwidth, 900e9);
  assume("the matrix rate of " + device + " is not given; 100 TFLOP/s assumed", ops, 1e14);
  assume("the PCIe bandwidth of " + device + " is not given; 20 GB/s assumed", hostBandwidth, 20e9);
  assume("kernels of " + device +
             " were not measured; 75 % of its bandwidth and 2 us for a matrix kernel assumed",
         weightStream, bandwidth * kStreamShare);
  matrixLatency = matrixLatency > 0 ? matrixLatency : kMatrixSeconds;
  assume("small kernels of " + device + " were not measured; 2 us each assumed", kernelLatency, kKernelSeconds);
  kernelGap = kernelGap > 0 ? kernelGap : kGapSeconds;
  assume("handing over between the host and " + device + " was not measured; 2 us assumed", handOver,
         kHandOverSeconds);
  assumed.push_back("kernels of many tokens of " + device +
                    " were not measured; 20 % of its matrix rate assumed");
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
  bool chooses = false;
  for (const MatrixWork &matrix : work.matrices) {
    bytes += matrix.bytes * expectedExperts(matrix, tokens);
    operations += 2 * matrix.weights * static_cast<double>(tokens) * matrix.chosenShare *
                  static_cast<double>(matrix.experts);
    chooses |= matrix.experts > 1;
  }
  if (work.hostBytes > 0)
    return copySeconds(work.hostBytes);
  const bool attends = work.cacheBytes > 0;
  if (attends)
    operations += 2 * work.items;
  else if (work.matrices.empty())
    bytes += work.items * kBytesPerElement;
  const double reading = bytes / weightStream, computing = operations / (ops * kTensorShare);
  double starting = work.matrices.empty() ? kernelLatency : matrixLatency;
  starting += attends ? kAttentionSeconds : chooses ? kExpertsSeconds : 0;
  return reading > computing ? Seconds{reading, 0, starting} : Seconds{0, computing, starting};
}

Seconds GpuRates::copySeconds(double bytes) const { return {bytes / hostBandwidth, 0, kernelGap}; }

} // namespace ktc
