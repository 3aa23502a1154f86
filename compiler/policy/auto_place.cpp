// Resolves `auto` devices and accounts bytes per device.
//
// `auto` fills the GPUs in the order of what they save: a weight that every token reads whole is worth its
// place fully, the experts of a layer only for the share that a token chooses. Modules of equal worth go in
// layer order and filling a GPU stops at the first module that does not fit, so that the GPU holds whole layers
// from the front and a token crosses between devices as rarely as possible.
#include "compiler/policy/match_internal.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ktc::policy {
namespace {

// Worth of a module in steps of a sixteenth, so that formats and rounding do not reorder layers.
int worth(const ModuleRef &module) {
  uint64_t bytes = module.bytes();
  if (bytes == 0)
    return 16;
  return static_cast<int>(std::ceil(16.0 * std::min(1.0, static_cast<double>(module.bytesPerToken) / bytes)));
}

// Bytes that each weight adds to a device; shared weights count once.
class DeviceBytes {
public:
  uint64_t cost(const std::string &device, const ModuleRef &module) const {
    uint64_t sum = 0;
    std::set<std::string_view> own;
    for (const WeightRef &weight : module.weights)
      if (!seen.contains({device, weight.name}) && own.insert(weight.name).second)
        sum += weight.bytes;
    return sum;
  }
  void add(const std::string &device, const ModuleRef &module) {
    total[device] += cost(device, module);
    for (const WeightRef &weight : module.weights)
      seen.insert({device, weight.name});
  }
  uint64_t of(const std::string &device) const {
    auto it = total.find(device);
    return it == total.end() ? 0 : it->second;
  }

private:
  std::set<std::pair<std::string, std::string>> seen;
  std::map<std::string, uint64_t> total;
};

// What takes the place on `device`: groups of modules, largest first.
std::string takers(std::span<const ModuleRef> modules, const std::vector<Placement> &placements,
                   const std::string &device) {
  struct Group {
    std::set<int> layers;
    uint64_t bytes = 0;
  };
  std::map<std::string, Group> groups;
  DeviceBytes counted;
  for (size_t m = 0; m < modules.size(); ++m)
    if (placements[m].device == device) {
      Group &group = groups[pathPattern(modules[m])];
      group.bytes += counted.cost(device, modules[m]);
      counted.add(device, modules[m]);
      group.layers.insert(modules[m].layer);
    }
  std::vector<std::pair<std::string, Group>> sorted(groups.begin(), groups.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto &a, const auto &b) { return a.second.bytes > b.second.bytes; });
  std::string text;
  for (size_t i = 0; i < sorted.size() && i < 6; ++i) {
    std::string pattern = sorted[i].first;
    if (size_t at = pattern.find("{}"); at != std::string::npos)
      pattern.replace(at, 2,
                      "{" + foldLayers({sorted[i].second.layers.begin(), sorted[i].second.layers.end()}) + "}");
    text += (i ? ", " : "") + pattern + " " + formatBytes(sorted[i].second.bytes);
  }
  return text + (sorted.size() > 6 ? ", and smaller ones" : "");
}

} // namespace

uint64_t capacity(const Policy &policy, const Machine &machine, const std::string &device) {
  if (auto budget = policy.budgets.find(device); budget != policy.budgets.end())
    return budget->second.bytes;
  if (const GpuMachine *gpu = machine.gpu(device))
    return gpu->memoryBytes / 10 * 9;
  return device == "cpu" ? machine.cpu.memoryBytes : 0;
}

void resolveAuto(const Policy &policy, std::span<const ModuleRef> modules, const Machine &machine,
                 std::vector<Placement> &placements) {
  DeviceBytes used;
  std::vector<size_t> open;
  for (size_t m = 0; m < modules.size(); ++m) {
    if (placements[m].device == "auto")
      open.push_back(m);
    else
      used.add(placements[m].device, modules[m]);
  }
  std::stable_sort(open.begin(), open.end(), [&](size_t a, size_t b) {
    int worthA = worth(modules[a]), worthB = worth(modules[b]);
    // Outside of layers (lm_head, final norm): first, since they are read for every token wherever the layers
    // are.
    return worthA != worthB ? worthA > worthB : modules[a].layer < modules[b].layer;
  });
  size_t gpu = 0;
  for (size_t m : open) {
    std::string device = "cpu";
    for (; gpu < machine.gpus.size(); ++gpu) {
      std::string candidate = "cuda:" + std::to_string(gpu);
      uint64_t room = capacity(policy, machine, candidate), taken = used.of(candidate);
      if (taken <= room && used.cost(candidate, modules[m]) <= room - taken) {
        device = candidate;
        break;
      }
    }
    placements[m].device = device;
    used.add(device, modules[m]);
  }
  for (Placement &placement : placements)
    if (placement.prefillDevice == "auto")
      placement.prefillDevice = placement.device;
}

std::vector<DeviceUse> accountDevices(const Policy &policy, std::span<const ModuleRef> modules,
                                      const Machine &machine, const std::vector<Placement> &placements,
                                      Diagnostics &diagnostics) {
  DeviceBytes used;
  std::set<std::string> names{"cpu"}; // "cpu" sorts before "cuda:N"
  for (size_t m = 0; m < modules.size(); ++m) {
    used.add(placements[m].device, modules[m]);
    if (!modules[m].op.empty()) // containers run nowhere
      names.insert({placements[m].device, placements[m].prefillDevice});
  }
  for (const auto &[device, budget] : policy.budgets)
    names.insert(device);

  std::vector<DeviceUse> devices;
  for (const std::string &name : names) {
    auto budget = policy.budgets.find(name);
    bool isExplicit = budget != policy.budgets.end();
    DeviceUse use{name, used.of(name), capacity(policy, machine, name), isExplicit};
    devices.push_back(use);
    bool known = isExplicit || use.budget != 0;
    if (!known || use.bytes <= use.budget)
      continue;
    std::string list = "; largest first: " + takers(modules, placements, name);
    if (isExplicit)
      diagnostics.error(budget->second.where, "the budget of " + name +
                                                  " is exceeded: " + formatBytes(use.bytes) + " of " +
                                                  formatBytes(use.budget) + list);
    else if (name == "cpu")
      diagnostics.warning({policy.name, 0, 0}, "the weights on the cpu take " + formatBytes(use.bytes) +
                                                   ", but the machine has " + formatBytes(use.budget) + list);
    else
      diagnostics.error({policy.name, 0, 0}, "the weights on " + name + " take " + formatBytes(use.bytes) +
                                                 ", but it has room for " + formatBytes(use.budget) + list);
  }
  return devices;
}

} // namespace ktc::policy
