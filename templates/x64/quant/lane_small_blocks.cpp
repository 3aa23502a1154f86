// Lane decoders of the formats with blocks of 32 weights: see lane_decoder.h.
//
// The scales of a span are copied to the frame by general registers, whose ports are idle otherwise, in the
// order the loop wants them: block by block, four rows each.
#include "templates/x64/quant/lane_decoder.h"

#include <algorithm>

namespace ktc::x64 {

namespace {

using Vec = Emitter::Vec;

constexpr size_t offsetsAt = 64, bitsAt = 128; // in the scratch: M, fifth bits

class SmallBlockLanes : public LaneDecoder {
public:
  using LaneDecoder::LaneDecoder;

  void emitGather(const LaneRows &rows, const RegExp &to, int blocks) override {
    scratch = to;
    for (int block = 0; block < blocks; ++block)
      for (int row = 0; row < 4; ++row)
        gatherOne(rows.at(row, start(block)), size_t(4 * block + row));
  }

  void emitScales(const Vec &scale, const Vec &offset, int half) override {
    e.vcvtph2ps(scale, e.ptr[scratch + size_t(half) * 32]);
    if (separateOffset)
      e.vcvtph2ps(offset, e.ptr[scratch + (offsetsAt + size_t(half) * 32)]);
  }

protected:
  size_t start(int block) const { return size_t(block) * format.blockBytes; }
  // Copies the scale of the block at `block` to place `index`.
  virtual void gatherOne(const RegExp &block, size_t index) {
    if (separateOffset) {
      e.mov(e.eax, e.dword[block]);
      e.mov(e.word[scratch + 2 * index], e.ax);
      e.shr(e.eax, 16);
      e.mov(e.word[scratch + (offsetsAt + 2 * index)], e.ax);
    } else {
      e.movzx(e.eax, e.word[block]);
      e.mov(e.word[scratch + 2 * index], e.ax);
    }
  }
};

class Q8_0Lanes : public SmallBlockLanes {
public:
  Q8_0Lanes(Emitter &emitter, const KtTypeInfo &format) : SmallBlockLanes(emitter, format) {
    offsetMultiple = -128;
  }
  void emitConstants() override { e.vmovdqu32(e.zmmOf(mask()), e.splat<uint8_t>(0x80)); }
  void emitStep(const LaneRows &rows, int step, int blocks) override {
    for (int which = 0; which < 2 && 2 * step + which < blocks; ++which) {
      pieces(u(2 * which), u(2 * which + 1), rows, start(2 * step + which) + 2);
      for (int i : {0, 1})
        e.vpxord(u(2 * which + i), u(2 * which + i), mask());
    }
  }
};

// Nibbles, with a fifth bit or a table or neither.
class NibbleLanes : public SmallBlockLanes {
public:
  NibbleLanes(Emitter &emitter, const KtTypeInfo &format) : SmallBlockLanes(emitter, format) {
    hasFifthBit = format.id == KT_TYPE_Q5_0 || format.id == KT_TYPE_Q5_1;
    separateOffset = format.id == KT_TYPE_Q4_1 || format.id == KT_TYPE_Q5_1;
    bitsOffset = separateOffset ? 4 : 2;
    quantsOffset = bitsOffset + (hasFifthBit ? 4 : 0);
    offsetMultiple = separateOffset ? 0 : hasFifthBit ? -16 : -8;
  }

  void emitConstants() override {
    e.vmovdqu32(e.zmmOf(mask()), e.splat<uint8_t>(15));
    e.vmovdqu32(e.zmmOf(other()), e.splat<uint8_t>(16));
  }

  void emitStep(const LaneRows &rows, int step, int blocks) override {
    for (int which = 0; which < 2 && 2 * step + which < blocks; ++which) {
      const int block = 2 * step + which;
      const Vec low = u(2 * which), high = u(2 * which + 1);
      piece(low, rows, start(block) + quantsOffset);
      nibbles(low, high);
      for (int i = 0; hasFifthBit && i < 2; ++i) {
        e.kmovq(e.k4, e.qword[scratch + (bitsAt + size_t(block) * 16 + size_t(i) * 8)]);
        e.vpaddb(u(2 * which + i) | e.k4, u(2 * which + i), other());
      }
    }
  }

protected:
  // Fifth bits: per block those of weights 0-15 of all rows, then those of 16-31.
  void gatherOne(const RegExp &block, size_t index) override {
    SmallBlockLanes::gatherOne(block, index);
    if (!hasFifthBit)
      return;
    const RegExp to = scratch + (bitsAt + index / 4 * 16 + index % 4 * 2);
    e.mov(e.eax, e.dword[block + bitsOffset]);
    e.mov(e.word[to], e.ax);
    e.shr(e.eax, 16);
    e.mov(e.word[to + 8], e.ax);
  }

  bool hasFifthBit;
  size_t bitsOffset, quantsOffset;
};

class TableLanes : public NibbleLanes {
public:
  TableLanes(Emitter &emitter, const KtTypeInfo &format) : NibbleLanes(emitter, format) {
    isFp4 = format.id == KT_TYPE_MXFP4;
    quantsOffset = isFp4 ? 1 : 2;
    bias = isFp4 ? 12 : 128;
    offsetMultiple = static_cast<float>(-bias);
  }

  void emitConstants() override {
    e.vmovdqu32(e.zmmOf(mask()), e.splat<uint8_t>(15));
    e.vmovdqu32(e.zmmOf(other()), nibbleTable(e, format, bias));
  }

  void emitStep(const LaneRows &rows, int step, int blocks) override {
    NibbleLanes::emitStep(rows, step, blocks);
    for (int i = 0; i < std::min(4, 2 * (blocks - 2 * step)); ++i)
      e.vpshufb(u(i), other(), u(i));
  }

  // The byte e means 2^(e-128) here (the table is doubled): exponent field e - 1, or a denormal for e < 2.
  void emitScales(const Vec &scale, const Vec &offset, int half) override {
    if (!isFp4)
      return NibbleLanes::emitScales(scale, offset, half);
    const Vec exponent = e.vec(4), denormal = e.vec(5);
    e.vpmovzxbd(exponent, e.ptr[scratch + size_t(half) * 16]);
    e.vmovdqu32(e.zmmOf(denormal), e.splat(0x00200000u));
    e.vpcmpud(e.k4, exponent, e.splat(2u), 1); // less than
    e.vpslld(scale, exponent, 23);
    e.vpsubd(scale, scale, e.splat(0x00800000u));
    e.vpsllvd(scale | e.k4, denormal, exponent);
  }

protected:
  void gatherOne(const RegExp &block, size_t index) override {
    if (!isFp4)
      return NibbleLanes::gatherOne(block, index);
    e.movzx(e.eax, e.byte[block]);
    e.mov(e.byte[scratch + index], e.al);
  }

private:
  bool isFp4;
  int bias;
};

} // namespace

std::unique_ptr<LaneDecoder> makeSmallBlockLanes(Emitter &emitter, const KtTypeInfo &format) {
  switch (format.id) {
  case KT_TYPE_Q8_0:
    return std::make_unique<Q8_0Lanes>(emitter, format);
  case KT_TYPE_Q4_0:
  case KT_TYPE_Q4_1:
  case KT_TYPE_Q5_0:
  case KT_TYPE_Q5_1:
    return std::make_unique<NibbleLanes>(emitter, format);
  case KT_TYPE_IQ4_NL:
  case KT_TYPE_MXFP4:
    return std::make_unique<TableLanes>(emitter, format);
  default:
    return nullptr;
  }
}

} // namespace ktc::x64
