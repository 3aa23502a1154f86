// See schedule_cost.h.
#include "compiler/cost/schedule_cost.h"

#include "compiler/cost/dispatch_cost.h"
#include "compiler/cost/gpu_cost.h"
#include "compiler/policy/units.h"
#include "compiler/schedule-to-kernels/kernel_params.h"
#include "dialects/schedule/Schedule.h"

#include <algorithm>
#include <map>

using namespace mlir;

namespace ktc {

namespace {

constexpr int64_t kFarPosition = 1024; // second point of the line over positions
// Of what threads could read while they wait, the share that they read and that is needed
// (docs/performance.md).
constexpr double kGuessedShare = 0.8;

// One command: a dispatch, bytes to move, or a hand-over.
struct Priced {
  enum class Kind { Work, Signal, Wait } kind = Kind::Work;
  size_t lane = 0;
  int64_t part = 0;    // of the tokens
  DispatchShape shape; // family empty: moves bytes
  double bytes = 0, bytesPerToken = 0;
  uint64_t signal = 0;
  bool isGuessed = false;     // which of its weights it needs: while the CPU waits before it, it reads them
  std::vector<int32_t> after; // GPU lanes: earlier commands of the lane
};

struct PricedEntry {
  std::string name;
  int64_t capacity = 1;
  bool dynamic = false;
  int64_t partCapacity = 1;
  std::vector<Priced> commands;

  // Of `tokens` tokens those before part `part`, and its own.
  int64_t tokensBefore(int64_t part, int64_t tokens) const { return std::min(tokens, part * partCapacity); }
  int64_t tokensOf(int64_t part, int64_t tokens) const {
    return tokensBefore(part + 1, tokens) - tokensBefore(part, tokens);
  }
};

struct PricedLane {
  std::string device;
  bool isGpu = false;
};

// The symbols that commands refer to.
struct Tables {
  llvm::StringMap<sched::KernelOp> kernels;
  llvm::StringMap<size_t> lanes;
};

// True if a GPU says beforehand which experts the dispatch will probably need.
bool hasGuess(sched::DispatchOp dispatch) {
  const auto hint = dispatch.getHint();
  return hint && isa<sched::FixedOp>(sched::baseOf(dispatch->getOperand((*hint)[0])).op);
}

// Fills in what a command does; false if it takes no time.
bool readCommand(Operation &op, Tables &tables, Priced &command) {
  if (auto dispatch = dyn_cast<sched::DispatchOp>(op)) {
    auto kernel = tables.kernels.find(dispatch.getKernel());
    if (kernel == tables.kernels.end())
      return false;
    command.shape.family = kernel->second.getFamily().str();
    command.shape.params = kernelParams(kernel->second.getParams());
    command.shape.units = static_cast<int64_t>(dispatch.getUnits());
    command.shape.unitsPerToken = static_cast<int64_t>(dispatch.getUnitsPerToken());
    command.isGuessed = hasGuess(dispatch);
  } else if (auto copy = dyn_cast<sched::CopyOp>(op)) {
    command.bytes = 2.0 * static_cast<double>(copy.getBytes());
    command.bytesPerToken = 2.0 * static_cast<double>(copy.getBytesPerToken());
  } else if (auto fill = dyn_cast<sched::FillOp>(op)) {
    command.bytes = static_cast<double>(fill.getBytes());
    command.bytesPerToken = static_cast<double>(fill.getBytesPerToken());
  } else if (auto signal = dyn_cast<sched::SignalOp>(op)) {
    command.kind = Priced::Kind::Signal;
    command.signal = signal.getSignal();
  } else if (auto wait = dyn_cast<sched::WaitOp>(op)) {
    command.kind = Priced::Kind::Wait;
    command.signal = wait.getSignal();
  } else {
    return false;
  }
  return true;
}

PricedEntry readEntry(sched::EntryOp entry, Tables &tables) {
  PricedEntry priced{entry.getSymName().str(),
                     static_cast<int64_t>(entry.getCapacity()),
                     entry.getDynamic(),
                     entry.partCapacity(),
                     {}};
  for (Operation &op : entry.getBody().front()) {
    Priced command;
    command.shape.barrier = op.hasAttr("barrier");
    if (auto part = op.getAttrOfType<IntegerAttr>("part"))
      command.part = part.getInt();
    if (!readCommand(op, tables, command))
      continue;
    command.lane = tables.lanes.lookup(cast<FlatSymbolRefAttr>(op.getAttr("lane")).getValue());
    if (auto after = op.getAttrOfType<DenseI32ArrayAttr>("after"))
      command.after.assign(after.asArrayRef().begin(), after.asArrayRef().end());
    priced.commands.push_back(std::move(command));
  }
  return priced;
}

struct StepTime {
  double seconds = 0;
  std::vector<Seconds> lanes; // what each lane is busy with
  std::map<std::string, double> families;
};

// When the commands of a lane are done. Commands of a CPU lane follow each other. Those of a GPU lane follow
// what their edges say, but share one memory and one set of multiprocessors, so only the gaps between them
// overlap.
struct LaneClock {
  double free = 0;          // when the lane's device has finished all work so far
  double waited = 0;        // seconds of the waits since the last work
  std::vector<double> ends; // GPU lanes, by command

