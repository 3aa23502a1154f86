// Integer scales of the K-quants: see block_header.h.
#include "templates/x64/quant/block_header.h"

namespace ktc::x64 {

namespace {

using Vec = BlockHeader::Vec;
using RegExp = Xbyak::RegExp;

constexpr uint8_t zeroByte = 0x80; // as an index of vpshufb

// Q4_K and Q5_K: eight 6-bit scales and minima in 12 bytes.
class Q45KHeader : public BlockHeader {
public:
  using BlockHeader::BlockHeader;

  void emit(const Registers &regs, const RegExp &row, int rows, int64_t rowBytes) override {
    const Vec &x = regs.temps[0], &y = regs.temps[1];
    // d, dmin and three dwords: A (scales 0-3 and the high bits of scales 4-7), B (the same for minima), C (low
    // nibbles of scales 4-7, of minima 4-7).
    gather(x, row, 0, rows, rowBytes);
    e.vpshufd(y, x, 0b10011001); // A B A B
    e.vpshufd(x, x, 0b11111001); // A B C C
    e.vpsrlvd(x, x, e.table(std::array<uint32_t, 16>{0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4}));
    constexpr uint8_t six = 0x3f, four = 0x0f, two = 0x30;
    e.bitAnd(x, x,
             lanesOf({six, six, six, six, six, six, six, six, four, four, four, four, four, four, four, four}));
    e.vpsrld(y, y, 2);
    orMasked(x, y, lanesOf({0, 0, 0, 0, 0, 0, 0, 0, two, two, two, two, two, two, two, two}));
    // bytes: scales 0-3, minima 0-3, scales 4-7, minima 4-7
    constexpr uint8_t z = zeroByte;
    e.vpshufb(regs.scales[0], x, lanesOf({0, z, 1, z, 2, z, 3, z, 8, z, 9, z, 10, z, 11, z}));
    e.vpshufb(regs.minima[0], x, lanesOf({4, z, 4, z, 5, z, 5, z, 6, z, 6, z, 7, z, 7, z}));
    e.vpshufb(regs.minima[1], x, lanesOf({12, z, 12, z, 13, z, 13, z, 14, z, 14, z, 15, z, 15, z}));
  }
};

class Q2KHeader : public BlockHeader {
public:
  Q2KHeader(Emitter &emitter, const KtTypeInfo &format) : BlockHeader(emitter, format) {
    perSixteen = true;
    factorOffset = 80;
  }

  // A byte per 16 weights: the scale in the low nibble, the minimum in the high one.
  void emit(const Registers &regs, const RegExp &row, int rows, int64_t rowBytes) override {
    const Vec &x = regs.temps[0], &y = regs.temps[1];
    gather(x, row, 0, rows, rowBytes);
    e.vpsrlw(y, x, 4);
    e.bitAnd(x, x, e.splat<uint8_t>(15));
    e.bitAnd(y, y, e.splat<uint8_t>(15));
    extend(regs.scales, x);
    extend(regs.minima, y);
  }
};

// Formats whose weights have a constant offset: w = d * s * (u - multiple), so minima are the scales.
class OffsetHeader : public BlockHeader {
public:
  OffsetHeader(Emitter &emitter, const KtTypeInfo &format, float multiple, size_t factors, int half)
      : BlockHeader(emitter, format) {
    perSixteen = true;
    factorOffset = factors;
    dHalf = mHalf = half;
    minimaMultiple = multiple;
  }

protected:
  void finish(const Registers &regs, const Vec &bytes) {
    extend(regs.scales, bytes);
    for (int i : {0, 1})
      e.moveInt(regs.minima[i], regs.scales[i]);
  }
};

class Q6KHeader : public OffsetHeader {
public:
  Q6KHeader(Emitter &emitter, const KtTypeInfo &format) : OffsetHeader(emitter, format, 32, 206, 1) {}

  void emit(const Registers &regs, const RegExp &row, int rows, int64_t rowBytes) override {
    gather(regs.temps[0], row, 192, rows, rowBytes);
    finish(regs, regs.temps[0]);
  }
};

class Q3KHeader : public OffsetHeader {
public:
  Q3KHeader(Emitter &emitter, const KtTypeInfo &format) : OffsetHeader(emitter, format, 4, 106, 1) {}

