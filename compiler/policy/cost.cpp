// The roofline of cost.h.
#include "compiler/policy/cost.h"

#include "runtime/abi/kt_types.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

namespace ktc::policy {
namespace {

// Fixed costs, from published measurements of graph launches and host-device handshakes.
constexpr double kGpuDispatch = 2e-6; // a node of a CUDA graph
constexpr double kCrossing = 4e-6;    // one way between CPU and GPU, flag and activations of a token

// Rates of a device, assumed where the description has none.
struct Rates {
  double bandwidth = 0; // bytes/s
  double ops = 0;       // matrix operations/s
  double dispatch = 0;  // seconds
  double h2d = 0;       // bytes/s; GPUs only
};

// Team barriers of one operation on the CPU: quantise activations, multiply, combine.
int dispatchesOf(const std::string &op) {
  if (op == "experts")
    return 4;
  if (op == "ffn" || op == "mla_attention" || op == "gqa_attention")
    return 3;
  return op == "router" ? 2 : op.empty() ? 0 : 1;
}

double elementsOf(const WeightRef &weight) {
  if (const KtTypeInfo *info = ktTypeInfoNamed(weight.format.data(), weight.format.size()))
    return static_cast<double>(weight.bytes) / info->blockBytes * info->blockElements;
  return static_cast<double>(weight.bytes); // unknown format: a byte per element
}

std::string gb(double rate) {
  char buffer[48];
  std::snprintf(buffer, sizeof(buffer), "%.0f GB/s", rate / 1e9);
  return buffer;
}

class Predictor {
public:
  Predictor(std::span<const ModuleRef> modules, const PlacementTable &table, const Machine &machine,
            const CostOptions &options)
      : modules(modules), table(table), machine(machine), options(options) {}

  Prediction run() {
    if (!machine.measured)
      result.assumptions.push_back("the machine was not measured (ktc probe does); its rates are assumed");
    for (size_t m = 0; m < modules.size(); ++m)
      if (!modules[m].op.empty()) {
        addDecode(modules[m], table.placements[m]);
        addPrefill(modules[m], table.placements[m]);
      }
    finish();
    return std::move(result);
  }

private:
  struct PrefillWork {
    double seconds = 0, compute = 0, memory = 0, pcie = 0;
  };

  DeviceTime &deviceTime(const std::string &device) {
    for (DeviceTime &time : result.devices)
      if (time.device == device)
        return time;
    result.devices.push_back({device, 0, 0, 0});
    return result.devices.back();
  }

  const Rates &ratesOf(const std::string &device) {
    auto [it, isNew] = rates.try_emplace(device);
    if (isNew)
      it->second = device == "cpu" ? cpuRates() : gpuRates(device);
    return it->second;
  }

  void assume(const std::string &what, double &rate, double assumed) {
    if (rate > 0)
      return;
    rate = assumed;
    result.assumptions.push_back(what);
  }

  Rates cpuRates() {
    const CpuMachine &cpu = machine.cpu;
    Rates rate{cpu.readBandwidth, 0, cpu.barrierLatency, 0};
    for (const auto &[isa, ops] : cpu.int8Ops)
      if (options.isa.empty() || options.isa == isa)
        rate.ops = std::max(rate.ops, ops);
    double bandwidth = 10e9 * cpu.cores;
    assume("the read bandwidth of the cpu is not given; " + gb(bandwidth) + " assumed", rate.bandwidth,
           bandwidth);
    assume("the int8 rate of the cpu is not given; 64 operations per cycle and core assumed", rate.ops,
           64 * 2.5e9 * cpu.cores);
    return rate;
  }

  Rates gpuRates(const std::string &device) {
    Rates rate;
    if (const GpuMachine *gpu = machine.gpu(device))
      rate = {gpu->bandwidth, gpu->tensorOps, 0, gpu->h2dBandwidth};
    rate.dispatch = kGpuDispatch;
    assume("the memory bandwidth of " + device + " is not given; 900 GB/s assumed", rate.bandwidth, 900e9);
    assume("the matrix rate of " + device + " is not given; 100 TFLOP/s assumed", rate.ops, 1e14);
    assume("the PCIe bandwidth of " + device + " is not given; 20 GB/s assumed", rate.h2d, 20e9);
    return rate;
  }

  void addDecode(const ModuleRef &module, const Placement &placement) {
    const Rates &rate = ratesOf(placement.device);
    DeviceTime &time = deviceTime(placement.device);
    time.decodeBytes += module.bytesPerToken;
    time.decodeSeconds += static_cast<double>(module.bytesPerToken) / rate.bandwidth;
    result.dispatchSeconds += rate.dispatch * dispatchesOf(module.op);
    if (!previous.empty() && previous != placement.device) {
      ++result.crossings;
      result.dispatchSeconds += kCrossing;
    }
    previous = placement.device;
  }

  void addPrefill(const ModuleRef &module, const Placement &placement) {
    const std::string &device = placement.prefillDevice;
    const Rates &rate = ratesOf(device);
    double operations = 0, bytes = 0;
    for (const WeightRef &weight : module.weights) {
      double share = weight.bytes ? std::min(1.0, static_cast<double>(weight.bytesPerToken) / weight.bytes) : 0;
      // Embedding rows are copied, and lm_head runs for the last token of a prompt only.
      if (module.op != "embed" && module.op != "lm_head")
        operations += 2 * elementsOf(weight) * share * options.prefillTokens;
      bytes +=
          std::min<double>(weight.bytes, static_cast<double>(weight.bytesPerToken) * options.prefillTokens);
    }
    PrefillWork &work = prefill[device];
    double compute = operations / rate.ops, memory = bytes / rate.bandwidth;
    bool streamed = isGpu(device) && placement.device != device;
    double pcie = streamed ? bytes / rate.h2d : 0;
    work.compute += compute;
    work.memory += memory;
    work.pcie += pcie;
    work.seconds += std::max({compute, memory, pcie}) + rate.dispatch * dispatchesOf(module.op);
  }

  void finish() {
    double decode = result.dispatchSeconds, longest = result.dispatchSeconds;
    result.decodeBound = "dispatch";
    for (const DeviceTime &time : result.devices) {
      decode += time.decodeSeconds;
      if (time.decodeSeconds > longest) {
        longest = time.decodeSeconds;
        result.decodeBound = time.device + " memory bandwidth";
      }
    }
    double chunk = 0;
    longest = 0;
    result.prefillBound = "dispatch";
    for (const auto &[device, work] : prefill) {
      deviceTime(device).prefillSeconds = work.seconds;
      chunk += work.seconds;
      for (auto [seconds, what] : {std::pair(work.compute, "compute"),
                                   {work.memory, "memory bandwidth"},
                                   {work.pcie, "PCIe bandwidth"}})
        if (seconds > longest) {
          longest = seconds;
          result.prefillBound = device + " " + what;
        }
    }
    result.decodeTokensPerS = decode > 0 ? 1 / decode : 0;
    result.prefillTokensPerS = chunk > 0 ? options.prefillTokens / chunk : 0;
  }

  std::span<const ModuleRef> modules;
  const PlacementTable &table;
  const Machine &machine;
  const CostOptions &options;
  Prediction result;
  std::map<std::string, Rates> rates;
  std::map<std::string, PrefillWork> prefill;
  std::string previous;
};

} // namespace

Prediction predict(std::span<const ModuleRef> modules, const PlacementTable &table, const Machine &machine,
                   const CostOptions &options) {
  return Predictor(modules, table, machine, options).run();
}

} // namespace ktc::policy
