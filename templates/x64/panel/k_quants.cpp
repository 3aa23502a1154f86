// Panel decoders of the formats with blocks of 256 weights and integer sub-scales: a block is a span.
//
// A plane is 32 bytes whose bit fields belong to weights 32 apart. It is loaded into both halves of a vector,
// and each half is rotated by its own amount, so that one vector holds the codes of 64 weights in their order.
#include "templates/x64/panel/nibbles.h"
#include "templates/x64/panel/panel_decoder.h"

namespace ktc::x64 {

namespace {

using Zmm = Xbyak::Zmm;
using RegExp = Xbyak::RegExp;

// Amounts that rotate bit `low` of the lower half and bit `high` of the upper half to bit `to`.
Xbyak::Address rotation(Emitter &e, int low, int high, int to) {
  std::array<uint32_t, 16> amounts;
  for (int lane = 0; lane < 16; ++lane)
    amounts[lane] = static_cast<uint32_t>(to - (lane < 8 ? low : high) + 32) % 32;
  return e.table(amounts);
}

// zmm `dst` = the plane, rotated; bits beside the wanted field are left.
void emitPlane(Emitter &e, int dst, const RegExp &plane, int low, int high, int to) {
  e.vbroadcasti64x4(Zmm(dst), e.ptr[plane]);
  e.vprolvd(Zmm(dst), Zmm(dst), rotation(e, low, high, to));
}

// zmm `dst` = the plane through one byte map for the lower and one for the upper half; bits of `flip` are
// changed.
void emitMappedPlane(Emitter &e, int dst, const RegExp &plane, uint64_t low, uint64_t high, uint8_t flip = 0) {
  e.vbroadcasti64x4(Zmm(dst), e.ptr[plane]);
  e.vgf2p8affineqb(Zmm(dst), Zmm(dst),
                   e.table(std::array<uint64_t, 8>{low, low, low, low, high, high, high, high}), flip);
}

// zmm0 |= zmm1 & mask.
void emitMerge(Emitter &e, uint8_t mask) { e.vpternlogd(e.zmm0, e.zmm1, e.splat(mask), 0b11111000); }

// Eight 6-bit scales and minima of Q4_K and Q5_K. Dwords of a lane: (d, dmin), A (scales 0-3 and high bits of
// scales 4-7), B (the same for minima), C (low nibbles of scales 4-7, of minima 4-7).
template <typename Decoder> class SixBitScales : public Decoder {
public:
  using Decoder::Decoder;

protected:
  void emitScales(int) override {
    Emitter &e = this->e;
    auto lanes = [&](uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
      return e.table(std::array<uint32_t, 16>{a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d});
    };
    this->emitLanes(12, 0);
    e.vpshufd(e.zmm13, e.zmm12, 0b10011001); // A B A B
    e.vpshufd(e.zmm14, e.zmm12, 0b11111001); // A B C C
    e.vpsrlvd(e.zmm14, e.zmm14, lanes(0, 0, 0, 4));
    e.vpandd(e.zmm14, e.zmm14, lanes(0x3f3f3f3f, 0x3f3f3f3f, 0x0f0f0f0f, 0x0f0f0f0f));
    e.vpsrld(e.zmm13, e.zmm13, 2);
    e.vpternlogd(e.zmm14, e.zmm13, lanes(0, 0, 0x30303030, 0x30303030), 0b11111000);
    // bytes: scales 0-3, minima 0-3, scales 4-7, minima 4-7
    this->emitHalfFloats(8, 12, 0);
    this->emitHalfFloats(9, 12, 1);
    e.vpxord(e.zmm9, e.zmm9, e.splat(0x80000000u));
    for (int quad = 0; quad < 2; ++quad) {
      this->emitByteFloats(quad, 14, 8 * quad, false);
      this->emitByteFloats(4 + quad, 14, 8 * quad + 4, false);
      e.vmulps(Zmm(quad), Zmm(quad), e.zmm8);
      e.vmulps(Zmm(4 + quad), Zmm(4 + quad), e.zmm9);
    }
  }

  // zmm0 = nibbles of the plane of 64 weights, or their indices into interleaved tables.
  void emitPlaneNibbles(const RegExp &plane, bool interleaved) {
    if (this->e.hasByteMaps()) {
      const uint64_t low = nibbleMap(0, interleaved), high = nibbleMap(4, interleaved);
      emitMappedPlane(this->e, 0, plane, low, high);
      return;
    }
    emitPlane(this->e, 0, plane, 0, 4, 0);
    this->e.vpandd(this->e.zmm0, this->e.zmm0, this->e.template splat<uint8_t>(15));
  }
};

constexpr std::array<int8_t, 16> counting = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr std::array<int8_t, 16> fromMinusFour = {-4, -3, -2, -1, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0};

class Q4KPanelDecoder : public SixBitScales<TablePanelDecoder> {
public:
  Q4KPanelDecoder(Emitter &emitter, bool biased) : SixBitScales(emitter, biased, counting) {
    scheme.offsets = true;
    scheme.extreme = 15;
  }

protected:
  void emitGroup(int i, int g, int) override {
    emitPlaneNibbles(row(i) + (16 + 32 * g), interleaves());
    emitLookup(g);
  }
};

class Q5KPanelDecoder : public SixBitScales<PanelDecoder> {
public:
  Q5KPanelDecoder(Emitter &emitter, bool biased) : SixBitScales(emitter, biased) {
    scheme.offsets = true;
    scheme.extreme = 31;
  }

protected:
  void emitGroup(int i, int g, int) override {
    emitPlaneNibbles(row(i) + (48 + 32 * g), false);
    emitPlane(e, 1, row(i) + 16, 2 * g, 2 * g + 1, 4);
    emitMerge(e, 16);
    emitScaled(i, g);
  }
};

class Q6KPanelDecoder : public PanelDecoder {
public:
  Q6KPanelDecoder(Emitter &emitter, bool biased) : PanelDecoder(emitter, biased) {
    scheme.sixteen = true;
    scheme.extreme = 32;
  }

