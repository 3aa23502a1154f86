// Parts common to the lane decoders, and those of the K-quants: see lane_decoder.h.
#include "templates/x64/quant/lane_decoder.h"

#include "templates/param_check.h"

namespace ktc::x64 {

namespace {

using Vec = Emitter::Vec;

// Q4_K and Q5_K: a chunk of 32 bytes has sub 2c in its low, 2c + 1 in its high nibbles; bit j of the 32 bytes
// before them is the fifth bit of sub j.
class Q45KLanes : public LaneDecoder {
public:
  using LaneDecoder::LaneDecoder;

  void emitConstants() override {
    e.vmovdqu32(e.zmmOf(mask()), e.splat<uint8_t>(15));
    e.vmovdqu32(e.zmmOf(other()), e.splat<uint8_t>(16));
  }

  void emitStep(const LaneRows &rows, int step, int) override {
    const bool hasFifthBit = format.id == KT_TYPE_Q5_K;
    if (hasFifthBit && step == 0)
      pieces(kept(0), kept(1), rows, 16);
    pieces(u(0), u(1), rows, size_t(hasFifthBit ? 48 : 16) + size_t(step) * 32);
    nibbles(u(0), u(2));
    nibbles(u(1), u(3));
    for (int i = 0; hasFifthBit && i < 4; ++i)
      mergeBits(u(i), kept(i % 2), 4 - (2 * step + i / 2));
  }
};

// Halves of 128 weights: 64 bytes of nibbles, where sub a and sub a + 2 share 32 bytes, and 32 bytes of pairs
// of bits.
class Q6KLanes : public LaneDecoder {
public:
  using LaneDecoder::LaneDecoder;

  void emitConstants() override {
    e.vmovdqu32(e.zmmOf(mask()), e.splat<uint8_t>(15));
    e.vmovdqu32(e.zmmOf(other()), e.splat<uint8_t>(0x30));
  }
  int sub(int step, int which) const override { return step / 2 * 4 + step % 2 + 2 * which; }

  void emitStep(const LaneRows &rows, int step, int) override {
    const int half = step / 2, plane = step % 2;
    if (plane == 0)
      pieces(kept(0), kept(1), rows, 128 + size_t(half) * 32);
    pieces(u(0), u(1), rows, size_t(half) * 64 + size_t(plane) * 32);
    nibbles(u(0), u(2));
    nibbles(u(1), u(3));
    for (int i = 0; i < 4; ++i)
      mergeBits(u(i), kept(i % 2), 4 - 2 * (plane + i / 2 * 2));
  }
};

// Q2_K and Q3_K: four subs of a half share 32 bytes of pairs of bits; Q3_K has a third bit like Q5_K its fifth.
class Q23KLanes : public LaneDecoder {
public:
  using LaneDecoder::LaneDecoder;

  void emitConstants() override {
    e.vmovdqu32(e.zmmOf(mask()), e.splat<uint8_t>(3));
    e.vmovdqu32(e.zmmOf(other()), e.splat<uint8_t>(4));
  }

  void emitStep(const LaneRows &rows, int step, int) override {
    const bool hasThirdBit = format.id == KT_TYPE_Q3_K;
    if (hasThirdBit && step == 0)
      pieces(kept(2), kept(3), rows, 0);
    if (step % 2 == 0)
      pieces(kept(0), kept(1), rows, size_t(hasThirdBit ? 32 : 16) + size_t(step / 2) * 32);
    for (int i = 0; i < 4; ++i) {
      const int shift = 2 * (step % 2 * 2 + i / 2);
      if (shift > 0)
        e.vpsrlw(u(i), kept(i % 2), static_cast<uint8_t>(shift));
      e.vpandd(u(i), shift > 0 ? u(i) : kept(i % 2), mask());
      if (hasThirdBit)
        mergeBits(u(i), kept(2 + i % 2), 2 - (2 * step + i / 2));
    }
  }
};

class IQ4_XSLanes : public LaneDecoder {
public:
  IQ4_XSLanes(Emitter &emitter, const KtTypeInfo &format) : LaneDecoder(emitter, format) { eightBits = true; }

  void emitConstants() override {
    e.vmovdqu32(e.zmmOf(mask()), e.splat<uint8_t>(15));
    e.vmovdqu32(e.zmmOf(other()), nibbleTable(e, format, 128));
  }

