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

// The sums of 16 bytes each, as two dwords in the xmm of `bytes`. Clobbers `tmp` and `other`.
static Xbyak::Xmm emitSums(Emitter &e, const Xbyak::Ymm &bytes, const Xbyak::Ymm &tmp,
                           const Xbyak::Xmm &other) {
  Xbyak::Xmm low(bytes.getIdx());
  e.vpxor(bytes, bytes, e.splat(uint8_t(0x80))); // signed to unsigned: every byte gains 128
  e.vpxor(tmp, tmp, tmp);
  e.vpsadbw(bytes, bytes, tmp);
  e.vpsrldq(tmp, bytes, 8);
  e.vpaddd(bytes, bytes, tmp);
  e.vextracti128(other, bytes, 1);
  e.vpunpckldq(low, low, other);
  e.vpsubd(low, low, e.splat(int32_t(16 * 128)));
  return low;
}

// From max |x| in lane 0 of `largest`: stores the scale, leaves it in `scale` and its inverse in all lanes of
// `inverse`.
static void emitScale(Emitter &e, const Xbyak::Xmm &largest, const Xbyak::Xmm &scale, const Vec &inverse,
                      const Xbyak::Reg64 &scales) {
  Xbyak::Xmm lane(inverse.getIdx());
  e.vdivss(scale, largest, e.splat(127.0f));
  e.vmovss(e.ptr[scales], scale);
  e.vmovss(lane, e.splat(127.0f));
  e.vdivss(lane, lane, largest);
  e.vminss(lane, lane, e.splat(FLT_MAX));
  e.vbroadcastss(inverse, lane);
}

// The 32 floats in registers from `first` on times `inverse` as bytes: stored, and in ymm `first`.
static void emitBytes(Emitter &e, int first, const Vec &inverse, const Xbyak::Reg64 &q) {
  for (int i = 0; i < 32 / e.lanes(); ++i) {
    e.vmulps(e.vec(first + i), e.vec(first + i), inverse);
    e.vcvtps2dq(e.vec(first + i), e.vec(first + i));
  }
  emitPack(e, first);
  e.vmovdqu(e.ptr[q], Xbyak::Ymm(first));
}

void emitQuantizeBlock(Emitter &e, int first, int firstTemporary, const Q8Output &to) {
  Vec largest = e.vec(firstTemporary), inverse = e.vec(firstTemporary + 1), tmp = e.vec(firstTemporary + 2);
  Xbyak::Xmm scale(firstTemporary + 3), other(firstTemporary);
  emitLargest(e, first, largest, tmp);
  emitScale(e, other, scale, inverse, to.scales);
  emitBytes(e, first, inverse, to.q);
  const Xbyak::Xmm sums = emitSums(e, Xbyak::Ymm(first), Xbyak::Ymm(firstTemporary + 2), other);
  e.vcvtdq2ps(sums, sums);
  e.vbroadcastss(other, scale);
  e.vmulps(sums, sums, other);
  e.vmovlps(e.ptr[to.sums], sums);
  e.add(to.q, 32);
  e.add(to.scales, 4);
  e.add(to.sums, 8);
}

// The loop over a block of q8k for 512 bits: 64 floats at a time. In-lane packs of four vectors leave four
// bytes of each in every 128-bit lane, so that the dwords of a dot product with ones are partial sums of the
// four sixteens, and one permutation puts the bytes in order.
static void emitWideGroup(Emitter &e, const Xbyak::Reg64 &from, const Xbyak::Reg32 &counter, const Q8Output &to,
                          const Vec &inverse) {
  const Vec bytes = e.vec(0), other = e.vec(1), sums = e.vec(4), order = e.vec(6), ones = e.vec(7);
  const Xbyak::Xmm low(4), high(1);
  e.moveInt(order, e.table(std::array<int32_t, 16>{0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15}));
  e.moveInt(ones, e.splat(uint8_t(1)));
  Xbyak::Label loop;
  e.mov(counter, 4);
  e.L(loop);
  for (int i = 0; i < 4; ++i) {
    e.vmulps(e.vec(i), inverse, e.ptr[from + i * 64]);
    e.vcvtps2dq(e.vec(i), e.vec(i));
  }
  e.vpackssdw(e.vec(0), e.vec(0), e.vec(1));
  e.vpackssdw(e.vec(2), e.vec(2), e.vec(3));
  e.vpacksswb(bytes, e.vec(0), e.vec(2));
  e.zero(sums);
  e.dotBytes(sums, ones, bytes);
  e.vpermd(other, order, bytes);
  e.moveInt(e.ptr[to.q], other);
  e.vextracti64x4(Xbyak::Ymm(1), Xbyak::Zmm(4), 1);
  e.vpaddd(Xbyak::Ymm(4), Xbyak::Ymm(4), Xbyak::Ymm(1));
  e.vextracti128(high, Xbyak::Ymm(4), 1);
  e.vpaddd(low, low, high);
  e.vpackssdw(low, low, low);
  e.vmovq(e.ptr[to.sums], low);
  e.add(from, 256);
  e.add(to.q, 64);
  e.add(to.sums, 8);
  e.dec(counter);
  e.jnz(loop);
}

void emitQuantizeGroup(Emitter &e, const Xbyak::Reg64 &from, const Xbyak::Reg32 &counter, const Q8Output &to) {
  const Vec largest = e.vec(4), inverse = e.vec(5), tmp = e.vec(6);
  e.zero(largest);
  for (int i = 0; i < 256 / e.lanes(); ++i) {
    e.vmovups(tmp, e.ptr[from + i * e.lanes() * 4]);
    e.bitAnd(tmp, tmp, e.splat(0x7fffffffu));
    e.vmaxps(largest, tmp, largest); // as in emitLargest
  }
  e.horizontalMax(largest, tmp);
  emitScale(e, Xbyak::Xmm(4), Xbyak::Xmm(7), inverse, to.scales);
  e.add(to.scales, 4);
  if (e.wide())
    return emitWideGroup(e, from, counter, to, inverse);
  Xbyak::Label block;
  e.mov(counter, 8);
  e.L(block);
  for (int i = 0; i < 32 / e.lanes(); ++i)
    e.vmovups(e.vec(i), e.ptr[from + i * e.lanes() * 4]);
  emitBytes(e, 0, inverse, to.q);
  const Xbyak::Xmm sums = emitSums(e, Xbyak::Ymm(0), Xbyak::Ymm(6), Xbyak::Xmm(4));
  e.vpackssdw(sums, sums, sums);
  e.vmovd(e.dword[to.sums], sums);
  e.add(from, 128);
  e.add(to.q, 32);
  e.add(to.sums, 4);
  e.dec(counter);
  e.jnz(block);
}

void emitQ8Parts(Emitter &e, int64_t k, int64_t group, const Q8Output &to) {
  const size_t scales = group == 32 ? ktQ8ScaleOffset(k) : ktQ8kScaleOffset(k);
  const size_t sums = group == 32 ? ktQ8SumOffset(k) : ktQ8kSumOffset(k);
  e.lea(to.scales, e.ptr[to.q + scales]);
  e.lea(to.sums, e.ptr[to.q + sums]);
}

} // namespace ktc::x64
