// Decoders of the formats whose nibbles index a table of values: IQ4_NL, IQ4_XS, MXFP4.
//
// The table holds value + offset, so that bytes are unsigned; without VNNI the IQ4 tables stay signed, because
// sums of two products with bytes above 127 would saturate.
#include "templates/x64/quant/decoder.h"

namespace ktc::x64 {

namespace {

using Vec = Emitter::Vec;

constexpr int8_t iq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr int8_t fp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

class TableDecoder : public BlockDecoder {
public:
  TableDecoder(Emitter &emitter, const KtTypeInfo &format) : BlockDecoder(emitter, format) {
    isFp4 = format.id == KT_TYPE_MXFP4;
    // IQ4_XS is a K-quant, whose narrow loop sums pairs in 16 bits.
    isSigned = !isFp4 && (!e.hasVnni() || (!e.wide() && format.id == KT_TYPE_IQ4_XS));
    eightBits = !isFp4 && !isSigned;
    bias = isSigned ? 0 : isFp4 ? 12 : 128;
    if (!isSigned)
      setMultiple(static_cast<float>(-bias));
  }

  void emitConstants(const DecodeRegisters &regs) override {
    const int8_t *source = isFp4 ? fp4Values : iq4Values;
    std::array<uint8_t, 64> values;
    for (int i = 0; i < 64; ++i)
      values[i] = static_cast<uint8_t>(source[i % 16] + bias);
    e.vmovups(regs.fixed, e.constant(values));
    emitHalfMasks(e);
  }

  void emitWeights(const DecodeRegisters &regs, const RegExp &row, int group, int blocks) override {
    const int first = e.wide() ? 2 * group : group;
    emitNibbles16(e, regs.weights, field(row, first), field(row, first + 1), first + 1 < blocks);
    e.vpshufb(regs.weights, regs.fixed, regs.weights);
  }

protected:
  // Address of the 16 bytes of nibbles of sub-block `index`.
  virtual RegExp field(const RegExp &row, int index) const = 0;

  // Doubles the 8 scales in `scales` when wide, else moves them.
  void placeScales(const DecodeRegisters &regs, const Vec &scales) {
    if (e.wide()) {
      e.vmovups(regs.scale[0], doublingIndex(e));
      e.vpermps(regs.scale[0], regs.scale[0], scales);
    } else {
      e.vmovaps(regs.scale[0], scales);
    }
  }

private:
  bool isFp4;
  int bias;
};

class IQ4_NLDecoder : public TableDecoder {
public:
  using TableDecoder::TableDecoder;

  void emitScales(const DecodeRegisters &regs, const RegExp &row, int blocks) override {
    Emitter::Xmm halves = Emitter::xmmOf(regs.temps[0]);
    e.zero(halves);
    for (int i = 0; i < blocks; ++i)
      e.vpinsrw(halves, halves, e.word[row + size_t(i) * format.blockBytes], i);
    e.vcvtph2ps(Emitter::ymmOf(halves), halves);
    placeScales(regs, regs.temps[0]);
  }

protected:
  RegExp field(const RegExp &row, int index) const override {
    return row + size_t(index) * format.blockBytes + 2;
  }
};

class MXFP4Decoder : public TableDecoder {
public:
  using TableDecoder::TableDecoder;

  // The byte e means 2^(e-128) here (the table is doubled): exponent field e - 1, or a denormal for e < 2.
  void emitScales(const DecodeRegisters &regs, const RegExp &row, int blocks) override {
    Emitter::Xmm bytes = Emitter::xmmOf(regs.temps[0]);
    const Emitter::Ymm t0 = Emitter::ymmOf(regs.temps[0]), t1 = Emitter::ymmOf(regs.temps[1]),
                       t2 = Emitter::ymmOf(regs.temps[2]);
    e.zero(bytes);
    for (int i = 0; i < blocks; ++i)
      e.vpinsrb(bytes, bytes, e.byte[row + size_t(i) * format.blockBytes], i);
    e.vpmovzxbd(t0, bytes);
    e.vmovdqu(t1, e.splat(0x00200000u));
    e.vpsllvd(t1, t1, t0);
    e.vmovdqu(t2, e.splat(2u));
    e.vpcmpgtd(t2, t2, t0);
    e.vpslld(t0, t0, 23);
    e.vpsubd(t0, t0, e.splat(0x00800000u));
    e.vpblendvb(t0, t0, t1, t2);
    if (blocks < spanBlocks)
      clearAbsent(t0, blocks);
    placeScales(regs, regs.temps[0]);
  }

protected:
  RegExp field(const RegExp &row, int index) const override {
    return row + size_t(index) * format.blockBytes + 1;
  }

private:
  // e = 0 of an absent block is a tiny scale, not zero.
  void clearAbsent(const Emitter::Ymm &scales, int blocks) {
    std::array<uint32_t, 8> mask{};
    for (int i = 0; i < blocks; ++i)
      mask[i] = 0xffffffffu;
    e.vpand(scales, scales, e.table(mask));
  }
};

class IQ4_XSDecoder : public TableDecoder {
public:
  using TableDecoder::TableDecoder;

  // 6-bit scales: low nibbles in bytes 4-7, high pairs of bits in the word at byte 2, biased by 32.
  void emitScales(const DecodeRegisters &regs, const RegExp &row, int) override {
    const Emitter::Ymm t0 = Emitter::ymmOf(regs.temps[0]), t1 = Emitter::ymmOf(regs.temps[1]);
    e.vpbroadcastd(t0, e.dword[row + 4]);
    e.vpsrlvd(t0, t0, e.table(std::array<uint32_t, 8>{0, 4, 8, 12, 16, 20, 24, 28}));
    e.vpand(t0, t0, e.splat(15u));
    e.vpbroadcastd(t1, e.dword[row]); // the word is the upper half: bit 2i of it goes to bit 4
    e.vpsrlvd(t1, t1, e.table(std::array<uint32_t, 8>{12, 14, 16, 18, 20, 22, 24, 26}));
    e.vpand(t1, t1, e.splat(0x30u));
    e.vpor(t0, t0, t1);
    e.vpsubd(t0, t0, e.splat(32u));
    e.vcvtdq2ps(t0, t0);
    broadcastHalf(regs.temps[1], row);
    e.vmulps(t0, t0, t1);
    placeScales(regs, regs.temps[0]);
  }

protected:
  RegExp field(const RegExp &row, int index) const override { return row + size_t(8 + 16 * index); }
};

} // namespace

std::unique_ptr<BlockDecoder> makeTableDecoder(Emitter &emitter, const KtTypeInfo &format) {
  switch (format.id) {
  case KT_TYPE_IQ4_NL:
    return std::make_unique<IQ4_NLDecoder>(emitter, format);
  case KT_TYPE_IQ4_XS:
    return std::make_unique<IQ4_XSDecoder>(emitter, format);
  case KT_TYPE_MXFP4:
    return std::make_unique<MXFP4Decoder>(emitter, format);
  default:
    return nullptr;
  }
}

} // namespace ktc::x64