  void emitStep(const LaneRows &rows, int step, int) override {
    pieces(u(0), u(2), rows, 8 + size_t(step) * 32);
    nibbleValues(u(0), u(1));
    nibbleValues(u(2), u(3));
  }
};

} // namespace

void LaneDecoder::piece(const Vec &dst, const LaneRows &rows, size_t offset) {
  e.vmovdqu(Emitter::xmmOf(dst), e.ptr[rows.at(0, offset)]);
  for (int row = 1; row < 4; ++row)
    e.vinserti32x4(Emitter::zmmOf(dst), Emitter::zmmOf(dst), e.ptr[rows.at(row, offset)],
                   static_cast<uint8_t>(row));
}

// Pairs of rows in a register, of which the even and the odd lanes are then brought together.
void LaneDecoder::pieces(const Vec &low, const Vec &high, const LaneRows &rows, size_t offset) {
  const Vec pairs[2] = {low, e.vec(4)};
  for (int pair : {0, 1}) {
    e.vmovdqu(Emitter::ymmOf(pairs[pair]), e.ptr[rows.at(2 * pair, offset)]);
    e.vinserti64x4(Emitter::zmmOf(pairs[pair]), Emitter::zmmOf(pairs[pair]),
                   e.ptr[rows.at(2 * pair + 1, offset)], 1);
  }
  e.vshufi32x4(high, low, pairs[1], 0b11011101);
  e.vshufi32x4(low, low, pairs[1], 0b10001000);
}

void LaneDecoder::sortHalves(const Vec &first, const Vec &second) {
  const Vec low = e.vec(18);
  e.vshuff32x4(low, first, second, 0b10001000);
  e.vshuff32x4(second, first, second, 0b11011101);
  e.vmovaps(first, low);
}

void emitHighNibbles(Emitter &e, const Emitter::Vec &dst, const Emitter::Vec &src) {
  // Byte 7 - i of the matrix has the bits that bit i of the result is the sum of.
  e.vgf2p8affineqb(dst, src, e.splat(uint64_t(0x1020408000000000)), 0);
}

void LaneDecoder::nibbles(const Vec &low, const Vec &high) {
  if (e.hasByteMaps()) {
    emitHighNibbles(e, high, low);
    e.vpandd(low, low, mask());
    return;
  }
  e.vpsrlw(high, low, 4);
  e.vpandd(low, low, mask());
  e.vpandd(high, high, mask());
}

// vpermb takes six bits of an index; with the table four times over the upper two do not matter.
void LaneDecoder::nibbleValues(const Vec &low, const Vec &high) {
  if (!e.hasByteMaps()) {
    nibbles(low, high);
    e.vpshufb(low, other(), low);
    e.vpshufb(high, other(), high);
    return;
  }
  e.vpsrlw(high, low, 4);
  e.vpermb(low, low, other());
  e.vpermb(high, high, other());
}

void LaneDecoder::mergeBits(const Vec &dst, const Vec &bits, int turn) {
  Vec turned = bits;
  if (turn != 0) {
    turned = e.vec(5);
    e.vprold(turned, bits, static_cast<uint8_t>((turn + 32) % 32));
  }
  e.vpternlogd(dst, turned, other(), 0xf8); // a | (b & c)
}

std::unique_ptr<LaneDecoder> makeKQuantLanes(Emitter &emitter, const KtTypeInfo &format) {
  switch (format.id) {
  case KT_TYPE_Q2_K:
  case KT_TYPE_Q3_K:
    return std::make_unique<Q23KLanes>(emitter, format);
  case KT_TYPE_Q4_K:
  case KT_TYPE_Q5_K:
    return std::make_unique<Q45KLanes>(emitter, format);
  case KT_TYPE_Q6_K:
    return std::make_unique<Q6KLanes>(emitter, format);
  case KT_TYPE_IQ4_XS:
    return std::make_unique<IQ4_XSLanes>(emitter, format);
  default:
    return nullptr;
  }
}

std::unique_ptr<LaneDecoder> makeLaneDecoder(Emitter &emitter, const KtTypeInfo &format) {
  for (auto make : {makeKQuantLanes, makeSmallBlockLanes})
    if (std::unique_ptr<LaneDecoder> decoder = make(emitter, format))
      return decoder;
  throw ParamError(std::string(format.name) + " has no lane decoder");
}

} // namespace ktc::x64
