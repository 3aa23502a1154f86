// Writes machine descriptions as YAML.
#include "compiler/policy/machine.h"

#include <cstdio>
#include <sstream>

namespace ktc::policy {
namespace {

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

void printMemoryReads(std::ostream &out, const CpuMachine &cpu) {
  if (!cpu.numa.empty())
    out << "  numa:\n";
  for (const NumaNode &node : cpu.numa)
    out << "    - {cpus: \"" << formatCpuList(node.cpus) << "\", memory: " << node.memoryBytes
        << ", bandwidth: " << number(node.bandwidth) << "}\n";
  out << "  read_bandwidth: " << number(cpu.readBandwidth) << "     # bytes/s\n";
  if (!cpu.bandwidth.empty())
    out << "  bandwidth:                    # bytes/s by kind of page\n";
  for (const BandwidthPoint &point : cpu.bandwidth)
    out << "    - {threads: " << point.threads << ", file: " << number(point.file)
        << ", small: " << number(point.small) << ", huge: " << number(point.huge) << "}\n";
  if (!cpu.weightPages.empty())
    out << "  weight_pages: " << cpu.weightPages << "\n";
  if (cpu.hugePagesGain > 0)
    out << "  huge_pages_gain: " << number(cpu.hugePagesGain) << "      # over the file mapping\n";
  if (cpu.prefetchGain > 0)
    out << "  prefetch_gain: " << number(cpu.prefetchGain) << "        # of kernels that prefetch\n";
}

void printKernelRates(std::ostream &out, const CpuMachine &cpu) {
  if (!cpu.panelCrossover.empty()) {
    out << "  panel_crossover: {";
    const char *comma = "";
    for (const auto &[isa, tokens] : cpu.panelCrossover) {
      out << comma << isa << ": " << tokens;
      comma = ", ";
    }
    out << "}   # tokens\n";
  }
  if (!cpu.formats.empty())
    out << "  formats:                      # stream: bytes/s, others: weights or products per second\n";
  for (const auto &[isa, formats] : cpu.formats) {
    out << "    " << isa << ":\n";
    for (const auto &[format, rates] : formats)
      out << "      " << format << ": {stream: " << number(rates.stream)
          << ", tile_weights: " << number(rates.tileWeights)
          << ", tile_products: " << number(rates.tileProducts)
          << ", panel_weights: " << number(rates.panelWeights)
          << ", panel_products: " << number(rates.panelProducts) << "}\n";
  }
  if (!cpu.coreRates.empty())
    out << "  core_rates:                   # items/s of one core\n";
  for (const auto &[family, rate] : cpu.coreRates)
    out << "    " << family << ": " << number(rate) << "\n";
}

} // namespace

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
      << "\n  memory: " << cpu.memoryBytes << "\n";
  if (cpu.cacheBytes)
    out << "  cache: " << cpu.cacheBytes << "\n";
  printMemoryReads(out, cpu);
  out << "  barrier_latency: " << number(cpu.barrierLatency) << "    # seconds\n";
  if (cpu.dispatchLatency > 0)
    out << "  dispatch_latency: " << number(cpu.dispatchLatency) << "   # seconds, barrier included\n";
  out << "  int8_ops: " << ratesToYaml(cpu.int8Ops) << "\n  bf16_ops: " << ratesToYaml(cpu.bf16Ops) << "\n";
  printKernelRates(out, cpu);
  out << (machine.gpus.empty() ? "gpus: []\n" : "gpus:\n");
  for (const GpuMachine &gpu : machine.gpus) {
    out << "  - name: " << quoted(gpu.name) << "\n";
    if (gpu.sm)
      out << "    sm: " << gpu.sm << "\n";
    out << "    memory: " << gpu.memoryBytes << "\n    bandwidth: " << number(gpu.bandwidth)
        << "\n    h2d_bandwidth: " << number(gpu.h2dBandwidth)
        << "\n    d2h_bandwidth: " << number(gpu.d2hBandwidth) << "\n    tensor_ops: " << number(gpu.tensorOps)
        << "\n";
    if (gpu.weightStream > 0)
      out << "    weight_stream: " << number(gpu.weightStream) << "\n";
    const std::pair<const char *, double> latencies[] = {{"matrix_latency", gpu.matrixLatency},
                                                         {"kernel_latency", gpu.kernelLatency},
                                                         {"kernel_gap", gpu.kernelGap},
                                                         {"hand_over", gpu.handOver}};
    for (auto [key, seconds] : latencies)
      if (seconds > 0)
        out << "    " << key << ": " << number(seconds) << "    # seconds\n";
  }
  return out.str();
}

} // namespace ktc::policy
