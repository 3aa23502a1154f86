// ISA detection; see cpuid.h.
#include "runtime/cpu/cpuid.h"

#include "runtime/plan/message.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ktrt {

static constexpr const char *kNames[kIsaLevels] = {"avx2", "avx2vnni", "avx512", "amx"};

const char *isaName(IsaLevel level) { return kNames[unsigned(level)]; }

int parseIsaLevel(std::string_view name) {
  for (unsigned i = 0; i < kIsaLevels; ++i)
    if (name == kNames[i])
      return int(i);
  return -1;
}

std::string isaSetText(IsaSet set) {
  std::string text;
  for (unsigned i = 0; i < kIsaLevels; ++i)
    if (set & (1u << i))
      text += (text.empty() ? "" : ", ") + std::string(kNames[i]);
  return text.empty() ? "none" : text;
}

namespace {

struct Leaf {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Leaf leaf(unsigned number, unsigned sub) {
  Leaf result; // stays zero if the CPU does not have the leaf
  __get_cpuid_count(number, sub, &result.eax, &result.ebx, &result.ecx, &result.edx);
  return result;
}

// True if all bits of `mask` are set in `value`.
bool has(uint64_t value, uint64_t mask) { return (value & mask) == mask; }

// Register states that the operating system saves (XCR0).
uint64_t savedStates() {
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

// Linux grants tile data only on request (ARCH_REQ_XCOMP_PERM), because it enlarges every signal frame.
bool requestTilePermission() {
  constexpr long requestPermission = 0x1023, tileData = 18;
  return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
}

IsaSet detect() {
  Leaf one = leaf(1, 0), seven = leaf(7, 0), sevenOne = leaf(7, 1);
  constexpr unsigned fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29;
  if (!has(one.ecx, fma | osxsave | avx | f16c))
    return 0;
  uint64_t states = savedStates();
  constexpr unsigned bmi1 = 1u << 3, avx2 = 1u << 5, bmi2 = 1u << 8;
  if (!has(states, 0x6) || !has(seven.ebx, bmi1 | avx2 | bmi2))
    return 0;
  IsaSet set = isaBit(IsaLevel::Avx2);
  constexpr unsigned avxVnni = 1u << 4, avx512Bf16 = 1u << 5;
  if (has(sevenOne.eax, avxVnni))
    set |= isaBit(IsaLevel::Avx2Vnni);
  constexpr unsigned f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31, vnni = 1u << 11;
  if (!has(states, 0xe6) || !has(seven.ebx, f | dq | bw | vl) || !has(seven.ecx, vnni))
    return set;
  set |= isaBit(IsaLevel::Avx512);
  constexpr unsigned amxBf16 = 1u << 22, amxTile = 1u << 24, amxInt8 = 1u << 25;
  constexpr unsigned vbmi = 1u << 1, gfni = 1u << 8;
  if (has(states, 0x60000) && has(seven.edx, amxBf16 | amxTile | amxInt8) && has(seven.ecx, vbmi | gfni) &&
      has(sevenOne.eax, avx512Bf16) && requestTilePermission())
    set |= isaBit(IsaLevel::Amx);
  return set;
}

} // namespace

IsaSet supportedIsas() {
  static const IsaSet set = detect();
  return set;
}

kt::Result<IsaLevel> chooseIsa(IsaSet available, IsaSet supported, std::string_view limit) {
  int highest = int(kIsaLevels) - 1;
  if (!limit.empty()) {
    highest = parseIsaLevel(limit);
    if (highest < 0)
      return failure("unknown ISA level '%.*s': expected avx2, avx2vnni, avx512 or amx", int(limit.size()),
                     limit.data());
    if (!(supported & (1u << highest)))
      return failure("this CPU cannot run %s code: it supports %s", kNames[highest],
                     isaSetText(supported).c_str());
  }
  for (int i = highest; i >= 0; --i)
    if (available & supported & (1u << i))
      return IsaLevel(i);
  std::string limited = limit.empty() ? "" : formatText(" (limited to %s)", kNames[highest]);
  return failure("no code for this CPU: the plan has %s, the CPU supports %s%s", isaSetText(available).c_str(),
                 isaSetText(supported).c_str(), limited.c_str());
}

} // namespace ktrt
