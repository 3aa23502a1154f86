// Text and JSON of `ktc explain`.
#include "compiler/policy/explain.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <set>

namespace ktc::policy {
namespace {

// Columns of text, each as wide as its widest cell; numbers to the right.
class TextTable {
public:
  explicit TextTable(std::vector<std::string> header) { rows.push_back(std::move(header)); }

  void add(std::vector<std::string> row) { rows.push_back(std::move(row)); }

  std::string str(const std::set<size_t> &rightAligned) const {
    std::vector<size_t> widths(rows[0].size());
    for (const auto &row : rows)
      for (size_t c = 0; c < row.size(); ++c)
        widths[c] = std::max(widths[c], row[c].size());
    std::string text;
    for (const auto &row : rows) {
      std::string line;
      for (size_t c = 0; c < row.size(); ++c) {
        std::string pad(widths[c] - row[c].size(), ' ');
        line += (c ? "  " : "") + (rightAligned.contains(c) ? pad + row[c] : row[c] + pad);
      }
      line.resize(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
    return text;
  }

private:
  std::vector<std::vector<std::string>> rows;
};

// Modules that differ in their layer only.
struct Group {
  const ModuleRef *first = nullptr;
  const Placement *placement = nullptr;
  std::set<int> layers;
  uint64_t bytes = 0;
  int count = 0;
};

std::string deviceCell(const Placement &placement) {
  return placement.device == placement.prefillDevice
             ? placement.device
             : placement.device + " (prefill " + placement.prefillDevice + ")";
}

std::vector<Group> groupModules(std::span<const ModuleRef> modules, const PlacementTable &table) {
  std::vector<Group> groups;
  std::map<std::string, size_t> index;
  for (size_t m = 0; m < modules.size(); ++m) {
    const ModuleRef &module = modules[m];
    const Placement &placement = table.placements[m];
    if (module.op.empty())
      continue;
    std::string key = pathPattern(module) + "\n" + module.op + "\n" + deviceCell(placement) + "\n" +
                      module.formats() + "\n" + placement.ruleLocation;
    auto [it, isNew] = index.try_emplace(key, groups.size());
    if (isNew)
      groups.push_back({&module, &placement, {}, 0, 0});
    Group &group = groups[it->second];
    group.layers.insert(module.layer);
    group.bytes += module.bytes();
    ++group.count;
  }
  return groups;
}

std::string foldedPath(const Group &group) {
  std::string path = pathPattern(*group.first);
  if (size_t at = path.find("{}"); at != std::string::npos) {
    std::string layers = foldLayers({group.layers.begin(), group.layers.end()});
    path.replace(at, 2, group.layers.size() == 1 ? layers : "{" + layers + "}");
  }
  return path;
}

std::string rate(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), value >= 100 ? "%.0f" : "%.3g", value);
  return buffer;
}

// "linear 61 %, gate_up 23 %, …" down to one per cent.
std::string familyShares(const std::vector<FamilyTime> &families) {
  double sum = 0;
  for (const FamilyTime &time : families)
    sum += time.seconds;
  std::string text;
  for (const FamilyTime &time : families)
    if (time.seconds >= 0.01 * sum) {
      char share[16];
      std::snprintf(share, sizeof(share), " %.0f %%", 100 * time.seconds / sum);
      text += (text.empty() ? "" : ", ") + time.family + share;
    }
  return text;
}

std::string machineLine(const Machine &machine) {
  const CpuMachine &cpu = machine.cpu;
  std::string text = "machine: " + (cpu.model.empty() ? std::string("cpu") : cpu.model) + ", " +
                     std::to_string(cpu.cores) + (cpu.cores == 1 ? " core, " : " cores, ") +
                     rate(cpu.readBandwidth / 1e9) + " GB/s";
  for (const GpuMachine &gpu : machine.gpus)
    text += "; " + gpu.name + ", " + formatBytes(gpu.memoryBytes) + ", " + rate(gpu.bandwidth / 1e9) + " GB/s";
  return text + (machine.measured ? " (measured)\n" : " (assumed)\n");
}

// What the schedule puts on `device`; NULL if there is no schedule.
const DeviceMemory *memoryOf(const Prediction &prediction, const std::string &device) {
  for (const DeviceMemory &memory : prediction.memory)
    if (memory.device == device)
      return &memory;
  return nullptr;
}

} // namespace

std::string explainText(std::span<const ModuleRef> modules, const PlacementTable &table, const Machine &machine,
                        const Prediction &prediction) {
  TextTable placement({"module", "op", "device", "format", "bytes", "rule"});
  for (const Group &group : groupModules(modules, table))
    placement.add({foldedPath(group), group.first->op, deviceCell(*group.placement), group.first->formats(),
                   formatBytes(group.bytes), group.placement->ruleLocation});
  std::string text = placement.str({4});

  // Caches and buffers are known when there is a schedule.
  const bool hasMemory = !prediction.memory.empty();
  std::vector<std::string> header = {"device", "weights", "budget", "read per token"};
  if (hasMemory)
    header.insert(header.begin() + 2, {"kv cache", "buffers"});
  TextTable devices(std::move(header));
  for (const DeviceUse &use : table.devices) {
    uint64_t perToken = 0;
    for (const DeviceTime &time : prediction.devices)
      if (time.device == use.device)
        perToken = time.decodeBytes;
    std::string budget = use.budget || use.explicitBudget ? formatBytes(use.budget) : "unknown";
    std::vector<std::string> row = {use.device, formatBytes(use.bytes),
                                    budget + (use.explicitBudget ? "" : " (memory)"), formatBytes(perToken)};
    if (hasMemory) {
      const DeviceMemory *memory = memoryOf(prediction, use.device);
      row.insert(row.begin() + 2, {memory ? formatBytes(memory->kvCache) : "-",
                                   memory ? formatBytes(memory->activations + memory->io) : "-"});
    }
    devices.add(std::move(row));
  }
  text += "\n" + devices.str({1, 2, 3, 4, 5}) + "\n" + machineLine(machine);
  text += "predicted: decode " + rate(prediction.decodeTokensPerS) + " tokens/s (bound by " +
          prediction.decodeBound + "), prefill " + rate(prediction.prefillTokensPerS) + " tokens/s (bound by " +
          prediction.prefillBound + ")\n";
  if (!prediction.decodeFamilies.empty())
    text += "time of a decoded token: " + familyShares(prediction.decodeFamilies) + "\n";
  if (!prediction.prefillFamilies.empty())
    text += "time of a prompt: " + familyShares(prediction.prefillFamilies) + "\n";
  for (const std::string &assumption : prediction.assumptions)
    text += "note: " + assumption + "\n";
  return text;
}

nlohmann::json explainJson(std::span<const ModuleRef> modules, const PlacementTable &table,
                           const Machine &machine, const Prediction &prediction) {
  using nlohmann::json;
  json devices = json::array(), placement = json::array();
  for (const DeviceUse &use : table.devices) {
    devices.push_back({{"name", use.device},
                       {"bytes", use.bytes},
                       {"budget", use.budget || use.explicitBudget ? json(use.budget) : json(nullptr)}});
    if (const DeviceMemory *memory = memoryOf(prediction, use.device))
      devices.back().update({{"planned_bytes", memory->total()},
                             {"kv_cache_bytes", memory->kvCache},
                             {"buffer_bytes", memory->activations + memory->io}});
  }
  json steps = json::array();
  for (const PredictedStep &step : prediction.steps)
    steps.push_back({{"entry", step.entry},
                     {"tokens", step.tokens},
                     {"seconds", step.seconds},
                     {"seconds_per_position", step.secondsPerPosition},
                     {"reading_seconds", step.readingSeconds}});
  auto familiesJson = [](const std::vector<FamilyTime> &families) {
    json object = json::object();
    for (const FamilyTime &time : families)
      object[time.family] = time.seconds;
    return object;
  };
  for (size_t m = 0; m < modules.size(); ++m) {
    if (modules[m].op.empty())
      continue;
    const Placement &where = table.placements[m];
    placement.push_back({{"path", modules[m].path},
                         {"op", modules[m].op},
                         {"device", where.device},
                         {"prefill_device", where.prefillDevice},
                         {"format", modules[m].formats()},
                         {"bytes", modules[m].bytes()},
                         {"rule", where.ruleLocation}});
  }
  return {
      {"devices", devices},
      {"predicted",
       {{"decode_tokens_per_s", prediction.decodeTokensPerS},
        {"prefill_tokens_per_s", prediction.prefillTokensPerS},
        {"decode_bound", prediction.decodeBound},
        {"prefill_bound", prediction.prefillBound},
        {"dispatch_seconds", prediction.dispatchSeconds},
        {"assumptions", prediction.assumptions},
        {"steps", steps},
        {"decode_families", familiesJson(prediction.decodeFamilies)},
        {"prefill_families", familiesJson(prediction.prefillFamilies)}}},
      {"machine", {{"measured", machine.measured}, {"cpu", machine.cpu.model}, {"gpus", machine.gpus.size()}}},
      {"placement", placement}};
}

} // namespace ktc::policy
