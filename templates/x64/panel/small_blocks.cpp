// Panel decoders of the formats with blocks of 32 weights and a scale in each block, and of q8 activation rows.
//
// The scales of a span lie a block apart. They are copied together with scalar moves, which cost no vector
// instructions; all rows of a panel are copied before the first is used, so that wide loads find them in
// memory.
#include "templates/x64/panel/nibbles.h"
#include "templates/x64/panel/panel_decoder.h"

namespace ktc::x64 {

namespace {

using Zmm = Xbyak::Zmm;
using RegExp = Xbyak::RegExp;

constexpr std::array<int8_t, 16> unsignedNibbles = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr std::array<int8_t, 16> signedNibbles = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};

// zmm `q` = 0 in the lanes of sub-blocks that do not exist.
void emitClearAbsent(Emitter &e, int reg, int quad, int blocks) {
  if (4 * quad + 4 <= blocks)
    return;
  std::array<uint32_t, 16> mask;
  for (int lane = 0; lane < 16; ++lane)
    mask[lane] = 4 * quad + lane % 4 < blocks ? 0xffffffffu : 0;
  e.vandps(Zmm(reg), Zmm(reg), e.table(mask));
}

// Scales in the blocks: a byte, a half, or two halves for scale and minimum.
class BlockScales {
public:
  BlockScales(int blockBytes, int size) : blockBytes(blockBytes), size(size) {}

  void emitGather(Emitter &e, int blocks) const {
    for (int i = 0; i < panelRowGroup; ++i)
      for (int block = 0; block < blocks; ++block) {
        const RegExp from = Xbyak::Reg64(8 + i) + block * blockBytes;
        const RegExp to = e.r13 + (block / 4 * 4 * panelRowGroup + i * 4 + block % 4) * size;
        if (size == 4) {
          e.mov(e.eax, e.dword[from]);
          e.mov(e.dword[to], e.eax);
        } else if (size == 2) {
          e.movzx(e.eax, e.word[from]);
          e.mov(e.word[to], e.ax);
        } else {
          e.movzx(e.eax, e.byte[from]);
          e.mov(e.byte[to], e.al);
        }
      }
  }

  // S in zmm0 and zmm1, O in zmm4 and zmm5 if there is one. Clobbers zmm30, zmm31.
  void emitLoad(Emitter &e, int blocks) const {
    for (int quad = 0; quad < 2; ++quad) {
      if (size == 1) {
        emitExponents(e, quad);
      } else if (size == 2) {
        e.vcvtph2ps(Zmm(quad), e.ptr[e.r13 + 32 * quad]);
      } else {
        e.vmovdqu32(e.zmm30, e.ptr[e.r13 + 64 * quad]);
        e.vpmovdw(Emitter::Ymm(31), e.zmm30);
        e.vcvtph2ps(Zmm(quad), Emitter::Ymm(31));
        e.vpsrld(e.zmm30, e.zmm30, 16);
        e.vpmovdw(Emitter::Ymm(31), e.zmm30);
        e.vcvtph2ps(Zmm(4 + quad), Emitter::Ymm(31));
        emitClearAbsent(e, 4 + quad, quad, blocks);
      }
      emitClearAbsent(e, quad, quad, blocks);
    }
  }

private:
  // A byte b means 2^(b - 128) with the doubled table: exponent field b - 1, or a denormal for b < 2.
  void emitExponents(Emitter &e, int quad) const {
    const Zmm v(quad);
    e.vpmovzxbd(v, e.ptr[e.r13 + 16 * quad]);
    e.vmovdqu32(e.zmm30, e.splat(0x00200000u));
    e.vpsllvd(e.zmm30, e.zmm30, v);
    e.vpcmpud(e.k7, v, e.splat(2u), 1); // less than
    e.vpslld(v, v, 23);
    e.vpsubd(v, v, e.splat(0x00800000u));
    e.vmovdqa32(v | e.k7, e.zmm30);
  }

  int blockBytes, size;
};

// What the formats with blocks of 32 have in common: scales that lie in the blocks, before the weights.
template <typename Base> class BlockPanelDecoder : public Base {
public:
  template <typename... Args>
  BlockPanelDecoder(const KtTypeInfo &format, int scaleBytes, Args &&...args)
      : Base(std::forward<Args>(args)...), blockBytes(static_cast<int>(format.blockBytes)), size(scaleBytes),
        scales(blockBytes, size) {}

  bool gathers() const override { return true; }
  void emitGather(int blocks) override { scales.emitGather(this->e, blocks); }

protected:
  void emitScales(int blocks) override { scales.emitLoad(this->e, blocks); }
  // The weights of the first of the two blocks of group `g` in row `i`.
  RegExp groupOf(int i, int g) const { return this->row(i) + (2 * g * blockBytes + size); }

  const int blockBytes, size; // of a block, and of what comes before its weights

private:
  const BlockScales scales;
};

// Q4_0, Q4_1, IQ4_NL, MXFP4.
class NibblePanelDecoder : public BlockPanelDecoder<TablePanelDecoder> {
public:
  NibblePanelDecoder(Emitter &emitter, const KtTypeInfo &format, bool biased)
      : BlockPanelDecoder(format, scaleBytesOf(format.id), emitter, biased, valuesOf(format.id)) {
    scheme.offsets = format.id == KT_TYPE_Q4_1;
    scheme.fine = format.id == KT_TYPE_IQ4_NL;
    scheme.extreme = format.id == KT_TYPE_Q4_0 ? 8 : format.id == KT_TYPE_Q4_1 ? 15 : scheme.fine ? 127 : 12;
  }

