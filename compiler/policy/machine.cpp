// Reads and writes machine descriptions.
//
//     version: 1
//     measured: true
//     cpu: {model: …, isa: [avx2, avx512], cores: 32, threads: 64, numa_nodes: 1, memory: 512GiB,
//           read_bandwidth: 2.8e11, barrier_latency: 2.1e-6, int8_ops: {avx512: 1.2e13}, bf16_ops: {avx512:
//           3e12}}
//     gpus:
//       - {name: …, sm: 90, memory: 80GiB, bandwidth: 3.2e12, h2d_bandwidth: 5e10, d2h_bandwidth: 5e10,
//       tensor_ops: 9e14}
#include "compiler/policy/machine.h"

#include "compiler/policy/parse_common.h"
#include "compiler/policy/units.h"
#include "compiler/policy/yaml_tree.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace ktc::policy {
namespace {

constexpr std::string_view kTopKeys[] = {"version", "measured", "cpu", "gpus"};
constexpr std::string_view kCpuKeys[] = {"model",      "isa",     "cores",          "threads",
                                         "numa_nodes", "memory",  "read_bandwidth", "barrier_latency",
                                         "int8_ops",   "bf16_ops"};
constexpr std::string_view kGpuKeys[] = {"name",          "sm",        "memory", "bandwidth", "h2d_bandwidth",
                                         "d2h_bandwidth", "tensor_ops"};
constexpr std::string_view kIsaNames[] = {"avx2", "avx2vnni", "avx512", "amx"};

bool isIsa(std::string_view name) {
  for (std::string_view known : kIsaNames)
    if (name == known)
      return true;
  return false;
}

class MachineParser {
public:
  MachineParser(Machine &machine, Diagnostics &diagnostics) : machine(machine), diagnostics(diagnostics) {}

  void parse(const YamlNode &root) {
    checkKeys(root, kTopKeys, "the machine description", diagnostics);
    const YamlNode *version = root.find("version");
    if (!version || version->scalar != "1")
      diagnostics.error(version ? version->where : root.where, "a machine description needs 'version: 1'");
    if (const YamlNode *measured = root.find("measured")) {
      if (!measured->asBool())
        diagnostics.error(measured->where, "'measured' needs true or false, but found " + measured->describe());
      machine.measured = measured->asBool().value_or(false);
    }
    if (const YamlNode *cpu = map(root, "cpu"))
      parseCpu(*cpu);
    else if (!root.find("cpu"))
      diagnostics.error(root.where, "'cpu' is missing");
    const YamlNode *gpus = root.find("gpus");
    if (!gpus || gpus->kind == YamlNode::Kind::Null)
      return;
    if (!gpus->isSequence()) {
      diagnostics.error(gpus->where, "'gpus' needs a list, but found " + gpus->describe());
      return;
    }
    for (const YamlNodePtr &gpu : gpus->items)
      parseGpu(*gpu);
  }

private:
  const YamlNode *map(const YamlNode &parent, std::string_view key) {
    const YamlNode *node = parent.find(key);
    if (!node || node->isMap())
      return node;
    diagnostics.error(node->where, "'" + std::string(key) + "' needs a map, but found " + node->describe());
    return nullptr;
  }

  void parseCpu(const YamlNode &cpu) {
    checkKeys(cpu, kCpuKeys, "'cpu'", diagnostics);
    if (const YamlNode *model = cpu.find("model"))
      machine.cpu.model = readText(*model, "model", diagnostics).value_or("");
    if (const YamlNode *isa = cpu.find("isa"))
      for (const YamlNode *name : readTextList(*isa, "isa", diagnostics)) {
        if (isIsa(name->scalar))
          machine.cpu.isa.push_back(name->scalar);
        else
          unknownIsa(*name);
      }
    readCount(cpu, "cores", machine.cpu.cores);
    readCount(cpu, "threads", machine.cpu.threads);
    readCount(cpu, "numa_nodes", machine.cpu.numaNodes);
    readMemory(cpu, machine.cpu.memoryBytes);
    readRate(cpu, "read_bandwidth", machine.cpu.readBandwidth);
    readRate(cpu, "barrier_latency", machine.cpu.barrierLatency);
    readRates(cpu, "int8_ops", machine.cpu.int8Ops);
    readRates(cpu, "bf16_ops", machine.cpu.bf16Ops);
  }

  void parseGpu(const YamlNode &node) {
    if (!node.isMap()) {
      diagnostics.error(node.where, "a GPU needs a map, but found " + node.describe());
      return;
    }
    checkKeys(node, kGpuKeys, "a GPU", diagnostics);
    GpuMachine gpu;
    if (const YamlNode *name = node.find("name"))
      gpu.name = readText(*name, "name", diagnostics).value_or("");
    readCount(node, "sm", gpu.sm);
    readMemory(node, gpu.memoryBytes);
    readRate(node, "bandwidth", gpu.bandwidth);
    readRate(node, "h2d_bandwidth", gpu.h2dBandwidth);
    readRate(node, "d2h_bandwidth", gpu.d2hBandwidth);
    readRate(node, "tensor_ops", gpu.tensorOps);
    machine.gpus.push_back(std::move(gpu));
  }

  void unknownIsa(const YamlNode &name) {
    diagnostics.error(name.where, "unknown ISA level '" + name.scalar.substr(0, 60) + "'" +
                                      suggestion(name.scalar, kIsaNames));
  }

