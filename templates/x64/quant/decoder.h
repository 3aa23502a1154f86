// Block decoders: one per quantised weight format, the only code that knows the layout of its blocks.
//
// Every format is seen the same way: a weight is  w = S * u + M  with u a byte, S a float32 scale shared by 16
// or 32 weights, and M an offset shared likewise. The matrix loop walks a row in *spans* of up to 8 sub-blocks
// of 32 weights (a K-quant block is exactly one span; formats with blocks of 32 take 8 blocks at once, and the
// rest of the row at its end). A dot product is then sum(S * d * (u . q)) + sum(M * s), with q, d, s of the q8
// activation row.
//
// Registers. Decoders use only those named in DecodeRegisters, the temporaries rax and rdx, and masks k5 and
// k6.
#pragma once

#include "templates/x64/emitter.h"

#include <memory>

namespace ktc::x64 {

// Sub-blocks of 32 weights in a full span.
constexpr int spanBlocks = 8;

// Where a decoder leaves its results and what it may clobber. Indices are below 16, so that VEX forms exist.
//   wide   scale: 16 lanes, one per 16 weights · offset: the same
//   narrow scale[0], offset[0]: 8 lanes, one per 32 weights; formats with scales per 16 also use [1] for the
//   second half
struct DecodeRegisters {
  Emitter::Vec scale[2], offset[2]; // wide code uses [0] only
  Emitter::Vec weights;             // u of one group
  Emitter::Vec temps[3];
  Emitter::Vec fixed; // kept by the loop for the decoder: set in emitConstants, never clobbered
};

class BlockDecoder {
public:
  using RegExp = Xbyak::RegExp;
  using Vec = Emitter::Vec;

  // How M comes about.
  //   None: M = 0 · Multiple: M = multiple * S · Added, Subtracted: offset registers hold M or -M
  enum class Offset { None, Multiple, Added, Subtracted };

  BlockDecoder(Emitter &emitter, const KtTypeInfo &format) : e(emitter), format(format) {}
  virtual ~BlockDecoder() = default;

  // Sets `fixed` and masks, once before the loop.
  virtual void emitConstants(const DecodeRegisters &) {}
  // Scales (and offsets when they are Added or Subtracted) of the span at `row` with `blocks` (1..8)
  // sub-blocks; lanes of absent sub-blocks become 0.
  virtual void emitScales(const DecodeRegisters &regs, const RegExp &row, int blocks) = 0;
  // u of one group in regs.weights. Wide: sub-blocks 2 * group and 2 * group + 1 (any finite bytes if the
  // latter is absent). Narrow: sub-block `group`.
  virtual void emitWeights(const DecodeRegisters &regs, const RegExp &row, int group, int blocks) = 0;

  Offset offset() const { return offsetKind; }
  float offsetMultiple() const { return multiple; }
  // True when u is signed. Happens only without VNNI, where unsigned bytes above 63 would saturate.
  bool signedWeights() const { return isSigned; }
  // True when u takes all eight bits, so that sums of two products need more than 16 bits.
  bool wideBytes() const { return eightBits; }
  bool scalePerSixteen() const { return perSixteen; }
  // Bytes of a full span.
  int64_t spanBytes() const { return int64_t(spanBlocks) * 32 / format.blockElements * format.blockBytes; }

protected:
  // w = S * (u + value)
  void setMultiple(float value) {
    offsetKind = Offset::Multiple;
    multiple = value;
  }
  // Broadcasts the half at `src` to all lanes of `dst` as float32.
  void broadcastHalf(const Vec &dst, const RegExp &src);

  Emitter &e;
  const KtTypeInfo &format;
  Offset offsetKind = Offset::None;
  float multiple = 0;
  bool isSigned = false, eightBits = false;
  bool perSixteen = false;
};

// Creates the decoder of a quantised format; `format` must outlive it. Throws ParamError for float formats.
std::unique_ptr<BlockDecoder> makeDecoder(Emitter &emitter, const KtTypeInfo &format);

// Per family of layouts, null if `format` belongs to another.
std::unique_ptr<BlockDecoder> makeSmallBlockDecoder(Emitter &emitter, const KtTypeInfo &format);
std::unique_ptr<BlockDecoder> makeKQuantDecoder(Emitter &emitter, const KtTypeInfo &format);
std::unique_ptr<BlockDecoder> makeTableDecoder(Emitter &emitter, const KtTypeInfo &format);

// ---- Pieces shared by the families of layouts
// ------------------------------------------------------------------

// Wide: {0,0,1,1,..,7,7}, which doubles 8 scales per 32 weights to 16 per 16 weights.
Xbyak::Address doublingIndex(Emitter &e);
// dst = nibbles of 16-byte fields in element order (low nibbles first), through regs.weights. Wide: fields at
// `first` and, if `both`, `second` (needs k5 = 0x00ff, k6 = 0xff00). Narrow: the field at `first`.
void emitNibbles16(Emitter &e, const Emitter::Vec &dst, const Xbyak::RegExp &first, const Xbyak::RegExp &second,
                   bool both);
// Sets k5 and k6 for emitNibbles16 (wide only; nothing otherwise). Clobbers eax.
void emitHalfMasks(Emitter &e);

} // namespace ktc::x64