  void emitConstants() override { emitSignedConstants(); }

protected:
  // Scales at 192, d at 208; the last two bytes of these lanes are d.
  void emitScales(int) override {
    emitLanes(12, 194);
    emitLanes(13, 192);
    emitHalfFloats(8, 12, 7);
    for (int quad = 0; quad < 4; ++quad) {
      emitByteFloats(quad, 13, 4 * quad, true);
      e.vmulps(Zmm(quad), Zmm(quad), e.zmm8);
    }
  }
  // Halves of 128 weights have 64 bytes of low nibbles (two planes) and one plane of 2-bit fields.
  void emitGroup(int i, int g, int) override {
    e.vmovdqu32(e.zmm0, e.ptr[row(i) + g / 2 * 64]);
    if (g % 2)
      e.vpsrlw(e.zmm0, e.zmm0, 4);
    const RegExp plane = row(i) + (128 + g / 2 * 32);
    const int field = g % 2 * 4;
    if (e.hasByteMaps()) {
      // Bits 4 to 7 of u - 32: bit 4 of u, and three times not its bit 5.
      auto map = [](int bit) { return byteMap({-1, -1, -1, -1, bit, bit + 1, bit + 1, bit + 1}); };
      emitMappedPlane(e, 1, plane, map(field), map(field + 2), 0xe0);
      e.vpternlogd(e.zmm0, e.zmm1, e.splat<uint8_t>(15), 0b11101100); // zmm1 | (zmm0 & 15)
    } else {
      e.vpandd(e.zmm0, e.zmm0, e.splat<uint8_t>(15));
      emitPlane(e, 1, plane, field, field + 2, 4);
      emitMerge(e, 0x30);
      e.vpsubb(e.zmm0, e.zmm0, e.splat<uint8_t>(32));
    }
    emitScaled(i, g);
  }
};

class Q2KPanelDecoder : public TablePanelDecoder {
public:
  Q2KPanelDecoder(Emitter &emitter, bool biased) : TablePanelDecoder(emitter, biased, counting) {
    scheme.sixteen = true;
    scheme.offsets = true;
    scheme.extreme = 3;
  }

protected:
  // A byte per sub-block: scale, then minimum in the high nibble; d and dmin at 80.
  void emitScales(int) override {
    emitLanes(12, 68);
    emitHalfFloats(8, 12, 6);
    emitHalfFloats(9, 12, 7);
    e.vpxord(e.zmm9, e.zmm9, e.splat(0x80000000u));
    emitLanes(12, 0);
    e.vpsrlw(e.zmm13, e.zmm12, 4);
    for (int reg : {12, 13})
      e.vpandd(Zmm(reg), Zmm(reg), e.splat<uint8_t>(15));
    for (int quad = 0; quad < 4; ++quad) {
      emitByteFloats(quad, 12, 4 * quad, false);
      emitByteFloats(4 + quad, 13, 4 * quad, false);
      e.vmulps(Zmm(quad), Zmm(quad), e.zmm8);
      e.vmulps(Zmm(4 + quad), Zmm(4 + quad), e.zmm9);
    }
  }
  void emitGroup(int i, int g, int) override {
    emitPlane(e, 0, row(i) + (16 + g / 2 * 32), g % 2 * 4, g % 2 * 4 + 2, 0);
    e.vpandd(e.zmm0, e.zmm0, e.splat<uint8_t>(3));
    emitLookup(g);
  }
};

class Q3KPanelDecoder : public TablePanelDecoder {
public:
  Q3KPanelDecoder(Emitter &emitter, bool biased) : TablePanelDecoder(emitter, biased, fromMinusFour) {
    scheme.sixteen = true;
    scheme.extreme = 4;
  }

protected:
  // 6-bit scales at 96, biased by 32: low nibbles of bytes 0-7, then their high nibbles; pairs of high bits in
  // bytes 8-11. d at 108 ends the block, so lanes start two bytes early.
  void emitScales(int) override {
    std::array<uint8_t, 64> low, high;
    std::array<uint64_t, 8> lowShift;
    std::array<uint32_t, 16> highShift;
    for (int byte = 0; byte < 64; ++byte) {
      low[byte] = static_cast<uint8_t>(2 + byte % 8);
      high[byte] = static_cast<uint8_t>(10 + byte % 4);
      lowShift[byte / 8] = byte / 8 % 2 * 4;
      highShift[byte / 4] = static_cast<uint32_t>(byte / 4 % 4 * 2);
    }
    emitLanes(12, 94);
    emitHalfFloats(8, 12, 7);
    e.vpshufb(e.zmm13, e.zmm12, e.constant(low));
    e.vpsrlvq(e.zmm13, e.zmm13, e.table(lowShift));
    e.vpandd(e.zmm13, e.zmm13, e.splat<uint8_t>(15));
    e.vpshufb(e.zmm14, e.zmm12, e.constant(high));
    e.vpsrlvd(e.zmm14, e.zmm14, e.table(highShift));
    e.vpandd(e.zmm14, e.zmm14, e.splat<uint8_t>(3));
    e.vpsllw(e.zmm14, e.zmm14, 4);
    e.vpord(e.zmm13, e.zmm13, e.zmm14);
    e.vpsubb(e.zmm13, e.zmm13, e.splat<uint8_t>(32));
    for (int quad = 0; quad < 4; ++quad) {
      emitByteFloats(quad, 13, 4 * quad, true);
      e.vmulps(Zmm(quad), Zmm(quad), e.zmm8);
    }
  }
  void emitGroup(int i, int g, int) override {
    emitPlane(e, 0, row(i) + (32 + g / 2 * 32), g % 2 * 4, g % 2 * 4 + 2, 0);
    e.vpandd(e.zmm0, e.zmm0, e.splat<uint8_t>(3));
    emitPlane(e, 1, row(i) + 0, 2 * g, 2 * g + 1, 2);
    emitMerge(e, 4);
    emitLookup(g);
  }
};

class IQ4XSPanelDecoder : public TablePanelDecoder {
public:
  IQ4XSPanelDecoder(Emitter &emitter, bool biased) : TablePanelDecoder(emitter, biased, iq4PanelValues) {
    scheme.fine = true;
    scheme.extreme = 127;
  }

