// Decoders of the K-quants: blocks of 256 weights with integer sub-scales, bits kept in planes.
//
// A plane is 32 bytes whose bit fields belong to weights 32 apart, so a shift of a whole vector selects a
// sub-block. Wide code takes two sub-blocks at once: the plane is loaded into both halves, and each half is
// shifted (or rotated, so that one instruction moves bits either way; stray bits are masked) by its own amount.
#include "templates/x64/quant/decoder.h"

namespace ktc::x64 {

namespace {

using Vec = Emitter::Vec;
using RegExp = Xbyak::RegExp;

// Bits of a plane of 32 bytes: field (1 << bits) - 1 at `from`, wanted at bit `to` of each byte.
struct Field {
  int from[2]; // of the two halves; narrow code uses [0]
  int to;
  int mask; // in place, at `to`
};

// dst = the field of the plane at `plane`. Clobbers nothing else.
void emitField(Emitter &e, const Vec &dst, const RegExp &plane, const Field &field) {
  if (e.wide()) {
    const uint32_t low = (field.to - field.from[0] + 32) % 32, high = (field.to - field.from[1] + 32) % 32;
    e.vbroadcasti64x4(Emitter::zmmOf(dst), e.ptr[plane]);
    e.vprolvd(dst, dst,
              e.table(std::array<uint32_t, 16>{low, low, low, low, low, low, low, low, high, high, high, high,
                                               high, high, high, high}));
    e.vpandd(dst, dst, e.splat(static_cast<uint8_t>(field.mask)));
    return;
  }
  const int right = field.from[0] - field.to;
  if (right == 0) {
    e.vmovdqu(dst, e.ptr[plane]);
  } else if (right > 0) {
    e.vmovdqu(dst, e.ptr[plane]);
    e.vpsrlw(dst, dst, right);
  } else {
    e.vmovdqu(dst, e.ptr[plane]);
    e.vpsllw(dst, dst, -right);
  }
  e.vpand(dst, dst, e.splat(static_cast<uint8_t>(field.mask)));
}

// Sub-blocks of a group: a wide group is two of them.
int firstSub(const Emitter &e, int group) { return e.wide() ? 2 * group : group; }

// Q4_K and Q5_K: eight 6-bit scales and minima in 12 bytes, nibbles in planes of 64 weights.
class Q45KDecoder : public BlockDecoder {
public:
  Q45KDecoder(Emitter &emitter, const KtTypeInfo &format) : BlockDecoder(emitter, format) {
    offsetKind = Offset::Subtracted;
    hasFifthBit = format.id == KT_TYPE_Q5_K;
  }

  void emitScales(const DecodeRegisters &regs, const RegExp &row, int) override {
    const Emitter::Xmm x = Emitter::xmmOf(regs.temps[0]), y = Emitter::xmmOf(regs.temps[1]);
    // d, dmin and the 12 bytes in one load. As dwords of the latter: A (scales 0-3 and the high bits of scales
    // 4-7), B (the same for minima), C (low nibbles of scales 4-7, of minima 4-7).
    e.vmovdqu(x, e.ptr[row]);
    e.vpshufd(y, x, 0b10011001); // A B A B
    e.vpshufd(x, x, 0b11111001); // A B C C
    e.vpsrlvd(x, x, e.table(std::array<uint32_t, 4>{0, 0, 0, 4}));
    e.vpand(x, x, e.table(std::array<uint32_t, 4>{0x3f3f3f3f, 0x3f3f3f3f, 0x0f0f0f0f, 0x0f0f0f0f}));
    e.vpsrld(y, y, 2);
    e.vpand(y, y, e.table(std::array<uint32_t, 4>{0, 0, 0x30303030, 0x30303030}));
    e.vpor(x, x, y); // bytes: scales 0-3, minima 0-3, scales 4-7, minima 4-7
    e.wide() ? emitInterleaved(regs, row) : emitSeparate(regs, row);
  }

  void emitWeights(const DecodeRegisters &regs, const RegExp &row, int group, int) override {
    const int first = firstSub(e, group);
    const RegExp low = row + size_t(hasFifthBit ? 48 : 16) + size_t(first / 2 * 32);
    const int from = first % 2 * 4;
    if (e.wide()) {
      e.vbroadcasti64x4(Emitter::zmmOf(regs.weights), e.ptr[low]);
      e.vpsrlvd(regs.weights, regs.weights,
                e.table(std::array<uint32_t, 16>{0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4}));
      e.vpandd(regs.weights, regs.weights, regs.fixed);
    } else {
      emitField(e, regs.weights, low, {{from, from}, 0, 15});
    }
    if (!hasFifthBit)
      return;
    emitField(e, regs.temps[0], row + 16, {{first, first + 1}, 4, 16});
    e.bitOr(regs.weights, regs.weights, regs.temps[0]);
  }

