// See schedule_cost.h.
#include "compiler/cost/schedule_cost.h"

#include "compiler/cost/dispatch_cost.h"
#include "compiler/schedule-to-kernels/kernel_params.h"
#include "dialects/schedule/Schedule.h"

#include <algorithm>
#include <map>

using namespace mlir;

namespace ktc {

namespace {

constexpr int64_t kFarPosition = 1024; // second point of the line over positions

// One command: a dispatch, or bytes to move.
struct Priced {
  DispatchShape shape; // family empty: moves bytes
  double bytes = 0, bytesPerToken = 0;
};

struct PricedEntry {
  std::string name;
  int64_t capacity = 1;
  bool dynamic = false;
  std::vector<Priced> commands;
};

PricedEntry readEntry(sched::EntryOp entry, llvm::StringMap<sched::KernelOp> &kernels) {
  PricedEntry priced{
      entry.getSymName().str(), static_cast<int64_t>(entry.getCapacity()), entry.getDynamic(), {}};
  for (Operation &op : entry.getBody().front()) {
    Priced command;
    command.shape.barrier = op.hasAttr("barrier");
    if (auto dispatch = dyn_cast<sched::DispatchOp>(op)) {
      auto kernel = kernels.find(dispatch.getKernel());
      if (kernel == kernels.end())
        continue;
      command.shape.family = kernel->second.getFamily().str();
      command.shape.params = kernelParams(kernel->second.getParams());
      command.shape.units = static_cast<int64_t>(dispatch.getUnits());
      command.shape.unitsPerToken = static_cast<int64_t>(dispatch.getUnitsPerToken());
    } else if (auto copy = dyn_cast<sched::CopyOp>(op)) {
      command.bytes = 2.0 * static_cast<double>(copy.getBytes());
      command.bytesPerToken = 2.0 * static_cast<double>(copy.getBytesPerToken());
    } else if (auto fill = dyn_cast<sched::FillOp>(op)) {
      command.bytes = static_cast<double>(fill.getBytes());
      command.bytesPerToken = static_cast<double>(fill.getBytesPerToken());
    } else {
      continue;
    }
    priced.commands.push_back(std::move(command));
  }
  return priced;
}

struct StepTime {
  double seconds = 0;
  Seconds parts;
  std::map<std::string, double> families;
};

class Predictor {
public:
  Predictor(ModuleOp module, const policy::CpuMachine &cpu, x64::Isa isa) : rates(cpu, isa) {
    llvm::StringMap<sched::KernelOp> kernels;
    for (auto kernel : module.getOps<sched::KernelOp>())
      kernels[kernel.getSymName()] = kernel;
    for (auto entry : module.getOps<sched::EntryOp>())
      entries.push_back(readEntry(entry, kernels));
  }

  const PricedEntry *find(const std::string &name) const {
    for (const PricedEntry &entry : entries)
      if (entry.name == name)
        return &entry;
    return nullptr;
  }

  StepTime time(const PricedEntry &entry, int64_t tokens, int64_t past) {
    double bytes = 0;
    for (const Priced &command : entry.commands)
      if (!command.shape.family.empty())
        for (const MatrixWork &matrix : workOf(command.shape, tokens, past).matrices)
          bytes += matrix.bytes * expectedExperts(matrix, tokens);
    const bool inCache = rates.staysInCache(bytes);
    StepTime step;
    for (const Priced &command : entry.commands) {
      Seconds part;
      if (command.shape.family.empty())
        part = rates.copySeconds(command.bytes + command.bytesPerToken * static_cast<double>(tokens),
                                 command.shape.barrier);
      else
        part = rates.seconds(command.shape, tokens, past, inCache);
      step.seconds += part.total();
      step.parts.reading += part.reading;
      step.parts.computing += part.computing;
      step.parts.starting += part.starting;
      step.families[command.shape.family.empty() ? "copy" : command.shape.family] += part.total();
    }
    return step;
  }

  std::vector<PricedEntry> entries;
  CpuRates rates;
};

std::vector<policy::FamilyTime> sorted(const std::map<std::string, double> &families) {
  std::vector<policy::FamilyTime> times;
  for (const auto &[family, seconds] : families)
    times.push_back({family, seconds});
  std::stable_sort(times.begin(), times.end(),
                   [](const auto &a, const auto &b) { return a.seconds > b.seconds; });
  return times;
}

std::string boundOf(const Seconds &parts) {
  if (parts.starting > parts.reading && parts.starting > parts.computing)
    return "dispatch";
  return parts.reading >= parts.computing ? "cpu memory bandwidth" : "cpu compute";
}

void add(StepTime &sum, const StepTime &step) {
  sum.seconds += step.seconds;
  sum.parts.reading += step.parts.reading;
  sum.parts.computing += step.parts.computing;
  sum.parts.starting += step.parts.starting;
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

} // namespace

void predictSchedule(ModuleOp module, const policy::Machine &machine, const ScheduleCostOptions &options,
                     policy::Prediction &prediction) {
  Predictor predictor(module, machine.cpu, options.isa);
  prediction.steps.clear();
  prediction.assumptions.clear();
  for (const PricedEntry &entry : predictor.entries)
    for (int64_t tokens : tokenCounts(entry)) {
      double near = predictor.time(entry, tokens, 0).seconds,
             far = predictor.time(entry, tokens, kFarPosition).seconds;
      prediction.steps.push_back({entry.name, tokens, near, (far - near) / kFarPosition});
    }
  if (const PricedEntry *decode = predictor.find("decode_1")) {
    StepTime step = predictor.time(*decode, 1, options.depth);
    prediction.decodeTokensPerS = step.seconds > 0 ? 1 / step.seconds : 0;
    prediction.dispatchSeconds = step.parts.starting;
    prediction.decodeBound = boundOf(step.parts);
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
    prediction.prefillBound = boundOf(sum.parts);
    prediction.prefillFamilies = sorted(sum.families);
  }
  if (!machine.measured)
    prediction.assumptions.push_back("the machine was not measured (ktc probe does); its rates are assumed");
  for (const std::string &assumption : predictor.rates.assumptions())
    prediction.assumptions.push_back(assumption);
}

} // namespace ktc