  void emitConstants() override { emitNibbleMasks(e); }

protected:
  // 6-bit scales, biased by 32: low nibbles in bytes 4-7, high pairs of bits in the word at byte 2.
  void emitScales(int) override {
    emitLanes(12, 0);
    emitHalfFloats(8, 12, 0);
    e.vpshufd(e.zmm13, e.zmm12, 0b01010101);
    e.vpshufd(e.zmm14, e.zmm12, 0b00000000);
    for (int quad = 0; quad < 2; ++quad) {
      std::array<uint32_t, 16> low, high;
      for (uint32_t lane = 0; lane < 16; ++lane) {
        low[lane] = 16 * static_cast<uint32_t>(quad) + lane % 4 * 4;
        high[lane] =
            12 + 8 * static_cast<uint32_t>(quad) + lane % 4 * 2; // bit 2 sub of the upper word to bit 4
      }
      const Zmm s(quad);
      e.vpsrlvd(s, e.zmm13, e.table(low));
      e.vpandd(s, s, e.splat(15u));
      e.vpsrlvd(e.zmm15, e.zmm14, e.table(high));
      e.vpternlogd(s, e.zmm15, e.splat(0x30u), 0b11111000);
      e.vpsubd(s, s, e.splat(32u));
      e.vcvtdq2ps(s, s);
      e.vmulps(s, s, e.zmm8);
    }
  }
  void emitGroup(int i, int g, int) override {
    const RegExp first = row(i) + (8 + 32 * g);
    emitNibbleCodes(e, first, first + 16, true, interleaves());
    emitLookup(g);
  }
};

} // namespace

std::unique_ptr<PanelDecoder> makeKQuantPanelDecoder(Emitter &emitter, const KtTypeInfo &format, bool biased) {
  switch (format.id) {
  case KT_TYPE_Q2_K:
    return std::make_unique<Q2KPanelDecoder>(emitter, biased);
  case KT_TYPE_Q3_K:
    return std::make_unique<Q3KPanelDecoder>(emitter, biased);
  case KT_TYPE_Q4_K:
    return std::make_unique<Q4KPanelDecoder>(emitter, biased);
  case KT_TYPE_Q5_K:
    return std::make_unique<Q5KPanelDecoder>(emitter, biased);
  case KT_TYPE_Q6_K:
    return std::make_unique<Q6KPanelDecoder>(emitter, biased);
  case KT_TYPE_IQ4_XS:
    return std::make_unique<IQ4XSPanelDecoder>(emitter, biased);
  default:
    return nullptr;
  }
}

} // namespace ktc::x64
