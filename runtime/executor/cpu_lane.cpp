// Replaying a program on a thread team; see cpu_lane.h.
#include "runtime/executor/cpu_lane.h"

#include "runtime/plan/message.h"

#include <algorithm>
#include <cstring>
#include <immintrin.h>
#include <unistd.h>

namespace ktrt {

// How much a thread reads ahead by a hint: a quarter of the cache of its core, so that it is still there when
// it is used, beside everything else.
static uint64_t hintedBytes() {
  constexpr long usual = 1 << 20;
  const long cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return uint64_t(cache > 0 ? cache : usual) / 4;
}

kt::Result<std::unique_ptr<CpuLane>> CpuLane::create(const plan::Plan &plan, uint32_t laneIndex,
                                                     const Team::Options &options, uint32_t signalTimeoutMillis,
                                                     const KernelSet &kernels, const AddressSpace &addresses,
                                                     SignalTable &signals) {
  std::unique_ptr<CpuLane> lane(new CpuLane(signals));
  lane->signalTimeoutNanos = uint64_t(signalTimeoutMillis) * 1'000'000;
  lane->programs.resize(plan.entries()->size());
  lane->measured.resize(plan.entries()->size());
  lane->lastSpans.resize(plan.entries()->size());
  for (uint32_t i = 0; i < plan.entries()->size(); ++i)
    for (const plan::LaneProgram *program : *plan.entries()->Get(i)->programs())
      if (program->lane() == laneIndex)
        lane->programs[i] = resolveProgram(*program, kernels, addresses);

  // Whole pages per thread: each thread is the first to touch its own, which places them on its NUMA node.
  constexpr uint64_t page = 4096;
  lane->scratchStride = (kernels.scratchBytes() + page - 1) / page * page;
  kt::Result<ArenaMemory> scratch =
      ArenaMemory::allocate(lane->scratchStride * options.cpus.size(), false, "scratch of the thread team");
  if (!scratch)
    return scratch.error();
  lane->scratch = std::move(*scratch);

  kt::Result<std::unique_ptr<Team>> team = Team::start(options);
  if (!team)
    return team.error();
  lane->team = std::move(*team);
  lane->spinNanos = lane->team->spinTime();
  lane->mostHinted = hintedBytes();
  lane->open.resize(plan.entries()->size());
  const bool oneNode = !plan.weight_layout() || plan.weight_layout()->nodes() <= 1;
  for (uint32_t i = 0; oneNode && i < plan.entries()->size(); ++i)
    for (const plan::LaneProgram *program : *plan.entries()->Get(i)->programs())
      if (program->lane() == laneIndex)
        lane->openShares(i, *program, plan.entries()->Get(i)->dynamic());
  return lane;
}

// Opens shares (open_units.h). On machines of several memory nodes they stay closed: weights lie on the node of
// the thread that they belong to. For few tokens those of dispatches that read much are open; a grain is what a
// thread reads in some ten microseconds. In dynamic entries those of everything with many units, but for
// matrices without a grain: a call packs all of its tokens before it multiplies (the panels of templates/x64),
// and a few rows of a matrix are no work beside that.
void CpuLane::openShares(uint32_t index, const plan::LaneProgram &program, bool dynamic) {
  constexpr uint64_t leastBytes = 1 << 20, grainBytes = 64 << 10;
  const uint32_t threads = team->threads();
  ResolvedProgram &resolved = programs[index];
  uint32_t count = 0;
  for (uint32_t i = 0; threads > 1 && i < resolved.commands.size(); ++i) {
    const plan::Dispatch *dispatch = program.commands()->Get(i)->body_as_Dispatch();
    if (!dispatch)
      continue;
    ResolvedCommand &command = resolved.commands[i];
    if (dynamic) {
      if (dispatch->units_per_token() == 0 && dispatch->units() != KT_SHARES && dispatch->grain() == 0)
        continue;
      command.isMany = true;
      command.grain = uint8_t(std::clamp<uint32_t>(dispatch->grain(), 1, 255));
    } else {
      if (dispatch->units_per_token() != 0 || dispatch->bytes_read() < leastBytes ||
          dispatch->units() < 4 * threads)
        continue;
      const uint64_t unitBytes = std::max<uint64_t>(1, dispatch->bytes_read() / dispatch->units());
      command.grain = uint8_t(std::clamp<uint64_t>(grainBytes / unitBytes, 1, 255));
    }
    command.openIndex = count++;
  }
  open[index] = OpenUnits(count, threads);
}

void CpuLane::begin(uint32_t newEntry, std::span<const KtStep> newSteps, uint32_t newReplay) {
  entry = newEntry;
  steps = newSteps;
  replay = newReplay;
  missedSignal.store(-1, std::memory_order_relaxed);
  team->begin(profiling ? threadMain<true> : threadMain<false>, this);
}

kt::Status CpuLane::finish() {
  team->finish();
  if (profiling)
    addBusyTimes();
  int64_t missed = missedSignal.load(std::memory_order_relaxed);
  if (missed >= 0 && signals.givenUpBy(replay) >= 0)
    return failure("stopped waiting for signal %lld because another lane failed",
                   static_cast<long long>(missed));
  if (missed >= 0)
    return failure("signal %lld did not come from another lane within %llu ms", static_cast<long long>(missed),
                   static_cast<unsigned long long>(signalTimeoutNanos / 1'000'000));
  return {};
}

void CpuLane::setProfiling(bool on) {
  profiling = on;
  size_t commands = 0;
  for (const ResolvedProgram &program : programs)
    commands = std::max(commands, program.commands.size());
  busy.assign(on ? team->threads() : 0, std::vector<uint64_t>(commands));
  for (size_t i = 0; i < programs.size(); ++i) {
    measured[i].assign(on ? programs[i].commands.size() : 0, {});
    lastSpans[i].assign(measured[i].size(), {});
  }
}

void CpuLane::addBusyTimes() {
  for (size_t i = 0; i < programs[entry].commands.size(); ++i) {
    uint64_t sum = 0;
    for (const std::vector<uint64_t> &thread : busy)
      sum += thread[i];
    measured[entry][i].busyNanos += sum / busy.size();
  }
}

// Kernels are specified for the default floating-point environment; the caller of the API may have another one.
template <bool Profiling> void CpuLane::threadMain(void *lane, uint32_t thread) {
  constexpr unsigned defaultControl = 0x1f80;
  unsigned before = _mm_getcsr();
  _mm_setcsr(defaultControl);
  static_cast<CpuLane *>(lane)->replayProgram<Profiling>(thread);
  _mm_setcsr(before);
}

// Compares a hint with the experts that have been chosen.
static void countGuesses(const StreamTarget &target, ReadAhead &readAhead, CommandTime &time) {
  readAhead.aim(target); // unless it is there
  time.ahead += readAhead.hintedBytes();
  const uint32_t chosen = std::min(uint32_t(target.lists[0]), target.experts);
  const int32_t *first = target.lists + ktExpertListIds(), *last = first + chosen;
  if (target.ids == first)
    return; // no guess
  time.chosen += chosen;
  for (uint32_t i = 0; i < target.choices; ++i)
    time.guessed += std::find(first, last, target.idAt(i)) != last;
}

// Thread 0 keeps time: a command lasts until the barrier of the next one has been passed.
template <bool Profiling> void CpuLane::replayProgram(uint32_t thread) {
  const ResolvedProgram &program = programs[entry];
  CommandTime *times = Profiling && thread == 0 ? measured[entry].data() : nullptr;
  CommandSpan *spans = times ? lastSpans[entry].data() : nullptr;
  ReadAhead readAhead(program.streams, thread, team->threads(), mostHinted);
  uint64_t start = 0;
  for (size_t i = 0; i < program.commands.size(); ++i) {
    const ResolvedCommand &command = program.commands[i];
    if (command.barrierBefore || command.kind == ResolvedCommand::Kind::Wait)
      readAhead.aim(program.ahead[i]);
    // Who raises a signal waits with nothing under way: everybody waits for what he does next.
    const bool raises = command.kind == ResolvedCommand::Kind::Signal && thread == 0;
    if (command.barrierBefore)
      team->barrier(thread, [&] { return !raises && readAhead.step(); });
    if (Profiling && times) {
      uint64_t now = nowNanos();
      if (i != 0) {
        times[i - 1].nanos += now - start;
        spans[i - 1].end = now;
      }
      ++times[i].replays;
      spans[i].begin = start = now;
    }
    if (Profiling && times && command.kind == ResolvedCommand::Kind::Dispatch && program.ahead[i].ids)
      countGuesses(program.ahead[i], readAhead, times[i]);
    const uint64_t before = Profiling ? nowNanos() : 0;
    execute(command, program, thread, readAhead);
    if (Profiling)
      busy[thread][i] = nowNanos() - before;
  }
  if (!Profiling || program.commands.empty())
    return;
  team->barrier(thread); // so that the last command ends for thread 0 when it ends for all
  if (times) {
    const uint64_t now = nowNanos();
    times[program.commands.size() - 1].nanos += now - start;
    spans[program.commands.size() - 1].end = now;
  }
}

// The part of a transfer that one thread does: whole cache lines, so that no two threads write to the same one.
static void threadRange(uint64_t bytes, uint32_t thread, uint32_t threads, uint64_t &begin, uint64_t &end) {
  constexpr uint64_t line = 64;
  uint64_t lines = (bytes + line - 1) / line;
  begin = std::min(bytes, lines * thread / threads * line);
  end = std::min(bytes, lines * (thread + 1) / threads * line);
}

void CpuLane::execute(const ResolvedCommand &command, const ResolvedProgram &program, uint32_t thread,
                      ReadAhead &readAhead) {
  const KtStep &step = steps[command.part];
  const bool isHandOver =
      command.kind == ResolvedCommand::Kind::Signal || command.kind == ResolvedCommand::Kind::Wait;
  if (step.nTokens == 0 && !isHandOver)
    return;
  switch (command.kind) {
  case ResolvedCommand::Kind::Dispatch:
    dispatch(command, program, thread);
    break;
  case ResolvedCommand::Kind::Copy:
  case ResolvedCommand::Kind::Fill: {
    uint64_t begin, end;
    threadRange(command.bytes + command.bytesPerToken * step.nTokens, thread, team->threads(), begin, end);
    if (command.kind == ResolvedCommand::Kind::Copy)
      memmove(command.destination + begin, command.source + begin, end - begin);
    else
      memset(command.destination + begin, command.value, end - begin);
    break;
  }
  case ResolvedCommand::Kind::Signal:
    if (thread == 0)
      signals.raise(command.index, replay);
    break;
  case ResolvedCommand::Kind::Wait:
    waitForSignal(command.index, readAhead);
    break;
  }
}

// The open part of a share, and how many units of it are taken at a time. Of many tokens a twelfth of the
// share, so that the last one of a slow thread ends soon after the others; units of tokens by eighths, because
// attention makes better use of the keys it reads with many tokens at a time.
static OpenPart openPart(const ResolvedCommand &command, const UnitRange &share) {
  const uint32_t units = share.end - share.begin;
  if (!command.isMany)
    return {openUnits(units), command.grain};
  const uint32_t least = command.grain, wanted = units / (command.unitsPerToken == 0 ? 12 : 8);
  const uint32_t grain = std::max(least, wanted / least * least);
  return {openUnitsOfMany(units, grain), grain};
}

void CpuLane::dispatch(const ResolvedCommand &command, const ResolvedProgram &program, uint32_t thread) {
  const KtStep &step = steps[command.part];
  uint64_t total = command.units + uint64_t(command.unitsPerToken) * step.nTokens;
  KtKernelArgs arguments;
  arguments.threadCount = team->threads();
  const UnitRange share = shareOf(total, thread, arguments.threadCount);
  arguments.unitBegin = share.begin;
  arguments.unitEnd = share.end;
  if (arguments.unitBegin == arguments.unitEnd)
    return;
  arguments.operands = program.operands.data() + command.index;
  arguments.step = &step;
  arguments.scratch = scratch.data() + scratchStride * thread;
  arguments.thread = thread;
  const OpenPart part = command.grain == 0 ? OpenPart{} : openPart(command, share);
  if (part.units == 0) {
    command.function(&arguments);
    return;
  }
  arguments.unitEnd -= part.units;
  if (arguments.unitBegin != arguments.unitEnd)
    command.function(&arguments);
  takeOpenUnits(command, arguments, total);
}

void CpuLane::takeOpenUnits(const ResolvedCommand &command, KtKernelArgs &arguments, uint64_t total) {
  const uint32_t threads = arguments.threadCount;
  for (uint32_t i = 0; i < threads; ++i) {
    const uint32_t owner = (arguments.thread + i) % threads;
    const UnitRange share = shareOf(total, owner, threads);
    const OpenPart part = openPart(command, share);
    while (open[entry].take(command.openIndex, owner, replay, share.end - part.units, share.end, part.grain,
                            arguments.unitBegin, arguments.unitEnd))
      command.function(&arguments);
  }
}

// Every thread waits by itself, and reads ahead meanwhile. After the first timeout nobody waits any more: the
// replay runs to its end with meaningless values and is reported as failed, so that no thread is left behind at
// a barrier.
void CpuLane::waitForSignal(uint32_t signal, ReadAhead &readAhead) {
  if (missedSignal.load(std::memory_order_relaxed) >= 0)
    return;
  if (!signals.wait(signal, replay, spinNanos, signalTimeoutNanos,
                    [&] { return readAhead.step(ReadAhead::kManyLines); })) {
    int64_t none = -1;
    missedSignal.compare_exchange_strong(none, signal, std::memory_order_relaxed);
  }
}

} // namespace ktrt