  void emitConstants(const DecodeRegisters &regs) override { e.vmovups(regs.fixed, e.splat<uint8_t>(15)); }

private:
  // Scales and minima alternate, like d and dmin in memory; duplicating shuffles then separate and double them.
  void emitInterleaved(const DecodeRegisters &regs, const RegExp &row) {
    const Vec &x = regs.temps[0], &y = regs.temps[1];
    e.vpshufb(Emitter::xmmOf(x), Emitter::xmmOf(x),
              e.table(std::array<uint8_t, 16>{0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15}));
    e.vpmovzxbd(x, Emitter::xmmOf(x));
    e.vcvtdq2ps(x, x);
    e.vpbroadcastd(Emitter::ymmOf(y), e.dword[row]);
    e.vcvtph2ps(y, Emitter::ymmOf(y));
    e.vmulps(x, x, y);
    e.vmovsldup(regs.scale[0], x);
    e.vmovshdup(regs.offset[0], x);
  }

  void emitSeparate(const DecodeRegisters &regs, const RegExp &row) {
    const Emitter::Xmm x = Emitter::xmmOf(regs.temps[0]);
    e.vpshufd(x, x, 0b11011000); // scales 0-7, minima 0-7
    e.vpmovzxbd(regs.scale[0], x);
    e.vpsrldq(x, x, 8);
    e.vpmovzxbd(regs.offset[0], x);
    e.vcvtdq2ps(regs.scale[0], regs.scale[0]);
    e.vcvtdq2ps(regs.offset[0], regs.offset[0]);
    broadcastHalf(regs.temps[0], row);
    e.vmulps(regs.scale[0], regs.scale[0], regs.temps[0]);
    broadcastHalf(regs.temps[0], row + 2);
    e.vmulps(regs.offset[0], regs.offset[0], regs.temps[0]);
  }

  bool hasFifthBit;
};

// Formats with sixteen scales: after a subclass has left 16 signed bytes or dwords, they become float32 times
// d.
class SixteenScalesDecoder : public BlockDecoder {
public:
  SixteenScalesDecoder(Emitter &emitter, const KtTypeInfo &format) : BlockDecoder(emitter, format) {
    perSixteen = true;
  }

protected:
  // Vectors that hold the 16 lanes.
  int parts() const { return e.wide() ? 1 : 2; }

  // v[part] = float32(v[part]) * half at `factor`, for integer lanes.
  void scaleBy(const Vec *v, const Vec &tmp, const RegExp &factor) {
    broadcastHalf(tmp, factor);
    for (int part = 0; part < parts(); ++part) {
      e.vcvtdq2ps(v[part], v[part]);
      e.vmulps(v[part], v[part], tmp);
    }
  }
};

class Q6KDecoder : public SixteenScalesDecoder {
public:
  Q6KDecoder(Emitter &emitter, const KtTypeInfo &format) : SixteenScalesDecoder(emitter, format) {
    setMultiple(-32);
  }

  void emitScales(const DecodeRegisters &regs, const RegExp &row, int) override {
    for (int part = 0; part < parts(); ++part)
      e.vpmovsxbd(regs.scale[part], e.ptr[row + 192 + size_t(8 * part)]);
    scaleBy(regs.scale, regs.temps[0], row + 208);
  }

  void emitConstants(const DecodeRegisters &regs) override { e.vmovups(regs.fixed, e.splat<uint8_t>(15)); }

