// Lane decoders of the formats with blocks of 32 weights: see lane_decoder.h.
//
// The scales of a row are permuted out of as few loads as reach them all; two rows make one vector.
#include "templates/x64/quant/lane_decoder.h"

#include <algorithm>
#include <vector>

namespace ktc::x64 {

namespace {

using Vec = Emitter::Vec;

class SmallBlockLanes : public LaneDecoder {
public:
  using LaneDecoder::LaneDecoder;

  void emitScales(const LaneRows &rows, int blocks, const Vec *scales, const Vec *offsets) override {
    for (int pair : {0, 1}) {
      const Vec fields = e.vec(18), second = e.vec(19);
      emitFields(fields, rows, 2 * pair, blocks);
      emitFields(second, rows, 2 * pair + 1, blocks);
      if (separateOffset) {
        // d in the lower, m in the upper half of each dword.
        e.vinserti64x4(Emitter::zmmOf(fields), Emitter::zmmOf(fields), Emitter::ymmOf(second), 1);
        e.vpsrld(second, fields, 16);
        e.vpmovdw(Emitter::ymmOf(second), Emitter::zmmOf(second));
        e.vcvtph2ps(offsets[pair], Emitter::ymmOf(second));
        e.vpmovdw(Emitter::ymmOf(fields), Emitter::zmmOf(fields));
      } else {
        e.vinserti32x4(Emitter::ymmOf(fields), Emitter::ymmOf(fields), Emitter::xmmOf(second), 1);
      }
      emitConversion(scales[pair], fields);
    }
    sortHalves(scales[0], scales[1]);
    if (separateOffset)
      sortHalves(offsets[0], offsets[1]);
  }

protected:
  // Whether words are permuted as bytes, which is one operation instead of two.
  bool permutesBytes() const { return !separateOffset && e.hasByteMaps(); }
  // Bit i of eight at place 2 i.
  static uint64_t spread(uint64_t bits) {
    uint64_t result = 0;
    for (int i = 0; i < 8; ++i)
      result |= (bits >> i & 1) << (2 * i);
    return result;
  }
  size_t start(int block) const { return size_t(block) * format.blockBytes; }

  // Blocks of a span whose fields lie in one load of 64 bytes that ends inside the span.
  struct Load {
    int first, count;
    size_t at;
  };
  std::vector<Load> loads() const {
    const size_t field = separateOffset ? 4 : 2, end = start(8);
    std::vector<Load> result;
    for (int block = 0; block < 8; block += result.back().count) {
      const size_t at = std::min(wordAt(block), end - 64);
      int count = 1;
      while (block + count < 8 && wordAt(block + count) + field <= at + 64)
        ++count;
      result.push_back({block, count, at});
    }
    return result;
  }

  // Sets kept(0) to the places of the fields in their loads, and a mask of lanes for each load.
  void emitFieldConstants() {
    static constexpr int masks[] = {1, 2, 3, 5};
    const size_t field = separateOffset ? 4 : 2;
    std::array<uint8_t, 64> index{};
    int number = 0;
    for (const Load &load : loads()) {
      for (int block = load.first; block < load.first + load.count; ++block) {
        const size_t place = wordAt(block) - load.at;
        for (size_t byte = 0; byte < (permutesBytes() ? field : 1); ++byte)
          index[size_t(block) * field + byte] =
              static_cast<uint8_t>(permutesBytes() ? place + byte : place / field);
      }
      const uint64_t lanes = ((1u << load.count) - 1) << load.first;
      e.mov(e.eax, static_cast<uint32_t>(permutesBytes() ? 3 * spread(lanes) : lanes));
      e.kmovd(Xbyak::Opmask(masks[number++]), e.eax);
    }
    e.vmovdqu32(e.zmmOf(kept(0)), e.constant(index));
  }

  // dst = the fields (words, or dwords with a minimum) of the blocks of a row; those of absent blocks are 0.
  void emitFields(const Vec &dst, const LaneRows &rows, int row, int blocks) {
    static constexpr int masks[] = {1, 2, 3, 5};
    if (blocks < 8)
      return emitFewFields(dst, rows, row, blocks);
    int number = 0;
    for (const Load &load : loads()) {
      Vec masked = dst | Xbyak::Opmask(masks[number]);
      if (number++ == 0)
        masked = masked | e.T_z;
      const Xbyak::Address bytes = e.ptr[rows.at(row, load.at)];
      if (separateOffset)
        e.vpermd(masked, kept(0), bytes);
      else
        permutesBytes() ? e.vpermb(masked, kept(0), bytes) : e.vpermw(masked, kept(0), bytes);
    }
  }

  void emitFewFields(const Vec &dst, const LaneRows &rows, int row, int blocks) {
    const Emitter::Xmm low = Emitter::xmmOf(dst), high(4);
    e.zero(low);
    e.zero(high);
    for (int block = 0; block < blocks; ++block) {
      const RegExp at = rows.at(row, wordAt(block));
      if (!separateOffset) {
        e.vpinsrw(low, low, e.word[at], static_cast<uint8_t>(block));
      } else {
        const Emitter::Xmm half = block < 4 ? low : high;
        e.vpinsrd(half, half, e.dword[at], static_cast<uint8_t>(block % 4));
      }
    }
    if (separateOffset)
      e.vinserti32x4(Emitter::ymmOf(dst), Emitter::ymmOf(dst), high, 1);
  }

  // Offset of the field of a block, or of the aligned word that has it.
  virtual size_t wordAt(int block) const { return start(block); }
  // S from sixteen fields.
  virtual void emitConversion(const Vec &scale, const Vec &fields) {
    e.vcvtph2ps(scale, Emitter::ymmOf(fields));
  }
};

class Q8_0Lanes : public SmallBlockLanes {
public:
  Q8_0Lanes(Emitter &emitter, const KtTypeInfo &format) : SmallBlockLanes(emitter, format) {
    offsetMultiple = -128;
  }
  void emitConstants() override {
    e.vmovdqu32(e.zmmOf(mask()), e.splat<uint8_t>(0x80));
    emitFieldConstants();
  }
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
    emitFieldConstants();
  }