  double startOf(const Priced &command, bool isGpu) const {
    double start = isGpu ? 0 : free;
    for (int32_t earlier : command.after)
      if (static_cast<size_t>(earlier) < ends.size())
        start = std::max(start, ends[earlier]);
    return start;
  }
};

class Predictor {
public:
  Predictor(ModuleOp module, const policy::Machine &machine, x64::Isa isa) : rates(machine.cpu, isa) {
    Tables tables;
    for (auto kernel : module.getOps<sched::KernelOp>())
      tables.kernels[kernel.getSymName()] = kernel;
    for (auto lane : module.getOps<sched::LaneOp>()) {
      tables.lanes[lane.getSymName()] = lanes.size();
      lanes.push_back({lane.getDevice().str(), policy::isGpu(std::string_view(lane.getDevice()))});
      if (lanes.back().isGpu)
        gpus.emplace(lanes.size() - 1, GpuRates(machine.gpu(lanes.back().device), lanes.back().device));
    }
    for (const auto &[lane, gpu] : gpus)
      handOver = std::max(handOver, gpu.handOverSeconds());
    for (auto entry : module.getOps<sched::EntryOp>())
      entries.push_back(readEntry(entry, tables));
  }

  const PricedEntry *find(const std::string &name) const {
    for (const PricedEntry &entry : entries)
      if (entry.name == name)
        return &entry;
    return nullptr;
  }

  StepTime time(const PricedEntry &entry, int64_t allTokens, int64_t allPast) {
    double bytes = 0;
    for (const Priced &command : entry.commands)
      if (command.part == 0 && !command.shape.family.empty() && !lanes[command.lane].isGpu)
        for (const MatrixWork &matrix : workOf(command.shape, allTokens, allPast).matrices)
          bytes += matrix.bytes * expectedExperts(matrix, allTokens);
    const bool inCache = rates.staysInCache(bytes);
    StepTime step;
    step.lanes.resize(lanes.size());
    std::vector<LaneClock> clocks(lanes.size());
    std::map<uint64_t, double> raised;
    for (const Priced &command : entry.commands) {
      const int64_t tokens = entry.tokensOf(command.part, allTokens),
                    past = allPast + entry.tokensBefore(command.part, allTokens);
      LaneClock &clock = clocks[command.lane];
      const bool isGpu = lanes[command.lane].isGpu;
      double end = clock.startOf(command, isGpu);
      if (command.kind == Priced::Kind::Signal) {
        raised[command.signal] = end + handOver;
      } else if (command.kind == Priced::Kind::Wait) {
        const double before = end;
        end = std::max(end, raised[command.signal]);
        clock.waited += end - before;
      } else if (tokens > 0) {
        Seconds part = price(command, tokens, past, inCache);
        if (command.isGuessed)
          part.reading -= kGuessedShare * std::min(clock.waited, part.reading);
        clock.waited = 0;
        end = isGpu ? std::max(end + part.starting, clock.free) + part.reading + part.computing
                    : end + part.total();
        step.lanes[command.lane] += part;
        step.families[command.shape.family.empty() ? "copy" : command.shape.family] += part.total();
      }
      if (!isGpu || command.kind == Priced::Kind::Work)
        clock.free = end;
      clock.ends.push_back(end);
      step.seconds = std::max(step.seconds, end);
    }
    return step;
  }

  double readBandwidth() const { return rates.readBandwidth(); }

  std::vector<std::string> assumptions() const {
    std::vector<std::string> all = rates.assumptions();
    for (const auto &[lane, gpu] : gpus)
      all.insert(all.end(), gpu.assumptions().begin(), gpu.assumptions().end());
    return all;
  }

  std::vector<PricedEntry> entries;
  std::vector<PricedLane> lanes;

private:
  Seconds price(const Priced &command, int64_t tokens, int64_t past, bool inCache) {
    const double bytes = command.bytes + command.bytesPerToken * static_cast<double>(tokens);
    const bool moves = command.shape.family.empty();
    if (auto gpu = gpus.find(command.lane); gpu != gpus.end())
      return moves ? gpu->second.copySeconds(bytes / 2) : gpu->second.seconds(command.shape, tokens, past);
    if (moves)
      return rates.copySeconds(bytes, command.shape.barrier);
    return rates.seconds(command.shape, tokens, past, inCache);
  }

