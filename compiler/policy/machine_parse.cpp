// Reads machine descriptions. The keys are described in docs/policy.md.
#include "compiler/policy/machine.h"

#include "compiler/policy/parse_common.h"
#include "compiler/policy/units.h"
#include "compiler/policy/yaml_tree.h"
#include "runtime/abi/kt_types.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace ktc::policy {
namespace {

constexpr std::string_view kTopKeys[] = {"version", "measured", "cpu", "gpus"};
constexpr std::string_view kCpuKeys[] = {"model",           "isa",
                                         "cores",           "threads",
                                         "numa_nodes",      "memory",
                                         "cache",           "numa",
                                         "bandwidth",       "prefetch_gain",
                                         "huge_pages_gain", "read_bandwidth",
                                         "weight_pages",    "barrier_latency",
                                         "int8_ops",        "bf16_ops",
                                         "formats",         "dispatch_latency",
                                         "panel_crossover", "core_rates"};
constexpr std::string_view kNumaKeys[] = {"cpus", "memory", "bandwidth"};
constexpr std::string_view kBandwidthKeys[] = {"threads", "file", "small", "huge"};
constexpr std::string_view kFormatKeys[] = {"stream", "tile_weights", "tile_products", "panel_weights",
                                            "panel_products"};
constexpr std::string_view kGpuKeys[] = {
    "name",          "sm",         "memory",        "bandwidth",      "h2d_bandwidth",
    "d2h_bandwidth", "tensor_ops", "weight_stream", "matrix_latency", "kernel_latency",
    "kernel_gap",    "hand_over"};
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
    readSize(cpu, "memory", machine.cpu.memoryBytes);
    readSize(cpu, "cache", machine.cpu.cacheBytes);
    readBandwidth(cpu, "read_bandwidth", machine.cpu.readBandwidth);
    readRate(cpu, "barrier_latency", machine.cpu.barrierLatency);
    readRate(cpu, "dispatch_latency", machine.cpu.dispatchLatency);
    readRates(cpu, "int8_ops", machine.cpu.int8Ops);
    readRates(cpu, "bf16_ops", machine.cpu.bf16Ops);
    parseMemoryReads(cpu);
    parseKernelRates(cpu);
    for (const YamlNode *node : items(cpu, "numa"))
      parseNode(*node);
    if (!machine.cpu.numa.empty())
      machine.cpu.numaNodes = static_cast<int>(machine.cpu.numa.size());
  }

  // The maps of a list; anything else is an error.
  std::vector<const YamlNode *> items(const YamlNode &parent, std::string_view key) {
    const YamlNode *list = parent.find(key);
    std::vector<const YamlNode *> maps;
    if (!list || list->kind == YamlNode::Kind::Null)
      return maps;
    if (!list->isSequence())
      diagnostics.error(list->where,
                        "'" + std::string(key) + "' needs a list of maps, but found " + list->describe());
    for (const YamlNodePtr &item : list->items) {
      if (item->isMap())
        maps.push_back(item.get());
      else
        diagnostics.error(item->where,
                          "an entry of '" + std::string(key) + "' needs a map, but found " + item->describe());
    }
    return maps;
  }

  void parseNode(const YamlNode &node) {
    checkKeys(node, kNumaKeys, "an entry of 'numa'", diagnostics);
    NumaNode numa;
    const YamlNode *cpus = node.find("cpus");
    if (!cpus)
      diagnostics.error(node.where, "an entry of 'numa' needs 'cpus', such as 0-7");
    else if (std::optional<std::string> text = readText(*cpus, "cpus", diagnostics)) {
      kt::Result<std::vector<int>> list = parseCpuList(*text);
      if (!list)
        diagnostics.error(cpus->where, list.error().message);
      else
        numa.cpus = std::move(*list);
      for (const NumaNode &other : machine.cpu.numa)
        for (int cpu : other.cpus)
          if (std::binary_search(numa.cpus.begin(), numa.cpus.end(), cpu)) {
            diagnostics.error(cpus->where, "CPU " + std::to_string(cpu) + " is in two entries of 'numa'");
            break;
          }
    }
    readSize(node, "memory", numa.memoryBytes);
    readBandwidth(node, "bandwidth", numa.bandwidth);
    machine.cpu.numa.push_back(std::move(numa));
  }

  void parseMemoryReads(const YamlNode &cpu) {
    for (const YamlNode *node : items(cpu, "bandwidth")) {
      checkKeys(*node, kBandwidthKeys, "an entry of 'bandwidth'", diagnostics);
      BandwidthPoint point;
      readCount(*node, "threads", point.threads);
      readBandwidth(*node, "file", point.file);
      readBandwidth(*node, "small", point.small);
      readBandwidth(*node, "huge", point.huge);
      machine.cpu.bandwidth.push_back(point);
    }
    if (const YamlNode *pages = cpu.find("weight_pages")) {
      if (pages->scalar != "file" && pages->scalar != "huge")
        diagnostics.error(pages->where, "'weight_pages' needs file or huge, but found " + pages->describe());
      machine.cpu.weightPages = pages->scalar;
    }
    readRate(cpu, "huge_pages_gain", machine.cpu.hugePagesGain);
    readRate(cpu, "prefetch_gain", machine.cpu.prefetchGain);
  }

  void parseKernelRates(const YamlNode &cpu) {
    if (const YamlNode *crossovers = map(cpu, "panel_crossover"))
      for (const auto &[name, value] : crossovers->entries) {
        if (isIsa(name->scalar))
          readCount(*crossovers, name->scalar, machine.cpu.panelCrossover[name->scalar]);
        else
          unknownIsa(*name);
      }
    if (const YamlNode *formats = map(cpu, "formats"))
      for (const auto &[isa, list] : formats->entries) {
        if (!isIsa(isa->scalar))
          unknownIsa(*isa);
        else if (const YamlNode *rates = map(*formats, isa->scalar))
          for (const auto &[format, value] : rates->entries)
            if (const YamlNode *node = map(*rates, format->scalar))
              parseFormat(*node, *format, machine.cpu.formats[isa->scalar][format->scalar]);
      }
    if (const YamlNode *rates = map(cpu, "core_rates"))
      for (const auto &[family, value] : rates->entries)
        readNumber(*value, "core_rates", machine.cpu.coreRates[family->scalar]);
  }

  void parseFormat(const YamlNode &node, const YamlNode &name, FormatRates &rates) {
    if (!ktTypeInfoNamed(name.scalar.data(), name.scalar.size()))
      diagnostics.error(name.where, "unknown weight format '" + name.scalar.substr(0, 60) + "' in 'formats'");
    checkKeys(node, kFormatKeys, "the rates of a format", diagnostics);
    readBandwidth(node, "stream", rates.stream);
    readRate(node, "tile_weights", rates.tileWeights);
    readRate(node, "tile_products", rates.tileProducts);
    readRate(node, "panel_weights", rates.panelWeights);
    readRate(node, "panel_products", rates.panelProducts);
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
    readSize(node, "memory", gpu.memoryBytes);
    readBandwidth(node, "bandwidth", gpu.bandwidth);
    readBandwidth(node, "h2d_bandwidth", gpu.h2dBandwidth);
    readBandwidth(node, "d2h_bandwidth", gpu.d2hBandwidth);
    readRate(node, "tensor_ops", gpu.tensorOps);
    readBandwidth(node, "weight_stream", gpu.weightStream);
    readRate(node, "matrix_latency", gpu.matrixLatency);
    readRate(node, "kernel_latency", gpu.kernelLatency);
    readRate(node, "kernel_gap", gpu.kernelGap);
    readRate(node, "hand_over", gpu.handOver);
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

  void readSize(const YamlNode &map, std::string_view key, uint64_t &bytes) {
    const YamlNode *node = map.find(key);
    std::optional<std::string> text = node ? readText(*node, key, diagnostics) : std::nullopt;
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

  // A number, or a size per second.
  void readBandwidth(const YamlNode &map, std::string_view key, double &rate) {
    const YamlNode *node = map.find(key);
    if (!node)
      return;
    kt::Result<double> value = node->isScalar() ? parseBandwidth(node->scalar) : kt::Error{""};
    if (value)
      rate = *value;
    else
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

} // namespace

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

} // namespace ktc::policy
