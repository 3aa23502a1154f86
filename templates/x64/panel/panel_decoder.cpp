// Arithmetic on scales, tables and products of words common to all panel decoders: see panel_decoder.h.
#include "templates/x64/panel/panel_decoder.h"

#include "templates/param_check.h"

#include <bit>

namespace ktc::x64 {

using Zmm = Xbyak::Zmm;

std::unique_ptr<PanelDecoder> makePanelDecoder(Emitter &emitter, const KtTypeInfo &format, bool biased) {
  for (auto make : {makeSmallBlockPanelDecoder, makeKQuantPanelDecoder})
    if (std::unique_ptr<PanelDecoder> decoder = make(emitter, format, biased))
      return decoder;
  throw ParamError(std::string(format.name) + " has no panel decoder");
}

void PanelDecoder::emitLanes(int dst, int offset) {
  e.vmovdqu(Emitter::Xmm(dst), e.ptr[row(0) + offset]);
  for (int i = 1; i < panelRowGroup; ++i)
    e.vinserti32x4(Zmm(dst), Zmm(dst), e.ptr[row(i) + offset], static_cast<uint8_t>(i));
}

void PanelDecoder::emitByteFloats(int dst, int src, int first, bool isSigned) {
  std::array<uint8_t, 64> select;
  for (int byte = 0; byte < 64; ++byte) {
    const bool used = byte % 4 == (isSigned ? 3 : 0);
    select[byte] = static_cast<uint8_t>(used ? first + byte % 16 / 4 : 0x80);
  }
  e.vpshufb(Zmm(dst), Zmm(src), e.constant(select));
  if (isSigned)
    e.vpsrad(Zmm(dst), Zmm(dst), 24);
  e.vcvtdq2ps(Zmm(dst), Zmm(dst));
}

void PanelDecoder::emitHalfFloats(int dst, int src, int word) {
  std::array<uint16_t, 32> select{};
  for (int lane = 0; lane < 16; ++lane)
    select[lane] = static_cast<uint16_t>(lane / 4 * 8 + word);
  e.vmovdqu32(Zmm(31), e.table(select));
  e.vpermw(Zmm(31), Zmm(31), Zmm(src));
  e.vcvtph2ps(Zmm(dst), Emitter::Ymm(31));
}

void PanelDecoder::emitRows(int blocks, std::function<void()> betweenCode) {
  between = std::move(betweenCode);
  emitScales(blocks);
  pause();
  emitBound();
  pause();
  emitFactors();
  pause();
  for (int i = 0; i < panelRowGroup; ++i) {
    emitRow(i, blocks);
    pause();
    for (int g = 0; g < panelSpanBlocks / 2; ++g) {
      if (2 * g < blocks) {
        emitGroup(i, g, blocks);
      } else if (2 * g - blocks < 2) { // the first group that does not exist
        biased ? e.vmovdqu32(e.zmm0, e.splat<uint8_t>(0x80)) : e.vpxord(e.zmm0, e.zmm0, e.zmm0);
      }
      if (2 * g + 1 == blocks) { // only the lower half exists
        e.vmovdqu8(Emitter::Ymm(0), Emitter::Ymm(0));
        if (biased)
          e.vinserti64x4(Zmm(0), Zmm(0), e.splat<uint8_t>(0x80), 1);
      }
      e.vmovdqu32(e.ptr[e.rdi + (g * 1024 + i * 64)], Zmm(0));
      pause();
    }
  }
  between = nullptr;
}

// zmm8 = bound (without the factor `extreme` if there are no offsets) in every lane of a row; D to r12.
void PanelDecoder::emitBound() {
  constexpr uint8_t largestMagnitude = 0b1011;
  const int quads = scheme.sixteen ? 4 : 2;
  if (scheme.offsets)
    e.vmovups(e.zmm10, e.splat(scheme.extreme));
  for (int q = 0; q < quads; ++q) {
    const Zmm value = scheme.offsets ? Zmm(9) : Zmm(q);
    if (scheme.offsets) {
      e.vmovaps(value, Zmm(q));
      e.vfmadd213ps(value, e.zmm10, Zmm(4 + q));
      e.vrangeps(value, value, Zmm(4 + q), largestMagnitude);
    }
    if (q == 0)
      e.vmovaps(e.zmm8, value);
    else
      e.vrangeps(e.zmm8, e.zmm8, value, largestMagnitude);
  }
  for (uint8_t swap : {0b01001110, 0b10110001}) {
    e.vpermilps(e.zmm9, e.zmm8, swap);
    e.vrangeps(e.zmm8, e.zmm8, e.zmm9, largestMagnitude);
  }
  // An all-zero span must not divide by zero.
  e.vmaxps(e.zmm8, e.zmm8, e.splat(1e-30f));
  const float extreme = scheme.offsets ? 1 : scheme.extreme;
  e.vmovups(e.zmm11, e.table(std::array<uint32_t, 4>{0, 4, 8, 12}));
  e.vpermps(e.zmm11, e.zmm11, e.zmm8);
  e.vmulps(e.xmm11, e.xmm11, e.splat(extreme / 127));
  e.vmovups(e.ptr[e.r12], e.xmm11);
}

// A and M of the bound in zmm8, to the header.
void PanelDecoder::emitFactors() {
  const float extreme = scheme.offsets ? 1 : scheme.extreme;
  // The reciprocal, exact but for the last bit or two.
  e.vrcp14ps(e.zmm9, e.zmm8);
  e.vfnmadd213ps(e.zmm8, e.zmm9, e.splat(2.0f));
  e.vmulps(e.zmm9, e.zmm9, e.zmm8);
  e.vmulps(e.zmm9, e.zmm9, e.splat((scheme.fine ? 32767.0f * 127 : 256.0f * 127) / extreme));
  for (int part = 0; part < (scheme.offsets ? 2 : 1); ++part)
    for (int half = 0; half < (scheme.sixteen ? 2 : 1); ++half) {
      const Zmm low(4 * part + 2 * half), high(4 * part + 2 * half + 1);
      for (const Zmm &v : {low, high}) {
        e.vmulps(v, v, e.zmm9);
        e.vcvtps2dq(v, v);
      }
      e.vpackssdw(low, low, high);
      if (part == 1)
        e.vpaddw(low, low, e.splat(rounding()));
      e.vmovdqu32(e.ptr[e.rdx + (part * panelHeaderOffsets + half * 64)], low);
    }
}

void PanelDecoder::emitLaneWords(int dst, int part, int i, int g) {
  const int half = scheme.sixteen ? g / 2 : 0;
  std::array<uint8_t, 64> select;
  for (int byte = 0; byte < 64; ++byte) {
    const int lane = byte / 16, sub = scheme.sixteen ? g % 2 * 4 + lane : g * 2 + lane / 2;
    select[byte] = static_cast<uint8_t>(2 * sub + byte % 2);
  }
  e.vbroadcasti32x4(Zmm(dst), e.ptr[e.rdx + (part + half * 64 + i * 16)]);
  e.vpshufb(Zmm(dst), Zmm(dst), e.constant(select));
}

// Even and odd bytes are words of their own; the byte of a result is the upper one of its word.
void PanelDecoder::emitScaled(int i, int g) {
  if (!scheme.offsets && !scheme.fine) {
    emitScaledSigned(i, g);
    return;
  }
  const Zmm even = e.zmm0, odd = e.zmm1, factor = e.zmm2, offset = e.zmm3;
  emitLaneWords(2, panelHeaderFactors, i, g);
  if (scheme.offsets)
    emitLaneWords(3, panelHeaderOffsets, i, g);
  if (scheme.fine) {
    e.vpandd(odd, even, e.splat<uint16_t>(0xff00));
    e.vpsllw(even, even, 8);
    e.vpmulhrsw(even, even, factor);
    e.vpmulhrsw(odd, odd, factor);
  } else {
    e.vpsrlw(odd, even, 8);
    e.vpandd(even, even, e.splat<uint16_t>(0x00ff));
    e.vpmullw(even, even, factor);
    e.vpmullw(odd, odd, factor);
  }
  for (const Zmm &word : {even, odd})
    scheme.offsets ? e.vpaddw(word, word, offset) : e.vpaddw(word, word, e.splat(rounding()));
  e.vpsrlw(even, even, 8);
  e.vpternlogd(even, odd, e.splat<uint16_t>(0xff00), 0b11111000); // even | (odd & mask)
}

void PanelDecoder::emitSignedConstants() {
  e.vmovdqu32(e.zmm16, e.splat<uint16_t>(0x0080));
  e.vmovdqu32(e.zmm17, e.splat<uint16_t>(0x8000));
}

// (T A + 128) >> 8 = (128 T A + 2^14) >> 15, a rounded product of words.
void PanelDecoder::emitScaledSigned(int i, int g) {
  const Zmm even = e.zmm0, odd = e.zmm1, factor = e.zmm2;
  emitLaneWords(2, panelHeaderFactors, i, g);
  e.vpmaddubsw(odd, e.zmm17, e.zmm0);
  e.vpmaddubsw(even, e.zmm16, e.zmm0);
  e.vpmulhrsw(odd, odd, factor);
  e.vpmulhrsw(even, even, factor);
  e.vpsllw(odd, odd, 8);
  e.vpternlogd(even, odd, e.splat<uint16_t>(0x00ff), 0xe4);
  if (biased)
    e.vpxord(even, even, e.splat<uint8_t>(0x80));
}

// ---- Tables

// zmm `dst` = words of the table entries first.. (eight of them, in every lane) for the A in zmm `factors`.
void TablePanelDecoder::emitTableWords(int dst, int factors, int first) {
  std::array<int16_t, 32> words;
  for (int i = 0; i < 32; ++i)
    words[i] = static_cast<int16_t>(values[first + i % 8] * (scheme.fine ? 256 : 1));
  if (scheme.fine)
    e.vpmulhrsw(Zmm(dst), Zmm(factors), e.table(words));
  else
    e.vpmullw(Zmm(dst), Zmm(factors), e.table(words));
  scheme.offsets ? e.vpaddw(Zmm(dst), Zmm(dst), e.zmm13) : e.vpaddw(Zmm(dst), Zmm(dst), e.splat(rounding()));
}

// zmm `dst` = bytes of the words of entries in zmm14 and, if `both`, zmm15 (else again zmm14).
void TablePanelDecoder::emitTableBytes(int dst, bool both) {
  for (int i = 14; i < (both ? 16 : 15); ++i)
    biased ? e.vpsrlw(Zmm(i), Zmm(i), 8) : e.vpsraw(Zmm(i), Zmm(i), 8);
  const Zmm high(both ? 15 : 14);
  biased ? e.vpackuswb(Zmm(dst), e.zmm14, high) : e.vpacksswb(Zmm(dst), e.zmm14, high);
}

// The tables of sub-blocks 4 half .. 4 half + 3, doubled for the two lanes of a sub-block: two vectors.
void TablePanelDecoder::emitTable16(int half) {
  std::array<uint8_t, 64> select;
  for (int byte = 0; byte < 64; ++byte)
    select[byte] = static_cast<uint8_t>(2 * (4 * half + byte / 16) + byte % 2);
  e.vpshufb(e.zmm12, e.zmm10, e.constant(select));
  if (scheme.offsets)
    e.vpshufb(e.zmm13, e.zmm11, e.constant(select));
  emitTableWords(14, 12, 0);
  emitTableWords(15, 12, 8);
  const Zmm low(firstTable + 2 * half), high(firstTable + 2 * half + 1);
  if (interleaves()) {
    e.vpsrlw(e.zmm14, e.zmm14, 8);
    e.vpternlogd(e.zmm14, e.zmm15, e.splat<uint16_t>(0xff00), 0b11111000); // | (zmm15 & mask)
  } else {
    emitTableBytes(14, true);
  }
  e.vshufi32x4(low, e.zmm14, e.zmm14, 0b01010000);
  e.vshufi32x4(high, e.zmm14, e.zmm14, 0b11111010);
}

void TablePanelDecoder::emitTable8(int i, int g) {
  emitLaneWords(12, panelHeaderFactors, i, g);
  if (scheme.offsets)
    emitLaneWords(13, panelHeaderOffsets, i, g);
  emitTableWords(14, 12, 0);
  emitTableBytes(firstTable + g, false);
}

void TablePanelDecoder::emitRow(int i, int blocks) {
  if (scheme.sixteen) {
    for (int g = 0; g < (blocks + 1) / 2; ++g)
      emitTable8(i, g);
    return;
  }
  e.vbroadcasti32x4(e.zmm10, e.ptr[e.rdx + (panelHeaderFactors + i * 16)]);
  if (scheme.offsets)
    e.vbroadcasti32x4(e.zmm11, e.ptr[e.rdx + (panelHeaderOffsets + i * 16)]);
  for (int half = 0; half < (blocks + 3) / 4; ++half) {
    emitTable16(half);
    if (half == 0)
      pause();
  }
}

void TablePanelDecoder::emitLookup(int g) { e.vpshufb(e.zmm0, Zmm(firstTable + g), e.zmm0); }

} // namespace ktc::x64
