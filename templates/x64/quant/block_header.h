// Scales of K-quant blocks as integers, for the loop that sums a block of 256 weights in integers.
//
// A block is  w = d * s[j] * u - dm * multiple * m[j]  with u a byte, s and m small integers shared by 16 or 32
// weights, d and dm halves of the block. BlockDecoder (decoder.h) gives u; this gives s, m, d and dm. A header
// is decoded for several rows at once: wide code has one row in each 128-bit lane of a zmm, narrow code one row
// in an xmm. Both run the same instructions.
#pragma once

#include "templates/x64/emitter.h"

#include <memory>

namespace ktc::x64 {

class BlockHeader {
public:
  using RegExp = Xbyak::RegExp;
  using Vec = Emitter::Xmm; // zmm (four rows) when wide, else xmm (one row)

  // Where a header is left, one row to a 128-bit lane. `scales` are int16: s[0..7] and s[8..15] (the second
  // only with a scale per 16). `minima` are int16 per 16 weights, m[0..7] and m[8..15].
  struct Registers {
    Vec scales[2], minima[2], temps[2];
  };

  BlockHeader(Emitter &emitter, const KtTypeInfo &format) : e(emitter), format(format) {}
  virtual ~BlockHeader() = default;

  // Decodes the headers of the block at `row` and those of rows - 1 more blocks, each `rowBytes` further on.
  virtual void emit(const Registers &regs, const RegExp &row, int rows, int64_t rowBytes) = 0;

  bool scalePerSixteen() const { return perSixteen; }
  // Offset of the dword with d and dm, and which of its halves they are.
  size_t factors() const { return factorOffset; }
  int scaleHalf() const { return dHalf; }
  int minimumHalf() const { return mHalf; }
  // The minima of this format count this many times; 0 if there are none.
  float multiple() const { return minimaMultiple; }

protected:
  // dst = 16 bytes at `offset` of every row's block.
  void gather(const Vec &dst, const RegExp &row, size_t offset, int rows, int64_t rowBytes);
  // The same 16 bytes for every lane.
  Xbyak::Address lanesOf(const std::array<uint8_t, 16> &bytes);
  // dst |= other & mask. Clobbers `other`.
  void orMasked(const Vec &dst, const Vec &other, const Xbyak::Address &mask);
  // Signed bytes 0-7 and 8-15 of `src` as int16 in dst[0], dst[1]. `src` may be dst[1].
  void extend(const Vec *dst, const Vec &src);

  Emitter &e;
  const KtTypeInfo &format;
  bool perSixteen = false;
  size_t factorOffset = 0;
  int dHalf = 0, mHalf = 1;
  float minimaMultiple = 1;
};

// Creates the header decoder of a K-quant, null for other formats. `format` must outlive it.
std::unique_ptr<BlockHeader> makeBlockHeader(Emitter &emitter, const KtTypeInfo &format);

} // namespace ktc::x64
