// The matrix loop of the 32-blocks without AVX-512: q8 activations, integer dot products, float32 scales.
//
// Per span, row and token: sum += M * s, then for each group sum += float(u . q) * (S * d).
#include "templates/x64/matrix/matrix_kernel.h"

#include <algorithm>

namespace ktc::x64 {

namespace {

// Vector registers by role; sums are 0-3.
constexpr int ones = 13, dotProduct = 14, groupScale = 15;

Xbyak::Address doubleIndex(Emitter &e, int part) {
  uint32_t f = 4 * part;
  return e.table(std::array<uint32_t, 8>{f, f, f + 1, f + 1, f + 2, f + 2, f + 3, f + 3});
}

} // namespace

DecodeRegisters MatrixKernel::decodeRegisters() const {
  if (wide())
    return {{vec(0), vec(0)}, {vec(1), vec(1)}, vec(2), {vec(3), vec(4), vec(5)}, vec(6)};
  return {{vec(4), vec(5)}, {vec(6), vec(7)}, vec(8), {vec(9), vec(10), vec(11)}, vec(12)};
}

Xbyak::RegExp MatrixKernel::scales(const Tile &tile, int t) const {
  return token(t) + spanIndex + ktQ8ScaleOffset(tile.weights.k);
}

Xbyak::RegExp MatrixKernel::sums(const Tile &tile, int t) const {
  return token(t) + spanIndex * 2 + ktQ8SumOffset(tile.weights.k);
}

// spanIndex advances by 32 per span: the bytes of d; q has 8 times, s twice as many.
void MatrixKernel::emitSpans(const Tile &tile) {
  if (!hasVnni())
    vmovdqu(vec(ones), splat<uint16_t>(1));
  const int spans = static_cast<int>(tile.weights.k / (spanBlocks * 32));
  const int tail = static_cast<int>(tile.weights.k % (spanBlocks * 32) / 32);
  xor_(spanIndex.cvt32(), spanIndex.cvt32());
  if (spans > 0) {
    Label loop;
    align(32);
    L(loop);
    emitSpan(tile, spanBlocks);
    add(weightRow, static_cast<uint32_t>(tile.weights.decoder->spanBytes()));
    add(spanIndex, 32);
    cmp(spanIndex, 32 * spans);
    jb(loop);
  }
  if (tail > 0)
    emitSpan(tile, tail);
}

void MatrixKernel::emitSpan(const Tile &tile, int blocks) {
  const DecodeRegisters regs = decodeRegisters();
  BlockDecoder &decoder = *tile.weights.decoder;
  emitPrefetch({weightRow, tile.rows, tile.weights.rowBytes},
               int64_t(blocks) * tile.weights.format->blockBytes);
  for (int row = 0; row < tile.rows; ++row) {
    const Xbyak::RegExp start = weightRow + size_t(row) * tile.weights.rowBytes;
    decoder.emitScales(regs, start, blocks);
    emitOffsets(tile, row, blocks);
    emitScaleProducts(tile, blocks);
    for (int group = 0; group < blocks; ++group) {
      decoder.emitWeights(regs, start, group, blocks);
      emitGroup(tile, row, group);
    }
  }
}

// sum += M * s for every token of the tile.
void MatrixKernel::emitOffsets(const Tile &tile, int row, int blocks) {
  using Offset = BlockDecoder::Offset;
  const DecodeRegisters regs = decodeRegisters();
  const BlockDecoder &decoder = *tile.weights.decoder;
  if (decoder.offset() == Offset::None)
    return;
  // Scales come per 32 weights, s per 16.
  if (decoder.offset() == Offset::Multiple)
    vmulps(regs.offset[0], regs.scale[0], splat(decoder.offsetMultiple()));
  for (int part : {1, 0}) {
    vmovups(regs.temps[0], doubleIndex(*this, part));
    vpermps(regs.offset[part], regs.temps[0], regs.offset[0]);
  }
  for (int t = 0; t < tile.tokens; ++t) {
    for (int part = 0; part < 2; ++part) {
      const int count = std::min(2 * blocks - part * lanes(), lanes());
      if (count <= 0)
        continue;
      const Xbyak::RegExp address = sums(tile, t) + size_t(part) * 32;
      const Vec acc = accumulator(tile, row, t);
      const bool whole = count == lanes();
      if (!whole)
        loadPartial(regs.temps[0], address, count);
      const Address memory = ptr[address];
      const Xbyak::Operand &s = whole ? static_cast<const Xbyak::Operand &>(memory) : regs.temps[0];
      decoder.offset() == Offset::Subtracted ? vfnmadd231ps(acc, regs.offset[part], s)
                                             : vfmadd231ps(acc, regs.offset[part], s);
    }
  }
}

// S * d of every token to the frame, eight floats.
void MatrixKernel::emitScaleProducts(const Tile &tile, int blocks) {
  const DecodeRegisters regs = decodeRegisters();
  const Vec &tmp = regs.temps[0];
  for (int t = 0; t < tile.tokens; ++t) {
    const Xbyak::RegExp d = scales(tile, t);
    if (blocks == spanBlocks) {
      vmulps(tmp, regs.scale[0], ptr[d]);
    } else {
      loadPartial(tmp, d, blocks);
      vmulps(tmp, tmp, regs.scale[0]);
    }
    vmovups(ptr[frame(scaleSlots + size_t(t) * 64)], tmp);
  }
}

// sum += float(u . q) * (S * d) for one decoded group and every token.
void MatrixKernel::emitGroup(const Tile &tile, int row, int group) {
  const DecodeRegisters regs = decodeRegisters();
  const BlockDecoder &decoder = *tile.weights.decoder;
  if (decoder.signedWeights())
    vpabsb(regs.temps[0], regs.weights);
  for (int t = 0; t < tile.tokens; ++t) {
    const Vec dot = emitDot(t, group, regs, decoder);
    vcvtdq2ps(dot, dot);
    const Vec scale = vec(groupScale);
    vbroadcastss(scale, ptr[frame(scaleSlots + size_t(t) * 64 + size_t(group) * 4)]);
    vfmadd231ps(accumulator(tile, row, t), dot, scale);
  }
}

// Integer products of the decoded weights with token t, four bytes to a lane.
MatrixKernel::Vec MatrixKernel::emitDot(int t, int group, const DecodeRegisters &regs,
                                        const BlockDecoder &decoder) {
  const Vec dot = vec(dotProduct);
  const Address q = ptr[quants(t) + size_t(group) * 32];
  if (decoder.signedWeights()) {
    // |w| . (q with the sign of w): at most 128 * 127 twice, which fits 16 bits.
    vmovdqu(dot, q);
    vpsignb(dot, dot, regs.weights);
    vpmaddubsw(dot, regs.temps[0], dot);
    vpmaddwd(dot, dot, vec(ones));
  } else if (hasVnni()) {
    zero(dot);
    dotBytes(dot, regs.weights, q);
  } else {
    vpmaddubsw(dot, regs.weights, q);
    vpmaddwd(dot, dot, vec(ones));
  }
  return dot;
}

} // namespace ktc::x64
