// Panel decoders: weights of a quantised format as signed bytes with one scale per row and 256 weights.
//
// Every format's weight is w = S[b] * T[code] + O[b], with a table T of small integers and S, O shared by a
// sub-block b of 32 or 16 weights. Over a *span* (256 weights of a row, or the rest of a row) the decoder takes
//   bound = the largest |S * T + O| that any code could have in any sub-block
//   D     = bound / 127
//   byte  = (A[b] * T[code] + M[b]) >> 8      A = rint(256 S / D), M = rint(256 O / D) + 128, in 16-bit words
// (without O that is a rounded product of 128 T and A: one instruction),
// so that w is about D * byte, off by at most about half of D: far less than the step of the format itself.
// Formats whose T takes eight bits keep more bits of S: with bound = max |S| * Tmax and A' = rint(32767 S /
// max|S|
// * 127 / Tmax) the byte is (round(256 T * A' / 2^15) + 128) >> 8. templates/reference/panel.cpp has the same
// rules in scalar code.
//
// Four rows are taken at a time: their scales fill the four 128-bit lanes of a vector, so that the arithmetic
// on scales, which has latency and no width, is shared. Bytes then come row by row, 64 at a time, either from a
// table of sixteen bytes per sub-block (built with A and M, looked up with vpshufb) or by multiplying words.
//
// Registers. r8-r11 address the four rows at the span, rdi the panel, rdx the PanelHeader, r12 the four D, r13
// the gathered scales of these rows. Decoders clobber rax, zmm0-zmm19, zmm30, zmm31 and k4-k7.
#pragma once

#include "templates/x64/emitter.h"

#include <functional>
#include <memory>

namespace ktc::x64 {

// Weights of k in a span, sub-blocks of 32 in it, and rows that are decoded together.
constexpr int panelSpan = 256, panelSpanBlocks = 8, panelRowGroup = 4;

// What a decoder keeps in the scratch: words of A and M (sub-blocks 0-7 of four rows, then 8-15).
constexpr int panelHeaderFactors = 0, panelHeaderOffsets = 128, panelHeaderBytes = 256;
// Bytes of gathered scales of four rows, at most.
constexpr int panelGatherBytes = 128;

class PanelDecoder {
public:
  using RegExp = Xbyak::RegExp;
  using Zmm = Xbyak::Zmm;

  // `biased`: bytes are stored plus 128.
  PanelDecoder(Emitter &emitter, bool biased) : e(emitter), biased(biased) {}
  virtual ~PanelDecoder() = default;

  // Sets masks, once before a loop over rows.
  virtual void emitConstants() {}
  // Formats whose scales lie apart: copies those of four rows together, to r13. True if there is such code.
  virtual bool gathers() const { return false; }
  virtual void emitGather(int /*blocks*/) {}
  // Bytes of four rows and `blocks` (1..8) sub-blocks of 32: row i, weights 64g.. at rdi + 1024 g + 64 i. What
  // is missing to 256 weights becomes zero weights. `between`, if there is one, is called after every few
  // instructions: it may emit code of its own that uses none of these registers.
  void emitRows(int blocks, std::function<void()> between = nullptr);

protected:
  // How A and M come about from S and O.
  struct Scheme {
    bool sixteen = false; // sub-blocks of 16 weights
    bool offsets = false; // there is O
    bool fine = false;    // A has 15 fractional bits
    float extreme = 1;    // largest |T| (with offsets: T is 0..extreme)
  };

  // S of four rows in zmm0 (sub-blocks 0-3), zmm1 (4-7), zmm2, zmm3; O in zmm4-zmm7. A lane is a row.
  virtual void emitScales(int blocks) = 0;
  // The bytes of row i (0..3), group g in zmm0.
  virtual void emitGroup(int i, int g, int blocks) = 0;
  // Prepares row i: tables.
  virtual void emitRow(int /*i*/, int /*blocks*/) {}

  Xbyak::Reg64 row(int i) const { return Xbyak::Reg64(8 + i); }
  // zmm `dst` = sixteen bytes at `offset` of each of the four rows.
  void emitLanes(int dst, int offset);
  // zmm `dst` = floats of the bytes first..first+3 of each lane of zmm `src`.
  void emitByteFloats(int dst, int src, int first, bool isSigned);
  // zmm `dst` = the half at word `word` of each lane of zmm `src`, as floats in the whole lane. Clobbers zmm31.
  void emitHalfFloats(int dst, int src, int word);
  // The high nibble of a plane's byte is an index like its low one: entry e, then e + 8.
  bool interleaves() const { return e.hasByteMaps() && !biased; }
  // Sets zmm16 and zmm17 for emitScaled() without offsets.
  void emitSignedConstants();
  // What a word of M holds besides O: rounding, and the bias of the bytes.
  uint16_t rounding() const { return biased ? 0x8080 : 0x0080; }
  // zmm0 = zmm0 (signed bytes T, with offsets unsigned ones) times A plus M, for group g of row i.
  void emitScaled(int i, int g);
  // zmm `dst` = words of A (or M, at `part` panelHeaderOffsets) of four 128-bit lanes.
  void emitLaneWords(int dst, int part, int i, int g);

  Emitter &e;
  const bool biased;
  Scheme scheme;

  void pause() {
    if (between)
      between();
  }

private:
  void emitScaledSigned(int i, int g);
  void emitBound();
  void emitFactors();

  std::function<void()> between;
};

// Sixteen-entry (or with sub-blocks of 16 eight-entry) tables of bytes per sub-block.
class TablePanelDecoder : public PanelDecoder {
public:
  TablePanelDecoder(Emitter &emitter, bool biased, const std::array<int8_t, 16> &values)
      : PanelDecoder(emitter, biased), values(values) {}

protected:
  void emitRow(int i, int blocks) override;
  // zmm0 = the bytes for the codes in zmm0.
  void emitLookup(int g);

private:
  static constexpr int firstTable = 16; // zmm16-zmm19
  void emitTableWords(int dst, int factors, int first);
  void emitTableBytes(int dst, bool both);
  void emitTable16(int half);
  void emitTable8(int i, int g);

  const std::array<int8_t, 16> values;
};

// Creates the decoder of a quantised format. Throws ParamError for float formats.
std::unique_ptr<PanelDecoder> makePanelDecoder(Emitter &emitter, const KtTypeInfo &format, bool biased);
// The same for q8 activation rows: r8-r11 address q of four rows at the span, r14 + row is the address of its
// d.
std::unique_ptr<PanelDecoder> makeQ8RowDecoder(Emitter &emitter);

// Per family of layouts, null if `format` belongs to another.
std::unique_ptr<PanelDecoder> makeSmallBlockPanelDecoder(Emitter &emitter, const KtTypeInfo &format,
                                                         bool biased);
std::unique_ptr<PanelDecoder> makeKQuantPanelDecoder(Emitter &emitter, const KtTypeInfo &format, bool biased);

} // namespace ktc::x64
