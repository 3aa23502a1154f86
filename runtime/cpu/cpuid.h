// Which instruction-set levels this machine can run, and which of a plan's levels to use.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ktrt {

// Levels of generated code, worst first. Avx512 does not contain Avx2Vnni: some AVX-512 CPUs lack AVX-VNNI.
enum class IsaLevel : uint8_t { Avx2, Avx2Vnni, Avx512, Amx };
inline constexpr unsigned kIsaLevels = 4;

// A set of levels, one bit each.
using IsaSet = uint8_t;
inline constexpr IsaSet isaBit(IsaLevel level) { return IsaSet(1u << unsigned(level)); }

// "avx2", "avx2vnni", "avx512", "amx".
const char *isaName(IsaLevel level);
// The level of that name, or -1.
int parseIsaLevel(std::string_view name);
// "avx2, avx512", or "none".
std::string isaSetText(IsaSet set);

// Levels that both the CPU and the operating system support. Asks the kernel for permission to use AMX tiles,
// which holds for all threads of the process. Cheap; the result does not change during the life of the process.
IsaSet supportedIsas();

// The level to load: the best of `available` (what the plan has code for) that `supported` contains, at most
// `limit` ("" = no limit). The error lists what the plan has and what the CPU supports.
kt::Result<IsaLevel> chooseIsa(IsaSet available, IsaSet supported, std::string_view limit);

} // namespace ktrt
