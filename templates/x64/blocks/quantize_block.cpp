// Quantisation of one block: see quantize_block.h. The order of operations is that of reference/norm.cpp.
#include "templates/x64/blocks/quantize_block.h"

#include <cfloat>

namespace ktc::x64 {

using Vec = Emitter::Vec;

// largest = max |x| in lane 0. A NaN loses against the accumulator because it is the first source.
static void emitLargest(Emitter &e, int first, const Vec &largest, const Vec &tmp) {
  e.zero(largest);
  for (int i = 0; i < 32 / e.lanes(); ++i) {
    e.bitAnd(tmp, e.vec(first + i), e.splat(0x7fffffffu));
    e.vmaxps(largest, tmp, largest);
  }
  e.horizontalMax(largest, tmp);
}

// Packs the integers of the block with saturation to 32 bytes in order, in ymm `first`.
static void emitPack(Emitter &e, int first) {
  Xbyak::Ymm packed(first);
  if (e.wide()) {
    e.vpmovsdb(Xbyak::Xmm(first), Xbyak::Zmm(first));
    e.vpmovsdb(Xbyak::Xmm(first + 1), Xbyak::Zmm(first + 1));
    e.vinserti128(packed, packed, Xbyak::Xmm(first + 1), 1);
    return;
  }
  Xbyak::Ymm third(first + 2);
  e.vpackssdw(packed, packed, Xbyak::Ymm(first + 1));
  e.vpackssdw(third, third, Xbyak::Ymm(first + 3));
  e.vpacksswb(packed, packed, third);
  // The packs work within 128-bit halves; groups of four bytes are now 0 2 4 6 1 3 5 7.
  e.vmovdqu(third, e.table(std::array<int32_t, 8>{0, 4, 1, 5, 2, 6, 3, 7}));
  e.vpermd(packed, third, packed);
}

// Stores d times the sums of 16 bytes each. Clobbers `bytes`, `tmp` and `other`; d is in lane 0 of `scale`.
static void emitSums(Emitter &e, const Xbyak::Ymm &bytes, const Xbyak::Ymm &tmp, const Xbyak::Xmm &other,
                     const Xbyak::Xmm &scale, const Xbyak::Reg64 &sums) {
  Xbyak::Xmm low(bytes.getIdx());
  e.vpxor(bytes, bytes, e.splat(uint8_t(0x80))); // signed to unsigned: every byte gains 128
  e.vpxor(tmp, tmp, tmp);
  e.vpsadbw(bytes, bytes, tmp);
  e.vpsrldq(tmp, bytes, 8);
  e.vpaddd(bytes, bytes, tmp);
  e.vextracti128(other, bytes, 1);
  e.vpunpckldq(low, low, other);
  e.vpsubd(low, low, e.splat(int32_t(16 * 128)));
  e.vcvtdq2ps(low, low);
  e.vbroadcastss(other, scale);
  e.vmulps(low, low, other);
  e.vmovlps(e.ptr[sums], low);
}

void emitQuantizeBlock(Emitter &e, int first, int firstTemporary, const Q8Output &to) {
  Vec largest = e.vec(firstTemporary), inverse = e.vec(firstTemporary + 1), tmp = e.vec(firstTemporary + 2);
  Xbyak::Xmm scale(firstTemporary + 3), inverseLane(firstTemporary + 1);
  emitLargest(e, first, largest, tmp);
  Xbyak::Xmm largestLane(firstTemporary);
  e.vdivss(scale, largestLane, e.splat(127.0f));
  e.vmovss(e.ptr[to.scales], scale);
  e.vmovss(inverseLane, e.splat(127.0f));
  e.vdivss(inverseLane, inverseLane, largestLane);
  e.vminss(inverseLane, inverseLane, e.splat(FLT_MAX));
  e.vbroadcastss(inverse, inverseLane);
  for (int i = 0; i < 32 / e.lanes(); ++i) {
    e.vmulps(e.vec(first + i), e.vec(first + i), inverse);
    e.vcvtps2dq(e.vec(first + i), e.vec(first + i));
  }
  emitPack(e, first);
  e.vmovdqu(e.ptr[to.q], Xbyak::Ymm(first));
  emitSums(e, Xbyak::Ymm(first), Xbyak::Ymm(firstTemporary + 2), Xbyak::Xmm(firstTemporary), scale, to.sums);
  e.add(to.q, 32);
  e.add(to.scales, 4);
  e.add(to.sums, 8);
}

void emitQ8Parts(Emitter &e, int64_t k, const Q8Output &to) {
  e.lea(to.scales, e.ptr[to.q + static_cast<size_t>(ktQ8ScaleOffset(k))]);
  e.lea(to.sums, e.ptr[to.q + static_cast<size_t>(ktQ8SumOffset(k))]);
}

} // namespace ktc::x64
