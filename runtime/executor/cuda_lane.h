// A lane that runs on a GPU: every entry is one CUDA graph, launched once per replay. It has no thread of its
// own.
#pragma once

#include "runtime/cuda/graph.h"
#include "runtime/executor/lane.h"

#include <memory>

namespace ktrt {

class CudaLane final : public LaneRunner {
public:
  // How long the host spins for the end of a replay before it sleeps in between, and how long lanes wait for
  // each other.
  struct Options {
    bool spin = true;
    uint32_t signalTimeoutMillis = 10000;
  };
  // Loads the kernels of lane `lane` and builds a graph for each entry. All that is referred to outlives the
  // lane. $KTRT_HANDOVER (fused, memop) chooses how signals are raised and awaited,
  // $KTRT_PDL=0 that kernels start only when those before them have ended.
  static kt::Result<std::unique_ptr<CudaLane>> create(const plan::PlanFile &file, uint32_t lane,
                                                      cuda::PlanGpus &memory, const WeightMap &weights,
                                                      SignalTable &signals, const Options &options);
  ~CudaLane() override;

  void begin(uint32_t entry, std::span<const KtStep> steps, uint32_t replay) override;
  kt::Status finish() override;
  uint32_t threads() const override { return 0; }
  void setProfiling(bool on) override;
  const std::vector<CommandTime> &times(uint32_t entry) const override { return measured[entry]; }
  const std::vector<CommandSpan> &spans(uint32_t entry) const override { return lastSpans[entry]; }
  const CommandSpan *window() const override { return &replayWindow; }

  // Whether the GPU has failed in the current replay, which is given up then. For other threads.
  void watch(uint32_t replay);

private:
  CudaLane(const plan::PlanFile &file, uint32_t lane, SignalTable &signals, const Options &options)
      : file(file), lane(lane), signals(signals), options(options) {}
  kt::Status allocate(cuda::PlanGpus &memory, const WeightMap &weights);
  kt::Status buildGraphs(bool traced);
  kt::Status awaitEnd();
  kt::Status failureOfReplay() const;
  bool ended() const;
  void readTrace();
  const plan::LaneProgram *program(uint32_t entry) const;

  const plan::PlanFile &file;
  const uint32_t lane;
  SignalTable &signals;
  const Options options;

  cuda::Gpu *gpu = nullptr;
  cuda::LaneContext context{};
  cuda::GpuKernels kernels;
  cuda::GpuMemory hostWords, deviceWords, traceHost, traceDevice;
  cuda::TraceMemory trace{};
  std::vector<uint32_t> counterOffsets;                     // by entry: first of its words on the device
  std::vector<cuda::LaneProgramGraph> graphs, tracedGraphs; // by entry
  std::vector<std::vector<CommandTime>> measured;           // by entry and command
  std::vector<std::vector<CommandSpan>> lastSpans;          // likewise
  bool profiling = false;
  kt::Status health; // failed once the GPU cannot be used any more

  // Of the current replay.
  uint32_t entry = 0;
  uint32_t replay = 0;
  kt::Status started;
  CommandSpan replayWindow;
};

} // namespace ktrt
