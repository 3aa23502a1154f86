// How the units of a dispatch are shared by the threads of a team (kt_abi.h).
#pragma once

#include <cstdint>

namespace ktrt {

struct UnitRange {
  uint32_t begin, end;
};

// The share of `thread` among `threads`. `total` fits in 32 bits, which the verifier has checked.
constexpr UnitRange shareOf(uint64_t total, uint32_t thread, uint32_t threads) {
  return {uint32_t(total * thread / threads), uint32_t(total * (thread + 1) / threads)};
}

} // namespace ktrt