  CpuRates rates;
  std::map<size_t, GpuRates> gpus; // by lane
  double handOver = 0;             // seconds, the slowest of the GPUs'
};

std::vector<policy::FamilyTime> sorted(const std::map<std::string, double> &families) {
  std::vector<policy::FamilyTime> times;
  for (const auto &[family, seconds] : families)
    times.push_back({family, seconds});
  std::stable_sort(times.begin(), times.end(),
                   [](const auto &a, const auto &b) { return a.seconds > b.seconds; });
  return times;
}

// What the busiest lane spends most of its time with.
std::string boundOf(const StepTime &step, const std::vector<PricedLane> &lanes) {
  size_t busiest = 0;
  for (size_t lane = 1; lane < lanes.size(); ++lane)
    if (step.lanes[lane].total() > step.lanes[busiest].total())
      busiest = lane;
  const Seconds &parts = step.lanes[busiest];
  if (parts.starting > parts.reading && parts.starting > parts.computing)
    return lanes[busiest].isGpu ? lanes[busiest].device + " kernel launches" : "dispatch";
  return lanes[busiest].device + (parts.reading >= parts.computing ? " memory bandwidth" : " compute");
}

// Waiting of the threads and between kernels, on all lanes.
double startingOf(const StepTime &step) {
  double seconds = 0;
  for (const Seconds &parts : step.lanes)
    seconds += parts.starting;
  return seconds;
}

void add(StepTime &sum, const StepTime &step) {
  sum.seconds += step.seconds;
  sum.lanes.resize(step.lanes.size());
  for (size_t lane = 0; lane < step.lanes.size(); ++lane)
    sum.lanes[lane] += step.lanes[lane];
  for (const auto &[family, seconds] : step.families)
    sum.families[family] += seconds;
}

// Token counts of a dynamic entry that are predicted: powers of two, and the whole chunk.
std::vector<int64_t> tokenCounts(const PricedEntry &entry) {
  if (!entry.dynamic)
    return {entry.capacity};
  std::vector<int64_t> counts;
  for (int64_t tokens = 1; tokens < entry.capacity; tokens *= 2)
    counts.push_back(tokens);
  counts.push_back(entry.capacity);
  return counts;
}

// `machine` with memory of the CPU that is `factor` times as fast.
policy::Machine withMemory(policy::Machine machine, double factor) {
  policy::CpuMachine &cpu = machine.cpu;
  cpu.readBandwidth *= factor;
  for (policy::BandwidthPoint &point : cpu.bandwidth)
    for (double *rate : {&point.file, &point.small, &point.huge})
      *rate *= factor;
  for (auto &[isa, formats] : cpu.formats)
    for (auto &[format, rates] : formats)
      rates.stream *= factor;
  return machine;
}

} // namespace

void predictSchedule(ModuleOp module, const policy::Machine &machine, const ScheduleCostOptions &options,
                     policy::Prediction &prediction) {
  Predictor predictor(module, machine, options.isa);
  constexpr double kSlower = 0.9; // a second point of how steps depend on the memory
  prediction.readBandwidth = predictor.readBandwidth();
  policy::Machine given = machine;
  given.cpu.readBandwidth = prediction.readBandwidth;
  const policy::Machine slowMachine = withMemory(std::move(given), kSlower);
  Predictor slow(module, slowMachine, options.isa);
  prediction.steps.clear();
  prediction.assumptions.clear();
  if (predictor.lanes.empty())
    return;
  for (const PricedEntry &entry : predictor.entries)
    for (int64_t tokens : tokenCounts(entry)) {
      const double near = predictor.time(entry, tokens, 0).seconds,
                   far = predictor.time(entry, tokens, kFarPosition).seconds,
                   slower = slow.time(*slow.find(entry.name), tokens, 0).seconds;
      prediction.steps.push_back({entry.name, tokens, near, (far - near) / kFarPosition,
                                  std::max(0.0, slower - near) / (1 / kSlower - 1)});
    }
  if (const PricedEntry *decode = predictor.find("decode_1")) {
    StepTime step = predictor.time(*decode, 1, options.depth);
    prediction.decodeTokensPerS = step.seconds > 0 ? 1 / step.seconds : 0;
    prediction.dispatchSeconds = startingOf(step);
    prediction.decodeBound = boundOf(step, predictor.lanes);
    prediction.decodeFamilies = sorted(step.families);
  }
  if (const PricedEntry *prefill = predictor.find("prefill")) {
    StepTime sum;
    for (int64_t done = 0; done < options.promptTokens; done += prefill->capacity)
      add(sum, predictor.time(*prefill, std::min(prefill->capacity, options.promptTokens - done),
                              options.depth + done));
    if (const PricedEntry *head = predictor.find("head"))
      add(sum, predictor.time(*head, 1, 0));
    prediction.prefillTokensPerS =
        sum.seconds > 0 ? static_cast<double>(options.promptTokens) / sum.seconds : 0;
    prediction.prefillBound = boundOf(sum, predictor.lanes);
    prediction.prefillFamilies = sorted(sum.families);
  }
  if (!machine.measured)
    prediction.assumptions.push_back("the machine was not measured (ktc probe does); its rates are assumed");
  int64_t hinted = 0;
  module.walk([&](sched::DispatchOp dispatch) { hinted += hasGuess(dispatch); });
  if (hinted > 0)
    prediction.assumptions.push_back(
        "a GPU guesses the experts of " + std::to_string(hinted) +
        " layers for the CPU to prefetch; 80 % of what it can read while it waits assumed");
  for (const std::string &assumption : predictor.assumptions())
    prediction.assumptions.push_back(assumption);
}

} // namespace ktc
