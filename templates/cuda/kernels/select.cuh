// Choice of the largest values by a warp, ties to the lower index, and the expert lists of
// runtime/abi/kt_abi.h.
#pragma once

#include "reduce.cuh"

namespace kt {

// Numbers that order like the floats: a NaN and what lies below -FLT_MAX count as -FLT_MAX; -0 equals 0.
// Larger than 0, which is the key of what may not be chosen.
__device__ inline uint32_t orderKey(float value) {
  const float candidate = value > -3.402823466e+38f ? value : -3.402823466e+38f;
  const uint32_t bits = candidate == 0.0f ? 0u : __float_as_uint(candidate);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
constexpr uint32_t excludedKey = 0;

// Candidates of a warp: lane l holds those with indices l + 32 i. Each lane sorts its own once, so that taking
// one, of which many follow each other, is two reductions and a shift.
template <int PerLane> struct Candidates {
  uint32_t keys[PerLane];   // set before sort(): candidate i
  uint32_t places[PerLane]; // its i afterwards

  // Descending; neighbours change places only if they are out of order, so that equals stay as they are.
  __device__ void sort() {
#pragma unroll
    for (int i = 0; i < PerLane; ++i)
      places[i] = i;
#pragma unroll
    for (int round = 0; round < PerLane; ++round)
#pragma unroll
      for (int i = round % 2; i + 1 < PerLane; i += 2) {
        const bool swaps = keys[i] < keys[i + 1];
        const uint32_t key = keys[i], place = places[i];
        keys[i] = swaps ? keys[i + 1] : key;
        keys[i + 1] = swaps ? key : keys[i + 1];
        places[i] = swaps ? places[i + 1] : place;
        places[i + 1] = swaps ? place : places[i + 1];
      }
  }

  // Takes the largest candidate of the warp out and returns its index to every lane.
  __device__ int take(int lane) {
    const uint32_t largest = __reduce_max_sync(allLanes, keys[0]);
    const uint32_t mine = keys[0] == largest ? lane + 32 * places[0] : 0xffffffffu;
    const uint32_t index = __reduce_min_sync(allLanes, mine);
    const bool isMine = index == mine;
#pragma unroll
    for (int i = 0; i < PerLane; ++i) {
      const uint32_t key = i + 1 < PerLane ? keys[i + 1] : excludedKey;
      keys[i] = isMine ? key : keys[i];
      if (i + 1 < PerLane)
        places[i] = isMine ? places[i + 1] : places[i];
    }
    return static_cast<int>(index);
  }
};

__host__ __device__ constexpr int roundTo16(int n) { return (n + 15) / 16 * 16; }

// Places of the parts of expert lists (kt_abi.h), in int32.
template <int Experts> struct ListPlaces {
  static constexpr int ids = 16, start = 16 + roundTo16(Experts), slots = start + roundTo16(Experts + 1);
};

// The choices First .. First + Count - 1 of every token: which slots are listed.
template <int TopK, int First, int Count> struct Choices {
  static __device__ bool has(int slot) {
    return Count == TopK || uint32_t(slot % TopK - First) < uint32_t(Count);
  }
};

// The lists of one token by a warp, whose lane i has the token's choice `id` number i: slots First … First +
// Count - 1 are listed. Choices of a token are distinct, so that every one has a list of its own.
template <int Experts, int First, int Count>
__device__ inline void listChoices(int id, int lane, int32_t *lists) {
  using Places = ListPlaces<Experts>;
  int place = 0;
#pragma unroll
  for (int other = First; other < First + Count; ++other)
    place += __shfl_sync(allLanes, id, other) < id;
  if (uint32_t(lane - First) < uint32_t(Count)) {
    lists[Places::ids + place] = id;
    lists[Places::start + place] = place;
    lists[Places::slots + place] = lane;
  }
  if (lane < 16)
    lists[lane] = lane == 0 ? Count : 0;
  if (lane == 16)
    lists[Places::start + Count] = Count;
}

// Builds the lists of few slots by a team of Threads threads, at least 32, which are all here: a slot's place
// is the number of slots that come before it. `ids` (Slots of them, visible to the team) and `firsts` (2 *
// Slots + 2 words) are shared memory; ids that are not experts have no place. sync() is a barrier of the team.
template <int Experts, int Slots, int Threads, class Sync>
__device__ inline void rankLists(const int32_t *ids, uint32_t *firsts, int32_t *lists, int thread, Sync sync) {
  using Places = ListPlaces<Experts>;
  uint32_t *places = firsts + Slots, *totals = places + Slots;
  for (int slot = thread; slot < Slots; slot += Threads) {
    const uint32_t id = ids[slot];
    int place = 0, used = 0;
    bool isFirst = id < Experts;
    for (int other = 0; other < Slots; ++other) {
      const uint32_t otherId = ids[other];
      used += otherId < Experts;
      place += otherId < id || (otherId == id && other < slot);
      isFirst &= !(otherId == id && other < slot);
    }
    firsts[slot] = isFirst ? id : Experts;
    if (id < Experts)
      lists[Places::slots + place] = slot;
    places[slot] = place;
    if (slot == 0)
      totals[0] = used;
  }
  sync();
  for (int slot = thread; slot < Slots; slot += Threads) {
    const uint32_t id = firsts[slot];
    int group = 0, active = 0;
    for (int other = 0; other < Slots; ++other) {
      group += firsts[other] < id;
      active += firsts[other] < Experts;
    }
    if (id < Experts) {
      lists[Places::ids + group] = id;
      lists[Places::start + group] = places[slot];
    }
    if (slot == 0)
      totals[1] = active;
  }
  sync();
  if (thread < 16)
    lists[thread] = thread == 0 ? totals[1] : 0;
  if (thread == 16)
    lists[Places::start + totals[1]] = totals[0];
}

} // namespace kt
