// Lookups in a machine description, and the spellings that it shares with the system.
#include "compiler/policy/machine.h"

#include "compiler/policy/units.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace ktc::policy {

const GpuMachine *Machine::gpu(std::string_view device) const {
  if (!isGpu(device))
    return nullptr;
  size_t index = gpus.size();
  std::string_view digits = device.substr(5);
  std::from_chars(digits.data(), digits.data() + digits.size(), index);
  return index < gpus.size() ? &gpus[index] : nullptr;
}

bool Machine::hasDevice(std::string_view device) const { return device == "cpu" || gpu(device); }

kt::Result<std::vector<int>> parseCpuList(std::string_view text) {
  constexpr int kMaxCpus = 8192;
  auto bad = [&] {
    return kt::Error{"bad list of CPUs '" + std::string(text.substr(0, 60)) + "', expected '0-7,16'"};
  };
  std::vector<int> cpus;
  const char *at = text.data(), *end = at + text.size();
  auto number = [&](int &value) {
    auto [next, code] = std::from_chars(at, end, value);
    at = next;
    return code == std::errc() && value >= 0 && value < kMaxCpus;
  };
  while (true) {
    int first = 0;
    if (!number(first))
      return bad();
    int last = first;
    if (at != end && *at == '-' && (++at, !number(last)))
      return bad();
    if (last < first)
      return bad();
    for (int cpu = first; cpu <= last; ++cpu)
      cpus.push_back(cpu);
    if (cpus.size() > 2 * kMaxCpus)
      return bad();
    if (at == end)
      break;
    if (*at++ != ',')
      return bad();
  }
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  return cpus;
}

std::string formatCpuList(const std::vector<int> &cpus) { return foldLayers(cpus); }

kt::Result<double> parseBandwidth(std::string_view text) {
  std::string_view amount = text;
  if (amount.ends_with("/s"))
    amount.remove_suffix(2);
  double value = 0;
  auto [end, code] = std::from_chars(amount.data(), amount.data() + amount.size(), value);
  if (code == std::errc() && end == amount.data() + amount.size() && std::isfinite(value) && value >= 0)
    return value;
  if (kt::Result<uint64_t> bytes = parseSize(amount))
    return static_cast<double>(*bytes);
  return kt::Error{"bad bandwidth '" + std::string(text.substr(0, 60)) +
                   "', expected for instance '60GB/s' or '6e10'"};
}

} // namespace ktc::policy
