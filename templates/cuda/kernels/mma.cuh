// Tensor-core products of warps (m16n8k16, float32 sums), the loads of their fragments from shared memory,
// asynchronous copies into it, and conversions between float32 and 16-bit floats.
//
// Fragments follow the PTX manual, with g = lane / 4 and i = lane % 4:
//   A (16 rows x 16 columns)  a[0] row g, columns 2i 2i+1 · a[1] row g + 8 · a[2], a[3] the same, columns + 8
//   B (16 x 8)                b0 rows 2i 2i+1 of column g · b1 rows + 8
//   C (16 x 8 float32)        c[0] c[1] row g, columns 2i 2i+1 · c[2] c[3] row g + 8
#pragma once

#include "base.cuh"

namespace kt {

// ---- 16-bit floats
// ----------------------------------------------------------------------------------------------

// Element types of the products.
struct Bfloat {};
struct Half {};

// Two floats rounded to nearest even, `low` in the low half of the word.
template <class T> __device__ inline uint32_t pack(float low, float high);
template <> __device__ inline uint32_t pack<Bfloat>(float low, float high) {
  uint32_t word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}
template <> __device__ inline uint32_t pack<Half>(float low, float high) {
  uint32_t word;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}

__device__ inline uint16_t floatToBfloat(float value) {
  uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}
__device__ inline uint16_t floatToHalf(float value) {
  uint16_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}
__device__ inline float bfloatToFloat(uint16_t bits) { return __uint_as_float(uint32_t(bits) << 16); }
__device__ inline float halfToFloat(uint16_t bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}

// ---- products
// ---------------------------------------------------------------------------------------------------

// c += a * b.
template <class T>
__device__ inline void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);
template <>
__device__ inline void multiply<Bfloat>(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <>
__device__ inline void multiply<Half>(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// ---- fragments from shared memory
// -------------------------------------------------------------------------------

__device__ inline uint32_t sharedAddress(const void *shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

// Four 8x8 matrices of 16-bit elements. Lane l gives the address of row l % 8 of matrix l / 8 (16 bytes,
// aligned); word j of a lane is then row lane / 4, columns 2 (lane % 4) and the next of matrix j.
__device__ inline void loadMatrices(uint32_t (&words)[4], const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(sharedAddress(row))
               : "memory");
}
// The same of the transposed matrices.
__device__ inline void loadTransposed(uint32_t (&words)[4], const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(sharedAddress(row))
               : "memory");
}

// ---- asynchronous copies
// ----------------------------------------------------------------------------------------

// Starts a copy of 16 bytes (both addresses aligned) past the first-level cache; zeros when not `valid`.
__device__ inline void copyAsync16(void *shared, const void *global, bool valid = true) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sharedAddress(shared)), "l"(global),
               "r"(valid ? 16 : 0)
               : "memory");
}
// Starts a copy of 16, 8 or 4 bytes at addresses aligned to them, or copies 2.
template <int Bytes> __device__ inline void copyAsync(void *shared, const void *global) {
  if constexpr (Bytes == 16)
    copyAsync16(shared, global);
  else if constexpr (Bytes >= 4)
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(sharedAddress(shared)), "l"(global),
                 "n"(Bytes)
                 : "memory");
  else
    *static_cast<uint16_t *>(shared) = *static_cast<const uint16_t *>(global);
}
// Ends a group of copies of this thread.
__device__ inline void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until all but the latest `Pending` groups of this thread are there.
template <int Pending> __device__ inline void waitForCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

} // namespace kt
