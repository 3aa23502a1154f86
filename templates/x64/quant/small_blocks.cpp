// Decoders of the formats with blocks of 32 weights and affine values: Q8_0, Q4_0, Q4_1, Q5_0, Q5_1.
//
// A block starts with its half-precision scale (and minimum); the scales of a span are picked one by one from
// the blocks.
#include "templates/x64/quant/decoder.h"

namespace ktc::x64 {

namespace {

using Vec = Emitter::Vec;

class SmallBlockDecoder : public BlockDecoder {
public:
  using BlockDecoder::BlockDecoder;

  void emitScales(const DecodeRegisters &regs, const RegExp &row, int blocks) override {
    offsetKind == Offset::Added ? emitPairs(regs, row, blocks) : emitHalves(regs, row, blocks);
  }

protected:
  RegExp block(const RegExp &row, int index) const { return row + size_t(index) * format.blockBytes; }

private:
  // {d} at the start of each block.
  void emitHalves(const DecodeRegisters &regs, const RegExp &row, int blocks) {
    Emitter::Xmm halves = Emitter::xmmOf(regs.temps[0]);
    e.zero(halves);
    for (int i = 0; i < blocks; ++i)
      e.vpinsrw(halves, halves, e.word[block(row, i)], i);
    if (e.wide()) {
      e.vcvtph2ps(Emitter::ymmOf(halves), halves);
      e.vmovups(regs.scale[0], doublingIndex(e));
      e.vpermps(regs.scale[0], regs.scale[0], regs.temps[0]);
    } else {
      e.vcvtph2ps(regs.scale[0], halves);
    }
  }

  // {d, m} at the start of each block: as float32 they alternate.
  void emitPairs(const DecodeRegisters &regs, const RegExp &row, int blocks) {
    const Emitter::Xmm pairs[2] = {Emitter::xmmOf(regs.temps[0]), Emitter::xmmOf(regs.temps[1])};
    for (const Emitter::Xmm &half : pairs)
      e.zero(half);
    for (int i = 0; i < blocks; ++i)
      e.vpinsrd(pairs[i / 4], pairs[i / 4], e.dword[block(row, i)], i % 4);
    const Vec &t0 = regs.temps[0], &t1 = regs.temps[1];
    if (e.wide()) {
      e.vinserti128(Emitter::ymmOf(t0), Emitter::ymmOf(t0), pairs[1], 1);
      e.vcvtph2ps(t0, Emitter::ymmOf(t0));
      e.vmovsldup(regs.scale[0], t0);
      e.vmovshdup(regs.offset[0], t0);
    } else {
      e.vcvtph2ps(t0, pairs[0]);
      e.vcvtph2ps(t1, pairs[1]);
      // In-lane shuffles leave the quarters in the order 0, 2, 1, 3.
      e.vshufps(regs.scale[0], t0, t1, 0b10001000);
      e.vpermpd(regs.scale[0], regs.scale[0], 0b11011000);
      e.vshufps(regs.offset[0], t0, t1, 0b11011101);
      e.vpermpd(regs.offset[0], regs.offset[0], 0b11011000);
    }
  }
};

class Q8_0Decoder : public SmallBlockDecoder {
public:
  Q8_0Decoder(Emitter &emitter, const KtTypeInfo &format) : SmallBlockDecoder(emitter, format) {
    isSigned = !e.hasVnni();
    if (!isSigned)
      setMultiple(-128);
  }

  void emitWeights(const DecodeRegisters &regs, const RegExp &row, int group, int blocks) override {
    const Vec &w = regs.weights;
    if (e.wide()) {
      e.vmovdqu(Emitter::ymmOf(w), e.ptr[block(row, 2 * group) + 2]);
      if (2 * group + 1 < blocks)
        e.vinserti64x4(Emitter::zmmOf(w), Emitter::zmmOf(w), e.ptr[block(row, 2 * group + 1) + 2], 1);
    } else {
      e.vmovdqu(w, e.ptr[block(row, group) + 2]);
    }
    if (!isSigned)
      e.bitXor(w, w, e.splat<uint8_t>(0x80));
  }
};

// Nibbles in element order, plus a fifth bit per element in the Q5 formats.
class NibbleDecoder : public SmallBlockDecoder {
public:
  NibbleDecoder(Emitter &emitter, const KtTypeInfo &format) : SmallBlockDecoder(emitter, format) {
    hasFifthBit = format.id == KT_TYPE_Q5_0 || format.id == KT_TYPE_Q5_1;
    bool hasMinimum = format.id == KT_TYPE_Q4_1 || format.id == KT_TYPE_Q5_1;
    highOffset = hasMinimum ? 4 : 2;
    lowOffset = highOffset + (hasFifthBit ? 4 : 0);
    if (hasMinimum)
      offsetKind = Offset::Added;
    else
      setMultiple(hasFifthBit ? -16 : -8);
  }

  void emitConstants(const DecodeRegisters &) override { emitHalfMasks(e); }

  void emitWeights(const DecodeRegisters &regs, const RegExp &row, int group, int blocks) override {
    const int first = e.wide() ? 2 * group : group;
    const bool both = e.wide() && first + 1 < blocks;
    emitNibbles16(e, regs.weights, block(row, first) + lowOffset, block(row, first + 1) + lowOffset, both);
    if (hasFifthBit && e.wide())
      emitFifthBitMasked(regs, row, first, both);
    else if (hasFifthBit)
      emitFifthBit(regs, row, first);
  }

private:
  // 64 fifth bits make a byte mask. k4 is scratch: k5 and k6 hold the half masks.
  void emitFifthBitMasked(const DecodeRegisters &regs, const RegExp &row, int first, bool both) {
    e.mov(e.eax, e.dword[block(row, first) + highOffset]);
    if (both) {
      e.mov(e.edx, e.dword[block(row, first + 1) + highOffset]);
      e.shl(e.rdx, 32);
      e.or_(e.rax, e.rdx);
    }
    e.kmovq(e.k4, e.rax);
    e.vpaddb(regs.weights | e.k4, regs.weights, e.splat<uint8_t>(16));
  }

  // Without masks: spread the four bytes over 32, test one bit in each.
  void emitFifthBit(const DecodeRegisters &regs, const RegExp &row, int first) {
    const Vec &t = regs.temps[0];
    e.vpbroadcastd(t, e.dword[block(row, first) + highOffset]);
    e.vpshufb(t, t,
              e.table(std::array<uint64_t, 4>{0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303}));
    Emitter::Address bits = e.splat<uint64_t>(0x8040201008040201);
    e.vpand(t, t, bits);
    e.vpcmpeqb(t, t, bits);
    e.vpand(t, t, e.splat<uint8_t>(16));
    e.vpor(regs.weights, regs.weights, t);
  }

  bool hasFifthBit;
  int lowOffset, highOffset;
};

} // namespace

std::unique_ptr<BlockDecoder> makeSmallBlockDecoder(Emitter &emitter, const KtTypeInfo &format) {
  switch (format.id) {
  case KT_TYPE_Q8_0:
    return std::make_unique<Q8_0Decoder>(emitter, format);
  case KT_TYPE_Q4_0:
  case KT_TYPE_Q4_1:
  case KT_TYPE_Q5_0:
  case KT_TYPE_Q5_1:
    return std::make_unique<NibbleDecoder>(emitter, format);
  default:
    return nullptr;
  }
}

} // namespace ktc::x64