  void readCount(const YamlNode &map, std::string_view key, int &count) {
    const YamlNode *node = map.find(key);
    if (!node)
      return;
    int value = 0;
    const std::string &text = node->scalar;
    auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (!node->isScalar() || code != std::errc() || end != text.data() + text.size() || value < 1 ||
        value > 1'000'000)
      diagnostics.error(node->where, "'" + std::string(key) + "' needs a positive whole number, but found " +
                                         node->describe());
    else
      count = value;
  }

  void readMemory(const YamlNode &map, uint64_t &bytes) {
    const YamlNode *node = map.find("memory");
    std::optional<std::string> text = node ? readText(*node, "memory", diagnostics) : std::nullopt;
    if (!text)
      return;
    kt::Result<uint64_t> size = parseSize(*text);
    if (size)
      bytes = *size;
    else
      diagnostics.error(node->where, size.error().message);
  }

  void readNumber(const YamlNode &node, std::string_view key, double &number) {
    double value = 0;
    const std::string &text = node.scalar;
    auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (!node.isScalar() || code != std::errc() || end != text.data() + text.size() || !std::isfinite(value) ||
        value < 0)
      diagnostics.error(node.where, "'" + std::string(key) +
                                        "' needs a number that is not negative, but found " + node.describe());
    else
      number = value;
  }

  void readRate(const YamlNode &map, std::string_view key, double &rate) {
    if (const YamlNode *node = map.find(key))
      readNumber(*node, key, rate);
  }

  void readRates(const YamlNode &parent, std::string_view key, std::map<std::string, double> &rates) {
    const YamlNode *node = map(parent, key);
    if (!node)
      return;
    for (const auto &[name, value] : node->entries) {
      if (isIsa(name->scalar))
        readNumber(*value, key, rates[name->scalar]);
      else
        unknownIsa(*name);
    }
  }

  Machine &machine;
  Diagnostics &diagnostics;
};

std::string number(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%.4g", value);
  return buffer;
}

// A double-quoted YAML scalar.
std::string quoted(const std::string &text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\')
      result += '\\';
    if (static_cast<unsigned char>(c) >= 0x20)
      result += c;
  }
  return result + "\"";
}

std::string ratesToYaml(const std::map<std::string, double> &rates) {
  std::string text;
  for (const auto &[isa, rate] : rates)
    text += (text.empty() ? "" : ", ") + isa + ": " + number(rate);
  return "{" + text + "}";
}

} // namespace

const GpuMachine *Machine::gpu(std::string_view device) const {
  if (!isGpu(device))
    return nullptr;
  size_t index = gpus.size();
  std::string_view digits = device.substr(5);
  std::from_chars(digits.data(), digits.data() + digits.size(), index);
  return index < gpus.size() ? &gpus[index] : nullptr;
}

bool Machine::hasDevice(std::string_view device) const { return device == "cpu" || gpu(device); }

kt::Result<Machine> parseMachine(std::string_view text, const std::string &file, Diagnostics &diagnostics) {
  size_t errorsBefore = diagnostics.count(Severity::Error);
  Machine machine;
  if (YamlNodePtr root = parseYaml(text, file, diagnostics)) {
    if (root->isMap())
      MachineParser(machine, diagnostics).parse(*root);
    else
      diagnostics.error(root->where, "a machine description is a map, but found " + root->describe());
  }
  if (diagnostics.count(Severity::Error) != errorsBefore)
    return kt::Error{diagnostics.firstError()};
  return machine;
}

kt::Result<Machine> loadMachine(const std::string &file, Diagnostics &diagnostics) {
  std::optional<std::string> text = readFile(file, "machine description", diagnostics);
  if (!text)
    return kt::Error{diagnostics.firstError()};
  return parseMachine(*text, file, diagnostics);
}

std::string machineToYaml(const Machine &machine) {
  const CpuMachine &cpu = machine.cpu;
  std::ostringstream out;
  out << "version: 1\nmeasured: " << (machine.measured ? "true" : "false")
      << "\ncpu:\n  model: " << quoted(cpu.model) << "\n";
  if (!cpu.isa.empty()) {
    out << "  isa: [";
    for (size_t i = 0; i < cpu.isa.size(); ++i)
      out << (i ? ", " : "") << cpu.isa[i];
    out << "]\n";
  }
  out << "  cores: " << cpu.cores << "\n  threads: " << cpu.threads << "\n  numa_nodes: " << cpu.numaNodes
      << "\n  memory: " << cpu.memoryBytes << "\n  read_bandwidth: " << number(cpu.readBandwidth)
      << "     # bytes/s\n  barrier_latency: " << number(cpu.barrierLatency)
      << "    # seconds\n  int8_ops: " << ratesToYaml(cpu.int8Ops)
      << "\n  bf16_ops: " << ratesToYaml(cpu.bf16Ops) << "\n";
  out << (machine.gpus.empty() ? "gpus: []\n" : "gpus:\n");
  for (const GpuMachine &gpu : machine.gpus) {
    out << "  - name: " << quoted(gpu.name) << "\n";
    if (gpu.sm)
      out << "    sm: " << gpu.sm << "\n";
    out << "    memory: " << gpu.memoryBytes << "\n    bandwidth: " << number(gpu.bandwidth)
        << "\n    h2d_bandwidth: " << number(gpu.h2dBandwidth)
        << "\n    d2h_bandwidth: " << number(gpu.d2hBandwidth) << "\n    tensor_ops: " << number(gpu.tensorOps)
        << "\n";
  }
  return out.str();
}

} // namespace ktc::policy
