// Private state of a session, shared by session.cpp (loading, replays) and evaluate.cpp (from tokens to
// replays).
#pragma once

#include "runtime/cuda/plan_gpus.h"
#include "runtime/executor/addresses.h"
#include "runtime/executor/kernels.h"
#include "runtime/executor/lane.h"
#include "runtime/executor/session.h"
#include "runtime/memory/prefetch.h"

#include <memory>
#include <vector>

namespace ktrt {

struct Session::Impl {
  // What a replay of an entry needs to know about it.
  struct EntryInfo {
    uint32_t capacity;
    bool dynamic;
    bool head;
    int32_t *tokens;
    int32_t *positions;
    float *logits;
    const cuda::Gpu *logitGpu; // in whose memory the logits are; null for the host's
    const int32_t *bestIds;    // of each token `bestCount`; null: none
    const float *bestLogits, *bestSums;
    uint32_t bestCount;
    std::vector<uint32_t> lanes; // that take part, asynchronous ones first
  };

  explicit Impl(plan::PlanFile &&opened, const SessionOptions &options)
      : options(options), file(std::move(opened)) {}

  kt::Status load();
  uint32_t memoryNodes() const; // that the plan was compiled for
  kt::Status loadMemory();
  kt::Status loadArenas();
  std::vector<Prefetcher::Range> hostWeights() const; // in files
  kt::Status startLanes();
  kt::Status startCpuLane(uint32_t lane, uint32_t index, uint32_t count);
  kt::Status startGpuLane(uint32_t lane);
  EntryInfo describe(const plan::Entry &entry) const;
  void indexEntries();
  kt::Status allocateLogits();

  kt::Status replay(uint32_t entry, const KtStep &step);
  kt::Status checkTokens(std::span<const int32_t> tokens, uint32_t nPast) const;
  kt::Status replayTokens(uint32_t entry, std::span<const int32_t> tokens, uint32_t nPast);
  void setLogits(uint32_t entry, uint32_t row) {
    logitEntry = entry;
    logitRow = row;
    hasLogits = true;
  }
  // Rows of an entry's logits, from the last replay, where the host can read them.
  kt::Result<const float *> hostLogits(uint32_t entry, uint32_t firstRow, uint32_t rows);
  // Entry for exactly `count` tokens, or -1.
  int decodeEntry(uint32_t count) const;
  uint32_t vocab() const { return file.plan().model()->vocab(); }

  SessionOptions options;
  plan::PlanFile file;
  std::unique_ptr<cuda::PlanGpus> gpus; // null if the plan uses none
  AddressSpace memory;
  std::unique_ptr<Prefetcher> prefetcher; // after the mappings it reads
  KernelSet kernels;
  cuda::GpuMemory signalMemory; // of `signals`, with GPUs
  std::unique_ptr<SignalTable> signals;
  std::vector<std::unique_ptr<LaneRunner>> lanes; // as in the plan
  std::vector<uint32_t> cpus;                     // of the threads of all lanes
  int64_t callerLane = -1;                        // the calling thread works in this one
  std::vector<EntryInfo> entries;                 // as in the plan
  std::vector<uint32_t> decodeSizes;              // ascending
  std::vector<uint32_t> decodeEntries;            // for each of decodeSizes
  uint32_t prefill = 0, head = 0;                 // entries
  uint32_t contextLimit = 0;
  cuda::GpuMemory hostRows;              // copies of logits that lie on a GPU
  uint32_t logitEntry = 0, logitRow = 0; // where the logits of the last evaluated token are
  bool hasLogits = false;

  uint32_t kvLength = 0;
  bool cancelled = false;
  uint64_t replays = 0;
  uint64_t lastNanos = 0;
  uint32_t lastEntry = 0;
};

} // namespace ktrt