  void emitConstants() override { emitNibbleMasks(e); }

protected:
  void emitGroup(int i, int g, int blocks) override {
    const RegExp first = groupOf(i, g);
    emitNibbleCodes(e, first, first + blockBytes, 2 * g + 1 < blocks, interleaves());
    emitLookup(g);
  }

private:
  static const std::array<int8_t, 16> &valuesOf(uint32_t id) {
    return id == KT_TYPE_Q4_0     ? signedNibbles
           : id == KT_TYPE_Q4_1   ? unsignedNibbles
           : id == KT_TYPE_IQ4_NL ? iq4PanelValues
                                  : fp4PanelValues;
  }
  static int scaleBytesOf(uint32_t id) { return id == KT_TYPE_Q4_1 ? 4 : id == KT_TYPE_MXFP4 ? 1 : 2; }
};

// Q5_0 and Q5_1: nibbles and a fifth bit per weight.
class FiveBitPanelDecoder : public BlockPanelDecoder<PanelDecoder> {
public:
  FiveBitPanelDecoder(Emitter &emitter, const KtTypeInfo &format, bool biased)
      : BlockPanelDecoder(format, format.id == KT_TYPE_Q5_1 ? 4 : 2, emitter, biased) {
    scheme.offsets = size == 4;
    scheme.extreme = scheme.offsets ? 31 : 16;
  }

  void emitConstants() override {
    emitNibbleMasks(e);
    emitSignedConstants();
  }

protected:
  void emitGroup(int i, int g, int blocks) override {
    const RegExp first = groupOf(i, g);
    const bool both = 2 * g + 1 < blocks;
    e.kmovd(e.k4, e.dword[first]);
    if (both) {
      e.kmovd(e.k7, e.dword[first + blockBytes]);
      e.kunpckdq(e.k4, e.k7, e.k4);
    }
    emitNibbleCodes(e, first + 4, first + (blockBytes + 4), both, false);
    if (scheme.offsets) {
      e.vpaddb(e.zmm0 | e.k4, e.zmm0, e.splat<uint8_t>(16));
    } else {
      e.knotq(e.k4, e.k4);
      e.vpaddb(e.zmm0 | e.k4, e.zmm0, e.splat<uint8_t>(0xf0)); // - 16
    }
    emitScaled(i, g);
  }
};

class Q8_0PanelDecoder : public BlockPanelDecoder<PanelDecoder> {
public:
  Q8_0PanelDecoder(Emitter &emitter, const KtTypeInfo &format, bool biased)
      : BlockPanelDecoder(format, 2, emitter, biased) {
    scheme.fine = true;
    scheme.extreme = 128;
  }

protected:
  void emitGroup(int i, int g, int blocks) override {
    const RegExp first = groupOf(i, g);
    e.vmovdqu(Emitter::Ymm(0), e.ptr[first]);
    if (2 * g + 1 < blocks)
      e.vinserti64x4(e.zmm0, e.zmm0, e.ptr[first + blockBytes], 1);
    emitScaled(i, g);
  }
};

// Rows of kt_abi.h: q of the span is contiguous, and so are its d, at r14 behind q.
class Q8RowDecoder : public PanelDecoder {
public:
  explicit Q8RowDecoder(Emitter &emitter) : PanelDecoder(emitter, false) {
    scheme.fine = true;
    scheme.extreme = 127;
  }

protected:
  // Reading up to 28 bytes behind the last d stays in the row: s follows, and the row is padded.
  void emitScales(int blocks) override {
    for (int quad = 0; quad < 2; ++quad) {
      e.vmovups(Emitter::Xmm(quad), e.ptr[row(0) + e.r14 + 16 * quad]);
      for (int i = 1; i < panelRowGroup; ++i)
        e.vinsertf32x4(Zmm(quad), Zmm(quad), e.ptr[row(i) + e.r14 + 16 * quad], static_cast<uint8_t>(i));
      emitClearAbsent(e, quad, quad, blocks);
    }
  }
  void emitGroup(int i, int g, int blocks) override {
    if (2 * g + 1 < blocks)
      e.vmovdqu32(e.zmm0, e.ptr[row(i) + 64 * g]);
    else
      e.vmovdqu(Emitter::Ymm(0), e.ptr[row(i) + 64 * g]);
    emitScaled(i, g);
  }
};

} // namespace

std::unique_ptr<PanelDecoder> makeQ8RowDecoder(Emitter &emitter) {
  return std::make_unique<Q8RowDecoder>(emitter);
}

std::unique_ptr<PanelDecoder> makeSmallBlockPanelDecoder(Emitter &emitter, const KtTypeInfo &format,
                                                         bool biased) {
  switch (format.id) {
  case KT_TYPE_Q8_0:
    return std::make_unique<Q8_0PanelDecoder>(emitter, format, biased);
  case KT_TYPE_Q4_0:
  case KT_TYPE_Q4_1:
  case KT_TYPE_IQ4_NL:
  case KT_TYPE_MXFP4:
    return std::make_unique<NibblePanelDecoder>(emitter, format, biased);
  case KT_TYPE_Q5_0:
  case KT_TYPE_Q5_1:
    return std::make_unique<FiveBitPanelDecoder>(emitter, format, biased);
  default:
    return nullptr;
  }
}

} // namespace ktc::x64