  // Halves of 128 weights have 64 bytes of low nibbles (two planes) and one plane of 2-bit fields.
  void emitWeights(const DecodeRegisters &regs, const RegExp &row, int group, int) override {
    const int first = firstSub(e, group), half = first / 4, plane = first % 4;
    const RegExp low = row + size_t(half * 64 + plane % 2 * 32), high = row + 128 + size_t(half * 32);
    e.moveInt(regs.weights, e.ptr[low]); // wide: both planes
    if (plane >= 2)
      e.vpsrlw(regs.weights, regs.weights, 4);
    e.bitAnd(regs.weights, regs.weights, regs.fixed);
    emitField(e, regs.temps[0], high, {{2 * plane, 2 * plane + 2}, 4, 0x30});
    e.bitOr(regs.weights, regs.weights, regs.temps[0]);
  }
};

// Address of the plane of 2-bit fields that sub-block `sub` of Q2_K or Q3_K lies in, and the bit it starts at.
RegExp twoBitPlane(const RegExp &fields, int sub) { return fields + size_t(sub / 4 * 32); }
int twoBitStart(int sub) { return sub % 4 * 2; }

class Q2KDecoder : public SixteenScalesDecoder {
public:
  Q2KDecoder(Emitter &emitter, const KtTypeInfo &format) : SixteenScalesDecoder(emitter, format) {
    offsetKind = Offset::Subtracted;
  }

  void emitScales(const DecodeRegisters &regs, const RegExp &row, int) override {
    for (int part = 0; part < parts(); ++part) {
      e.vpmovzxbd(regs.scale[part], e.ptr[row + size_t(8 * part)]);
      e.vpsrld(regs.offset[part], regs.scale[part], 4);
      e.bitAnd(regs.scale[part], regs.scale[part], e.splat(15u));
    }
    scaleBy(regs.scale, regs.temps[0], row + 80);
    scaleBy(regs.offset, regs.temps[0], row + 82);
  }

  void emitWeights(const DecodeRegisters &regs, const RegExp &row, int group, int) override {
    const int first = firstSub(e, group);
    emitField(e, regs.weights, twoBitPlane(row + 16, first),
              {{twoBitStart(first), twoBitStart(first) + 2}, 0, 3});
  }
};

class Q3KDecoder : public SixteenScalesDecoder {
public:
  Q3KDecoder(Emitter &emitter, const KtTypeInfo &format) : SixteenScalesDecoder(emitter, format) {
    setMultiple(-4);
  }

  // 6-bit scales, biased by 32: low nibbles of bytes 0-7, then their high nibbles; pairs of high bits in bytes
  // 8-11.
  void emitScales(const DecodeRegisters &regs, const RegExp &row, int) override {
    const Emitter::Xmm x = Emitter::xmmOf(regs.temps[0]), y = Emitter::xmmOf(regs.temps[1]);
    e.vpbroadcastq(x, e.qword[row + 96]);
    e.vpsrlvq(x, x, e.table(std::array<uint64_t, 2>{0, 4}));
    e.vpand(x, x, e.splat<uint8_t>(15));
    e.vpbroadcastd(y, e.dword[row + 104]);
    e.vpsrlvd(y, y, e.table(std::array<uint32_t, 4>{0, 2, 4, 6}));
    e.vpand(y, y, e.splat<uint8_t>(3));
    e.vpsllw(y, y, 4);
    e.vpor(x, x, y);
    e.vpsubb(x, x, e.splat<uint8_t>(32));
    e.vpmovsxbd(regs.scale[0], x);
    if (!e.wide()) {
      e.vpsrldq(x, x, 8);
      e.vpmovsxbd(regs.scale[1], x);
    }
    scaleBy(regs.scale, regs.temps[0], row + 108);
  }

  void emitWeights(const DecodeRegisters &regs, const RegExp &row, int group, int) override {
    const int first = firstSub(e, group);
    emitField(e, regs.weights, twoBitPlane(row + 32, first),
              {{twoBitStart(first), twoBitStart(first) + 2}, 0, 3});
    emitField(e, regs.temps[0], row, {{first, first + 1}, 2, 4});
    e.bitOr(regs.weights, regs.weights, regs.temps[0]);
  }
};

} // namespace

std::unique_ptr<BlockDecoder> makeKQuantDecoder(Emitter &emitter, const KtTypeInfo &format) {
  switch (format.id) {
  case KT_TYPE_Q2_K:
    return std::make_unique<Q2KDecoder>(emitter, format);
  case KT_TYPE_Q3_K:
    return std::make_unique<Q3KDecoder>(emitter, format);
  case KT_TYPE_Q4_K:
  case KT_TYPE_Q5_K:
    return std::make_unique<Q45KDecoder>(emitter, format);
  case KT_TYPE_Q6_K:
    return std::make_unique<Q6KDecoder>(emitter, format);
  default:
    return nullptr;
  }
}

} // namespace ktc::x64
