// The expert lists of kt_abi.h as kernels read them.
#pragma once

#include "base.cuh"

namespace kt {

// Expert `a` of the active ones: its matrix, and where its slots are. Dense kernels have one, whose slots are
// the tokens.
struct ActiveExpert {
  int id, count;
  const int32_t *slots; // NULL: slot i is i
  __device__ int slot(int i) const { return slots ? slots[i] : i; }
};

template <int Experts, bool Dense> struct ExpertLists {
  static constexpr int ids = 16, start = 16 + (Experts + 15) / 16 * 16,
                       slots = start + (Experts + 16) / 16 * 16;

  static __device__ int active(const int32_t *lists) { return Dense ? 1 : lists[0]; }
  static __device__ ActiveExpert expert(const int32_t *lists, int a, int tokens) {
    if (Dense)
      return {0, tokens, nullptr};
    const int first = lists[start + a];
    return {lists[ids + a], lists[start + a + 1] - first, lists + slots + first};
  }
};

} // namespace kt
