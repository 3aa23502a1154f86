// Decoders for tiles of four rows side by side: a zmm holds 16 weights of each row, one row to a 128-bit lane.
//
// A product with 16 activations, broadcast to all lanes, then gives four int32 per row. One vector of scales
// serves four rows, and the sums of four rows are one register. Weights come in *subs* of 32 (as two registers:
// weights 0-15 and 16-31), two subs to a step, four steps to 256 weights. What u, S and M are is said in
// decoder.h; only the layout of the results differs.
//
// Registers: u is left in vec(0)-vec(3); decoders may clobber vec(4), vec(5), k4, rax and rdi, and own
// vec(6)-vec(11), k1-k3 and k5, which nobody else changes between emitConstants() and the last step of a row.
#pragma once

#include "templates/x64/emitter.h"

#include <memory>

namespace ktc::x64 {

// The same place in each of the rows of a tile. With fewer than four rows the last one is seen again.
struct LaneRows {
  Xbyak::RegExp first;
  int rows;
  int64_t rowBytes;
  Xbyak::RegExp at(int row, size_t offset) const {
    return first + (size_t(row < rows ? row : rows - 1) * static_cast<size_t>(rowBytes) + offset);
  }
};

class LaneDecoder {
public:
  using RegExp = Xbyak::RegExp;
  using Vec = Emitter::Vec;
  LaneDecoder(Emitter &emitter, const KtTypeInfo &format) : e(emitter), format(format) {}
  virtual ~LaneDecoder() = default;

  // Sets the decoder's constant registers, once before the loop.
  virtual void emitConstants() = 0;
  // u of the two subs of `step`: the first in vec(0), vec(1), the second, unless it is behind `blocks`, in
  // vec(2), vec(3). Steps of a span come in ascending order.
  virtual void emitStep(const LaneRows &rows, int step, int blocks) = 0;
  // Which sub of the span is the first or second (`which`) of a step.
  virtual int sub(int step, int which) const { return 2 * step + which; }

  // 32-blocks only. S (and M if hasOffset()) of a span: block b of row r in lane 4 * r + b % 4 of register b
  // / 4. Lanes of absent blocks are finite. Clobbers vec(18) and vec(19).
  virtual void emitScales(const LaneRows &, int blocks, const Vec *scales, const Vec *offsets) {
    static_cast<void>(blocks), static_cast<void>(scales), static_cast<void>(offsets);
  }
  // w = S * (u + multiple()), or w = S * u + M if hasOffset().
  float multiple() const { return offsetMultiple; }
  bool hasOffset() const { return separateOffset; }
  // True when four (eight) products may exceed 16 bits.
  bool wideBytes() const { return eightBits; }

protected:
  Vec u(int index) const { return e.vec(index); }
  Vec kept(int index) const { return e.vec(6 + index); }
  Vec mask() const { return e.vec(10); }
  Vec other() const { return e.vec(11); }
  // 16 bytes of each row, and two times 16 that follow each other.
  void piece(const Vec &dst, const LaneRows &rows, size_t offset);
  void pieces(const Vec &low, const Vec &high, const LaneRows &rows, size_t offset);
  // low = its low nibbles, high = the high ones of the same bytes. Needs mask() = 15.
  void nibbles(const Vec &low, const Vec &high);
  // The same, looked up in the table of 16 bytes that other() repeats.
  void nibbleValues(const Vec &low, const Vec &high);
  // Even and odd 128-bit lanes of two registers, one after the other, in place: four rows that lie as (first
  // half, second half) of one row after the other become the first halves of all rows and the second halves.
  // Clobbers vec(18).
  void sortHalves(const Vec &first, const Vec &second);
  // dst |= `bits` turned left by `turn` within each byte's dword, masked with other().
  void mergeBits(const Vec &dst, const Vec &bits, int turn);

  Emitter &e;
  const KtTypeInfo &format;
  float offsetMultiple = 0;
  bool separateOffset = false, eightBits = false;
};

// Creates the lane decoder of a quantised format (needs Emitter::wide()); `format` must outlive it.
std::unique_ptr<LaneDecoder> makeLaneDecoder(Emitter &emitter, const KtTypeInfo &format);

// Per family of layouts, null if `format` belongs to another.
std::unique_ptr<LaneDecoder> makeKQuantLanes(Emitter &emitter, const KtTypeInfo &format);
std::unique_ptr<LaneDecoder> makeSmallBlockLanes(Emitter &emitter, const KtTypeInfo &format);

// dst = the high nibble of each byte of src. Needs Emitter::hasByteMaps().
void emitHighNibbles(Emitter &e, const Emitter::Vec &dst, const Emitter::Vec &src);

// The table of a format whose nibbles are looked up, plus an offset that makes it unsigned, in all lanes.
Xbyak::Address nibbleTable(Emitter &e, const KtTypeInfo &format, int bias);

} // namespace ktc::x64
