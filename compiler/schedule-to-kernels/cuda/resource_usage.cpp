// Parsing of the assembler's report. Its lines look like these:
//
//     8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
//   ptxas info    : Used 40 registers, used 1 barriers, 2048 bytes smem, 400 bytes cmem[0]
#include "compiler/schedule-to-kernels/cuda/resource_usage.h"

#include <algorithm>
#include <cctype>

namespace ktc::cuda {

// The number just before `unit` in `line`, 0 if there is none.
static uint32_t numberBefore(std::string_view line, std::string_view unit) {
  size_t end = line.find(unit);
  if (end == std::string_view::npos)
    return 0;
  while (end > 0 && line[end - 1] == ' ')
    --end;
  uint64_t value = 0, place = 1;
  for (; end > 0 && std::isdigit(static_cast<unsigned char>(line[end - 1])) && place <= 1000000000;
       --end, place *= 10)
    value += place * static_cast<uint64_t>(line[end - 1] - '0');
  return static_cast<uint32_t>(std::min<uint64_t>(value, UINT32_MAX));
}

ResourceUsage readResourceUsage(std::string_view log) {
  ResourceUsage usage;
  while (!log.empty()) {
    const size_t end = log.find('\n');
    const std::string_view line = log.substr(0, end);
    usage.registers = std::max(usage.registers, numberBefore(line, "registers"));
    usage.sharedBytes = std::max(usage.sharedBytes, numberBefore(line, "bytes smem"));
    usage.stackBytes = std::max(usage.stackBytes, numberBefore(line, "bytes stack frame"));
    usage.spillBytes += numberBefore(line, "bytes spill stores") + numberBefore(line, "bytes spill loads");
    log = end == std::string_view::npos ? std::string_view() : log.substr(end + 1);
  }
  return usage;
}

} // namespace ktc::cuda
