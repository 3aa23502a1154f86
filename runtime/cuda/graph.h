// One replay of a lane as one CUDA graph: builds it from the nodes of lane_graph.h.
//
// The graph copies the step to the device and then runs the commands along their edges. Its last kernel (or a
// copy of the replay's number) says in a word of host memory that everything is done.
#pragma once

#include "runtime/abi/kt_cuda.h"
#include "runtime/cuda/lane_graph.h"
#include "runtime/cuda/module.h"
#include "runtime/cuda/plan_gpus.h"

namespace ktrt::cuda {

// How lanes hand over: in kernels where possible, or by nodes of one kind (for measuring).
enum class HandOver : uint8_t { Fused, Memory };

// Memory of a traced graph: two times per command, the start and the end.
struct TraceMemory {
  uint64_t *device;
  const uint64_t *initial; // pinned: what the times are before
  uint64_t *result;        // pinned: where they are afterwards
  uint64_t bytes;
};

// What all graphs of a lane share.
struct LaneContext {
  Gpu *gpu;
  const PlanGpus *memory;
  const GpuKernels *kernels;
  const WeightMap *weights;
  uint32_t device;      // of the plan
  KtCudaStep *hostStep; // pinned, by part
  KtCudaStep *step;     // on the device, by part
  uint32_t *completion; // pinned word: number of the replay that is done
  uint32_t *error;      // pinned word, KtCudaArgs::error
  uint64_t timeout;     // nanoseconds
  HandOver handOver;
  bool startsEarly;              // kernels that can are launched while those before them run
  std::vector<uint32_t *> words; // by signal
  std::vector<uint32_t *> flags; // by signal
  std::vector<bool> isGpuLane;   // by lane of the plan
};

// A graph that is ready to be launched. The GPU outlives it. Movable.
class LaneProgramGraph {
public:
  // Builds, instantiates and uploads the graph of `program`, a program of `entry`. `counters`: a word of zero
  // per command on the device. `trace` may be null. Errors name the command.
  static kt::Result<LaneProgramGraph> build(const LaneContext &context, const plan::Entry &entry,
                                            const plan::LaneProgram &program, uint32_t *counters,
                                            const TraceMemory *trace);

  LaneProgramGraph() = default;
  LaneProgramGraph(LaneProgramGraph &&other) noexcept;
  LaneProgramGraph &operator=(LaneProgramGraph &&other) noexcept;
  ~LaneProgramGraph();

  explicit operator bool() const { return exec != nullptr; }
  GraphExec handle() const { return exec; }
  bool usesFlags() const { return flags; } // SignalTable::useFlags

private:
  Gpu *gpu = nullptr;
  GraphExec exec = nullptr;
  bool flags = false;
};

} // namespace ktrt::cuda
