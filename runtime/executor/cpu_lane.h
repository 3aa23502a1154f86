// A lane that runs on a CPU thread team: all threads walk the same list of resolved commands.
#pragma once

#include "runtime/cpu/team.h"
#include "runtime/executor/addresses.h"
#include "runtime/executor/kernels.h"
#include "runtime/executor/lane.h"
#include "runtime/executor/open_units.h"
#include "runtime/executor/read_ahead.h"

#include <memory>

namespace ktrt {

// One command with everything looked up. A cache line, so that a program streams through the cache.
struct alignas(64) ResolvedCommand {
  enum class Kind : uint8_t { Dispatch, Copy, Fill, Signal, Wait };
  Kind kind;
  bool barrierBefore;
  uint8_t value;          // Fill
  uint8_t part;           // of the tokens
  uint8_t grain;          // Dispatch: units that a free thread takes from the end of another's share; 0 = none
  bool isMany;            // Dispatch with a grain: of many tokens, the grain is the smallest one
  uint32_t index;         // Dispatch: first operand in the table; Signal, Wait: signal
  uint32_t units;         // Dispatch
  uint32_t unitsPerToken; // Dispatch
  uint32_t openIndex;     // Dispatch with a grain: its number among those
  KtKernelFn function;    // Dispatch
  const uint8_t *source;  // Copy
  uint8_t *destination;   // Copy, Fill
  uint64_t bytes;         // Copy, Fill
  uint64_t bytesPerToken; // Copy, Fill
};
static_assert(sizeof(ResolvedCommand) == 64);

// A lane program with everything looked up.
struct ResolvedProgram {
  std::vector<ResolvedCommand> commands;
  std::vector<void *> operands;
  std::vector<WeightStream> streams;
  std::vector<StreamTarget>
      ahead; // by command: the first dispatch from there on whose weights can be prefetched
};

// Looks up everything in `program`. The plan is verified, so this cannot fail.
ResolvedProgram resolveProgram(const plan::LaneProgram &program, const KernelSet &kernels,
                               const AddressSpace &addresses);

class CpuLane final : public LaneRunner {
public:
  // Starts the team and resolves the programs of lane `lane`. `signals` outlives the lane.
  static kt::Result<std::unique_ptr<CpuLane>> create(const plan::Plan &plan, uint32_t lane,
                                                     const Team::Options &options, uint32_t signalTimeoutMillis,
                                                     const KernelSet &kernels, const AddressSpace &addresses,
                                                     SignalTable &signals);

  void begin(uint32_t entry, std::span<const KtStep> steps, uint32_t replay) override;
  kt::Status finish() override;
  uint32_t threads() const override { return team->threads(); }
  void setProfiling(bool on) override;
  const std::vector<CommandTime> &times(uint32_t entry) const override { return measured[entry]; }
  const std::vector<CommandSpan> &spans(uint32_t entry) const override { return lastSpans[entry]; }

private:
  explicit CpuLane(SignalTable &signals) : signals(signals) {}
  template <bool Profiling> static void threadMain(void *lane, uint32_t thread);
  template <bool Profiling> void replayProgram(uint32_t thread);
  void addBusyTimes();
  void execute(const ResolvedCommand &command, const ResolvedProgram &program, uint32_t thread,
               ReadAhead &readAhead);
  void dispatch(const ResolvedCommand &command, const ResolvedProgram &program, uint32_t thread);
  void openShares(uint32_t entry, const plan::LaneProgram &program, bool dynamic);
  void takeOpenUnits(const ResolvedCommand &command, KtKernelArgs &arguments, uint64_t total);
  void waitForSignal(uint32_t signal, ReadAhead &readAhead);

  SignalTable &signals;
  std::vector<ResolvedProgram> programs;           // by entry; empty if the lane is idle in it
  std::vector<std::vector<CommandTime>> measured;  // by entry and command
  std::vector<std::vector<CommandSpan>> lastSpans; // likewise
  std::vector<OpenUnits> open;                     // by entry
  std::vector<std::vector<uint64_t>> busy;         // by thread and command: nanoseconds in the last replay
  ArenaMemory scratch;
  uint64_t scratchStride = 0;
  uint64_t spinNanos = 0;
  uint64_t mostHinted = 0; // bytes that a thread reads ahead by a hint
  uint64_t signalTimeoutNanos = 0;
  bool profiling = false;

  // Of the current replay.
  std::span<const KtStep> steps; // by part
  uint32_t entry = 0;
  uint32_t replay = 0;
  std::atomic<int64_t> missedSignal{-1}; // the first signal that did not come in time

  std::unique_ptr<Team> team; // last: its threads stop before the rest goes
};

} // namespace ktrt