  void emitStep(const LaneRows &rows, int step, int blocks) override {
    for (int which = 0; which < 2 && 2 * step + which < blocks; ++which) {
      const int block = 2 * step + which;
      const Vec low = u(2 * which), high = u(2 * which + 1);
      piece(low, rows, start(block) + quantsOffset);
      hasTable ? nibbleValues(low, high) : nibbles(low, high);
      for (int i = 0; hasFifthBit && i < 2; ++i) {
        emitFifthBits(rows, start(block) + bitsOffset + 2 * size_t(i));
        e.vpaddb(u(2 * which + i) | e.k4, u(2 * which + i), other());
      }
    }
  }

protected:
  // k4 = the words at `offset` of all rows, by general registers, whose ports are idle otherwise.
  void emitFifthBits(const LaneRows &rows, size_t offset) {
    e.movzx(e.eax, e.word[rows.at(0, offset)]);
    for (int row = 1; row < 4; ++row) {
      e.movzx(e.edi, e.word[rows.at(row, offset)]);
      e.shl(e.rdi, static_cast<uint8_t>(16 * row));
      e.or_(e.rax, e.rdi);
    }
    e.kmovq(e.k4, e.rax);
  }

  bool hasFifthBit, hasTable = false;
  size_t bitsOffset, quantsOffset;
};

class TableLanes : public NibbleLanes {
public:
  TableLanes(Emitter &emitter, const KtTypeInfo &format) : NibbleLanes(emitter, format) {
    isFp4 = format.id == KT_TYPE_MXFP4;
    hasTable = true;
    quantsOffset = isFp4 ? 1 : 2;
    bias = isFp4 ? 12 : 128;
    offsetMultiple = static_cast<float>(-bias);
  }

  void emitConstants() override {
    e.vmovdqu32(e.zmmOf(mask()), e.splat<uint8_t>(15));
    e.vmovdqu32(e.zmmOf(other()), nibbleTable(e, format, bias));
    mapsExponents() ? emitExponentConstants() : emitFieldConstants();
  }

  void emitScales(const LaneRows &rows, int blocks, const Vec *scales, const Vec *offsets) override {
    if (!mapsExponents() || blocks < 8)
      return NibbleLanes::emitScales(rows, blocks, scales, offsets);
    // Two loads reach the bytes of a row; they become dwords at once.
    static constexpr int masks[] = {1, 2, 3, 5};
    for (int row = 0; row < 4; ++row)
      for (int half = 0; half < 2; ++half) {
        const Vec exponents = e.vec(4);
        const int number = row % 2 * 2 + half;
        Vec masked = exponents | Xbyak::Opmask(masks[number]);
        e.vpermb(number == 0 ? masked | e.T_z : masked, kept(0), e.ptr[rows.at(row, exponentLoad(half))]);
        if (number == 3)
          emitPowers(scales[row / 2], exponents);
      }
    sortHalves(scales[0], scales[1]);
  }

protected:
  // Whether the exponents of a span become dwords by vpermb.
  bool mapsExponents() const { return isFp4 && e.hasByteMaps(); }
  // Where the load for the exponents of blocks 4 half to 4 half + 3 begins; it ends inside the span.
  size_t exponentLoad(int half) const { return half == 0 ? 0 : std::min(start(4), start(8) - 64); }

  // A mask of bytes for either half of the blocks of an even and an odd row, and the places of the exponents.
  void emitExponentConstants() {
    static constexpr int masks[] = {1, 2, 3, 5};
    std::array<uint8_t, 64> index{};
    for (int lane = 0; lane < 16; ++lane)
      index[size_t(lane) * 4] = static_cast<uint8_t>(start(lane % 8) - exponentLoad(lane % 8 / 4));
    for (int number = 0; number < 4; ++number) {
      e.mov(e.rax, uint64_t(0x1111) << (16 * number));
      e.kmovq(Xbyak::Opmask(masks[number]), e.rax);
    }
    e.vmovdqu32(e.zmmOf(kept(0)), e.constant(index));
  }

  size_t wordAt(int block) const override { return start(block) / 2 * 2; }

  // The byte e means 2^(e-128) here (the table is doubled): exponent field e - 1, or a denormal for e < 2. It
  // is the upper byte of the words of odd blocks.
  void emitConversion(const Vec &scale, const Vec &fields) override {
    if (!isFp4)
      return NibbleLanes::emitConversion(scale, fields);
    const Vec exponent = e.vec(4);
    e.vpmovzxwd(exponent, Emitter::ymmOf(fields));
    e.vpsrlvd(exponent, exponent,
              e.table(std::array<uint32_t, 16>{0, 8, 0, 8, 0, 8, 0, 8, 0, 8, 0, 8, 0, 8, 0, 8}));
    e.vpandd(exponent, exponent, e.splat(255u));
    emitPowers(scale, exponent);
  }

  // scale = what the bytes in the dwords of `exponent` (vec(4)) mean.
  void emitPowers(const Vec &scale, const Vec &exponent) {
    const Vec denormal = e.vec(5);
    e.vmovdqu32(e.zmmOf(denormal), e.splat(0x00200000u));
    e.vpcmpud(e.k4, exponent, e.splat(2u), 1); // less than
    e.vpslld(scale, exponent, 23);
    e.vpsubd(scale, scale, e.splat(0x00800000u));
    e.vpsllvd(scale | e.k4, denormal, exponent);
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
