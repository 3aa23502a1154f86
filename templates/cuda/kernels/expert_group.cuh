// expert_group: the expert lists of runtime/abi/kt_abi.h by one block.
#pragma once

#include "select.cuh"

namespace kt {

// Few slots, as many as there are: a place is counted for each.
template <int Experts, int Slots, int Threads, class Listed> struct ExpertGroupSmall {
  static __device__ void run(const KtCudaArgs &args) {
    __shared__ int32_t ids[Slots];
    __shared__ uint32_t firsts[2 * Slots + 2];
    for (int i = threadIdx.x; i < Slots; i += Threads)
      ids[i] = Listed::has(i) ? static_cast<const int32_t *>(args.operands[0])[i] : -1;
    __syncthreads();
    rankLists<Experts, Slots, Threads>(ids, firsts, static_cast<int32_t *>(args.operands[1]), threadIdx.x,
                                       [] { __syncthreads(); });
  }
};

// Counting sort. Every warp has a range of slots, which it goes through twice in order: to count its slots of
// every expert and to put them into their places. So slots of an expert ascend whatever the timing.
template <int Experts, int TopK, int Warps, bool Dynamic, int M, class Listed> struct ExpertGroup {
  using Places = ListPlaces<Experts>;
  using Counts = uint16_t[Warps][Experts];

  // Calls body(slot, id, rank, same) for the slots of the warp, by whole warps: how many of the 32 slots at
  // hand that come before have the same expert, and how many have it at all. The id is -1 for none.
  template <class Body> static __device__ void forEachSlot(const int32_t *ids, int count, Body body) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int share = (count + Warps * 32 - 1) / (Warps * 32) * 32;
    const int end = min(count, (warp + 1) * share);
    for (int at = warp * share; at < end; at += 32) {
      const int slot = at + lane;
      int id = slot < end && Listed::has(slot) ? ids[slot] : -1;
      id = uint32_t(id) < Experts ? id : -1;
      const uint32_t equal = __match_any_sync(allLanes, id);
      body(slot, id, __popc(equal & ((1u << lane) - 1)), __popc(equal));
      __syncwarp();
    }
  }

  // Counts of the warps become the number of slots before the warp's; totals[e] all slots of expert e.
  static __device__ void addWarps(Counts &counts, int32_t *totals) {
    for (int expert = threadIdx.x; expert < Experts; expert += Warps * 32) {
      int total = 0;
      for (int warp = 0; warp < Warps; ++warp) {
        const int count = counts[warp][expert];
        counts[warp][expert] = static_cast<uint16_t>(total);
        total += count;
      }
      totals[expert] = total;
    }
  }

  // One warp: totals become first places, and everything but the slots is written.
  static __device__ void addExperts(int32_t *totals, int32_t *lists, int lane) {
    int used = 0, active = 0;
    for (int at = 0; at < Experts; at += 32) {
      const int expert = at + lane, total = expert < Experts ? totals[expert] : 0;
      int end = total;
      for (int distance = 1; distance < 32; distance *= 2) {
        const int before = __shfl_up_sync(allLanes, end, distance);
        end += lane >= distance ? before : 0;
      }
      const uint32_t present = __ballot_sync(allLanes, total > 0);
      if (total > 0) {
        const int group = active + __popc(present & ((1u << lane) - 1));
        totals[expert] = used + end - total;
        lists[Places::ids + group] = expert;
        lists[Places::start + group] = used + end - total;
      }
      used += __shfl_sync(allLanes, end, 31);
      active += __popc(present);
    }
    if (lane < 16)
      lists[lane] = lane == 0 ? active : 0;
    if (lane == 16)
      lists[Places::start + active] = used;
  }

  static __device__ void run(const KtCudaArgs &args) {
    __shared__ Counts counts;
    __shared__ int32_t places[Experts];
    const int32_t *ids = static_cast<const int32_t *>(args.operands[0]);
    int32_t *lists = static_cast<int32_t *>(args.operands[1]);
    const int count = tokenCount<Dynamic, M>(args) * TopK, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    for (int expert = lane; expert < Experts; expert += 32)
      counts[warp][expert] = 0;
    __syncwarp();
    forEachSlot(ids, count, [&](int, int id, int rank, int same) {
      if (id >= 0 && rank == 0)
        counts[warp][id] = static_cast<uint16_t>(counts[warp][id] + same);
    });
    __syncthreads();
    addWarps(counts, places);
    __syncthreads();
    if (warp == 0)
      addExperts(places, lists, lane);
    __syncthreads();
    forEachSlot(ids, count, [&](int slot, int id, int rank, int same) {
      const int before = id >= 0 ? counts[warp][id] : 0;
      __syncwarp();
      if (id >= 0)
        lists[Places::slots + places[id] + before + rank] = slot;
      if (id >= 0 && rank == 0)
        counts[warp][id] = static_cast<uint16_t>(before + same);
    });
  }
};

} // namespace kt
