// Wrappers of the instructions that matrix products are made of: asynchronous copies, matrix loads, products.
#pragma once

#include "base.cuh"

namespace kt {

__device__ inline uint32_t sharedAddress(const void *p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// Copies 16 bytes to shared memory in the background: `bytes` of them from global memory, then zeros.
__device__ inline void copyAsync16(void *shared, const void *global, int bytes = 16) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sharedAddress(shared)), "l"(global),
               "r"(bytes)
               : "memory");
}
template <int Bytes> __device__ inline void copyAsync(void *shared, const void *global) {
  if constexpr (Bytes == 16)
    copyAsync16(shared, global);
  else if constexpr (Bytes >= 4)
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(sharedAddress(shared)), "l"(global),
                 "n"(Bytes)
                 : "memory");
  else
    *static_cast<unsigned short *>(shared) = *static_cast<const unsigned short *>(global);
}
// Ends a group of copies of this thread, and waits until at most N younger groups are under way.
__device__ inline void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> __device__ inline void waitCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// Four 8x8 matrices of 16-bit elements; lane i gives the address of row i % 8 of matrix i / 8.
__device__ inline void loadMatrices(uint32_t (&r)[4], const void *shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(sharedAddress(shared))
               : "memory");
}

// c += A·B: A 16x16 and B 16x8 of bfloat16 in the fragment layouts of mma.m16n8k16.
__device__ inline void multiplyAdd(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                                   uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

} // namespace kt