  // 6-bit scales, biased by 32: low nibbles of bytes 0-7, then their high nibbles; pairs of high bits in bytes
  // 8-11. The 12 bytes at 96 are read from 94 on, to end inside the block.
  void emit(const Registers &regs, const RegExp &row, int rows, int64_t rowBytes) override {
    const Vec &x = regs.temps[0], &y = regs.temps[1];
    gather(y, row, 94, rows, rowBytes);
    e.vpshufb(x, y, lanesOf({2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5, 6, 7, 8, 9}));
    e.vpshufb(y, y, lanesOf({10, 11, 12, 13, 10, 11, 12, 13, 10, 11, 12, 13, 10, 11, 12, 13}));
    e.vpsrlvq(x, x, e.table(std::array<uint64_t, 8>{0, 4, 0, 4, 0, 4, 0, 4}));
    e.bitAnd(x, x, e.splat<uint8_t>(15));
    e.vpsrlvd(y, y, e.table(std::array<uint32_t, 16>{0, 2, 4, 6, 0, 2, 4, 6, 0, 2, 4, 6, 0, 2, 4, 6}));
    e.vpsllw(y, y, 4);
    orMasked(x, y, e.splat<uint8_t>(0x30));
    e.vpsubb(x, x, e.splat<uint8_t>(32));
    finish(regs, x);
  }
};

// Eight 6-bit scales, biased by 32: low nibbles in bytes 4-7, pairs of high bits in the word at byte 2.
class IQ4_XSHeader : public BlockHeader {
public:
  IQ4_XSHeader(Emitter &emitter, const KtTypeInfo &format) : BlockHeader(emitter, format) {
    mHalf = 0;
    minimaMultiple = e.wide() ? 128 : 0; // narrow code has signed weights
  }

  // Multiplications shift each word by its own amount.
  void emit(const Registers &regs, const RegExp &row, int rows, int64_t rowBytes) override {
    const Vec &x = regs.temps[0], &y = regs.temps[1], &s = regs.scales[0];
    gather(x, row, 0, rows, rowBytes);
    constexpr uint8_t z = zeroByte;
    e.vpshufb(y, x, lanesOf({2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3}));
    e.vpshufb(x, x, lanesOf({4, z, 4, z, 5, z, 5, z, 6, z, 6, z, 7, z, 7, z}));
    e.vpmullw(x, x, e.splat(uint32_t(0x00010010))); // nibble to bits 4-7: even words low, odd words high
    e.vpsrlw(x, x, 4);
    e.bitAnd(x, x, e.splat<uint16_t>(15));
    std::array<uint16_t, 32> shifts;
    for (int i = 0; i < 32; ++i)
      shifts[i] = static_cast<uint16_t>(1u << (14 - 2 * (i % 8)));
    e.vpmullw(y, y, e.table(shifts));
    e.vpsrlw(y, y, 10); // the two bits at 4 and 5
    orMasked(x, y, e.splat<uint16_t>(0x30));
    e.vpsubw(s, x, e.splat<uint16_t>(32));
    if (minimaMultiple == 0)
      return;
    e.vpunpcklwd(regs.minima[0], s, s);
    e.vpunpckhwd(regs.minima[1], s, s);
  }
};

} // namespace

void BlockHeader::gather(const Vec &dst, const RegExp &row, size_t offset, int rows, int64_t rowBytes) {
  e.vmovdqu(Emitter::xmmOf(dst), e.ptr[row + offset]);
  for (int r = 1; r < rows; ++r)
    e.vinserti32x4(Emitter::zmmOf(dst), Emitter::zmmOf(dst),
                   e.ptr[row + (size_t(r) * static_cast<size_t>(rowBytes) + offset)], static_cast<uint8_t>(r));
}

Xbyak::Address BlockHeader::lanesOf(const std::array<uint8_t, 16> &bytes) {
  std::array<uint8_t, 64> all;
  for (size_t i = 0; i < 64; ++i)
    all[i] = bytes[i % 16];
  return e.constant(all);
}

void BlockHeader::orMasked(const Vec &dst, const Vec &other, const Xbyak::Address &mask) {
  if (e.wide()) {
    e.vpternlogd(dst, other, mask, 0xf8); // a | (b & c)
  } else {
    e.vpand(other, other, mask);
    e.vpor(dst, dst, other);
  }
}

// Each byte goes to the upper half of a word, from where it is shifted down with its sign.
void BlockHeader::extend(const Vec *dst, const Vec &src) {
  e.vpunpcklbw(dst[0], src, src);
  e.vpunpckhbw(dst[1], src, src);
  for (int i : {0, 1})
    e.vpsraw(dst[i], dst[i], 8);
}

std::unique_ptr<BlockHeader> makeBlockHeader(Emitter &emitter, const KtTypeInfo &format) {
  switch (format.id) {
  case KT_TYPE_Q2_K:
    return std::make_unique<Q2KHeader>(emitter, format);
  case KT_TYPE_Q3_K:
    return std::make_unique<Q3KHeader>(emitter, format);
  case KT_TYPE_Q4_K:
  case KT_TYPE_Q5_K:
    return std::make_unique<Q45KHeader>(emitter, format);
  case KT_TYPE_Q6_K:
    return std::make_unique<Q6KHeader>(emitter, format);
  case KT_TYPE_IQ4_XS:
    return std::make_unique<IQ4_XSHeader>(emitter, format);
  default:
    return nullptr;
  }
}

} // namespace ktc::x64
