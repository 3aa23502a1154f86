// The matrix loop of the K-quants: q8k activations, whole blocks of 256 weights summed in integers.
//
// Per block, row and token:  sum += float(Σ s[j] * (u . q)[j]) * (d * dx)  and  minima += float(Σ m[j] *
// s16[j])
// * (dm * dx), with s and m of block_header.h. Integer sums are exact: 63 * 127 * 256 * 128 < 2^31.
//
// The sums of a pass are kept in the frame: the loads and stores cost no arithmetic ports, and a tile may then
// have any number of tokens. Wide code decodes the headers of all rows of a tile together, and its minima
// have four lanes per row; narrow code subtracts minima from the sum at once.
#include "templates/x64/matrix/matrix_kernel.h"

namespace ktc::x64 {

namespace {

// Vector registers by role. Wide: weights 0-3, their scales 16-19 (integer) of the four groups.
constexpr int wideScale = 16, wideIndex = 20, widePairs = 21, wideDot = 22, wideProduct = 23, wideFactor = 24;
// Narrow: integer sums of the tokens from 9 on.
constexpr int narrowMinima = 5, narrowIndex = 6, narrowDot = 8, narrowSum = 9, narrowScale = 13,
              narrowSigned = 14, narrowFactor = 15;

// vpshufb index that spreads the int16 of a broadcast qword (or dword) over 16 weights each; with `perSixteen`
// off over 32 each.
Xbyak::Address spreadIndex(Emitter &e, bool perSixteen) {
  std::array<uint8_t, 64> bytes;
  for (size_t i = 0; i < 64; ++i)
    bytes[i] = static_cast<uint8_t>(2 * (i / (perSixteen ? 16 : 32)) + i % 2);
  return e.constant(bytes);
}

} // namespace

DecodeRegisters MatrixKernel::blockRegisters(int group) const {
  const Vec weights = vec(wide() ? group : 0);
  if (wide())
    return {{vec(4), vec(5)}, {vec(6), vec(7)}, weights, {vec(8), vec(9), vec(10)}, vec(11)};
  return {{vec(1), vec(1)}, {vec(1), vec(1)}, weights, {vec(1), vec(2), vec(3)}, vec(4)};
}

BlockHeader::Registers MatrixKernel::headerRegisters() const {
  auto v = [this](int index) { return wide() ? Xmm(Zmm(index)) : Xmm(index); };
  if (wide())
    return {{v(4), v(5)}, {v(6), v(7)}, {v(8), v(9)}};
  return {{v(9), v(10)}, {v(11), v(12)}, {v(13), v(14)}};
}

Xbyak::RegExp MatrixKernel::blockSum(int t, int row) const {
  return frame(blockSums + (size_t(t) * rowsPerUnit + size_t(row)) * 64);
}

Xbyak::RegExp MatrixKernel::blockMinima(int t) const { return frame(blockMinimaSums + size_t(t) * 64); }

Xbyak::RegExp MatrixKernel::blockFactor(int t, int row, int half) const {
  return frame(blockFactors + size_t(t) * 32 + size_t(8 * row + 4 * half));
}

// spanIndex advances by 32 per block: the bytes of s, an eighth of those of q. scaleIndex by the 4 of d.
void MatrixKernel::emitBlocks(const Tile &tile) {
  const BlockHeader &header = *tile.weights.header;
  const Vec zeros = vec(0);
  zero(zeros);
  for (int t = 0; t < tile.tokens; ++t) {
    for (int row = 0; row < tile.rows; ++row)
      vmovups(ptr[blockSum(t, row)], zeros);
    if (wide())
      vmovups(ptr[blockMinima(t)], zeros);
  }
  tile.weights.decoder->emitConstants(blockRegisters(0));
  if (wide()) {
    vmovdqu32(zmmOf(vec(wideIndex)), spreadIndex(*this, header.scalePerSixteen()));
    std::array<uint32_t, 16> lanes;
    for (uint32_t lane = 0; lane < 16; ++lane)
      lanes[lane] = lane / 4 * 2 + static_cast<uint32_t>(header.minimumHalf());
    vmovdqu32(zmmOf(vec(widePairs)), table(lanes));
  } else {
    vmovdqu(vec(narrowIndex), spreadIndex(*this, true));
  }
  Label loop;
  xor_(spanIndex.cvt32(), spanIndex.cvt32());
  xor_(scaleIndex.cvt32(), scaleIndex.cvt32());
  align(32);
  L(loop);
  wide() ? emitWideBlock(tile) : emitNarrowBlock(tile);
  add(weightRow, static_cast<uint32_t>(tile.weights.format->blockBytes));
  add(spanIndex, 32);
  add(scaleIndex, 4);
  cmp(scaleIndex, static_cast<uint32_t>(tile.weights.k / 256 * 4));
  jb(loop);
}

// ---- Wide
// ------------------------------------------------------------------------------------------------------------

void MatrixKernel::emitWideBlock(const Tile &tile) {
  const BlockHeader &header = *tile.weights.header;
  const BlockHeader::Registers regs = headerRegisters();
  tile.weights.header->emit(regs, weightRow, tile.rows, tile.weights.rowBytes);
  if (tile.weights.decoder->wideBytes()) {
    emitFloatScales(tile.rows);
  } else {
    vmovdqu32(ptr[frame(blockScales)], regs.scales[0]);
    if (header.scalePerSixteen())
      vmovdqu32(ptr[frame(blockScales + 64)], regs.scales[1]);
  }
  // d and dm of the rows, side by side; times dx of each token to the frame.
  const Xmm pairs(regs.temps[0].getIdx());
  const Ymm factors(regs.temps[1].getIdx());
  vmovd(pairs, dword[weightRow + header.factors()]);
  for (int row = 1; row < tile.rows; ++row)
    vpinsrd(pairs, pairs,
            dword[weightRow + (size_t(row) * static_cast<size_t>(tile.weights.rowBytes) + header.factors())],
            static_cast<uint8_t>(row));
  vcvtph2ps(factors, pairs);
  for (int t = 0; t < tile.tokens; ++t)
    emitWideMinima(tile, t, regs, factors);
  for (int row = 0; row < tile.rows; ++row)
    emitWideRow(tile, row);
}

// The factors of token t, and its minima for all rows.
void MatrixKernel::emitWideMinima(const Tile &tile, int t, const BlockHeader::Registers &regs,
                                  const Ymm &factors) {
  const Vec dot = vec(wideDot), product = vec(wideProduct), factor = vec(wideFactor);
  vmulps(ymmOf(factor), factors, ptr_b[blockScale(tile, t)]);
  vmovups(ptr[blockFactor(t, 0, 0)], ymmOf(factor));
  vpermps(factor, vec(widePairs), factor);
  const Xbyak::RegExp sums = blockSixteenths(tile, t);
  vbroadcasti32x4(dot, ptr[sums]);
  vbroadcasti32x4(product, ptr[sums + 16]);
  vpmaddwd(dot, dot, zmmOf(regs.minima[0]));
  vpdpwssd(dot, product, zmmOf(regs.minima[1]));
  vcvtdq2ps(dot, dot);
  vfmadd213ps(dot, factor, ptr[blockMinima(t)]);
  vmovups(ptr[blockMinima(t)], dot);
}

// int32 scales as float32, 32 bytes per row: for formats whose products need 32 bits.
void MatrixKernel::emitFloatScales(int rows) {
  const BlockHeader::Registers regs = headerRegisters();
  const Zmm low(regs.temps[0].getIdx()), high(regs.temps[1].getIdx());
  vpmovsxwd(low, Ymm(regs.scales[0].getIdx()));
  vcvtdq2ps(low, low);
  vmovups(ptr[frame(blockScales)], low);
  if (rows <= 2)
    return;
  vextracti64x4(Ymm(high.getIdx()), Zmm(regs.scales[0].getIdx()), 1);
  vpmovsxwd(high, Ymm(high.getIdx()));
  vcvtdq2ps(high, high);
  vmovups(ptr[frame(blockScales + 64)], high);
}

// One row: the four groups of 64 weights and their scales in registers, then every token.
void MatrixKernel::emitWideRow(const Tile &tile, int row) {
  const BlockHeader &header = *tile.weights.header;
  BlockDecoder &decoder = *tile.weights.decoder;
  const Xbyak::RegExp start = weightRow + size_t(row) * static_cast<size_t>(tile.weights.rowBytes);
  for (int group = 0; group < 4; ++group) {
    decoder.emitWeights(blockRegisters(group), start, group, spanBlocks);
    const Vec scale = vec(wideScale + group);
    if (decoder.wideBytes()) {
      vbroadcastsd(scale, ptr[frame(blockScales + size_t(row) * 32 + size_t(group) * 8)]);
      vpermilps(scale, scale, table(std::array<uint32_t, 16>{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1}));
    } else if (header.scalePerSixteen()) {
      vpbroadcastq(scale,
                   ptr[frame(blockScales + size_t(group / 2) * 64 + size_t(row) * 16 + size_t(group % 2) * 8)]);
      vpshufb(scale, scale, vec(wideIndex));
    } else {
      vpbroadcastd(scale, ptr[frame(blockScales + size_t(row) * 16 + size_t(group) * 4)]);
      vpshufb(scale, scale, vec(wideIndex));
    }
  }
  const Vec dot = vec(wideDot), product = vec(wideProduct), factor = vec(wideFactor);
  for (int t = 0; t < tile.tokens; ++t) {
    for (int group = 0; group < 4; ++group) {
      const Address q = ptr[quants(t) + size_t(group) * 64];
      if (decoder.wideBytes()) {
        zero(product);
        dotBytes(product, vec(group), q);
        vcvtdq2ps(product, product);
        group == 0 ? vmulps(dot, product, vec(wideScale)) : vfmadd231ps(dot, product, vec(wideScale + group));
      } else {
        vpmaddubsw(product, vec(group), q);
        group == 0 ? vpmaddwd(dot, product, vec(wideScale)) : vpdpwssd(dot, product, vec(wideScale + group));
      }
    }
    if (!decoder.wideBytes())
      vcvtdq2ps(dot, dot);
    vbroadcastss(factor, ptr[blockFactor(t, row, header.scaleHalf())]);
    vfmadd213ps(dot, factor, ptr[blockSum(t, row)]);
    vmovups(ptr[blockSum(t, row)], dot);
  }
}

// ---- Narrow
// ----------------------------------------------------------------------------------------------------------

void MatrixKernel::emitNarrowBlock(const Tile &tile) {
  for (int row = 0; row < tile.rows; ++row) {
    emitNarrowHeader(tile, row);
    emitNarrowRow(tile, row);
  }
}

// Scales of a row to the frame: a dword per 32 weights, with the scale twice or those of both halves.
void MatrixKernel::emitNarrowHeader(const Tile &tile, int row) {
  const BlockHeader &header = *tile.weights.header;
  const BlockHeader::Registers regs = headerRegisters();
  const Xbyak::RegExp start = weightRow + size_t(row) * static_cast<size_t>(tile.weights.rowBytes);
  tile.weights.header->emit(regs, start, 1, tile.weights.rowBytes);
  Xmm low = regs.scales[0], high = regs.scales[1];
  if (!header.scalePerSixteen()) {
    vpunpckhwd(high, low, low);
    vpunpcklwd(low, low, low);
  }
  vmovdqu(ptr[frame(blockScales)], low);
  vmovdqu(ptr[frame(blockScales + 16)], high);
  if (header.multiple() != 0)
    vinserti128(vec(narrowMinima), ymmOf(regs.minima[0]), regs.minima[1], 1);
  const Xmm factors = regs.temps[0], scale = regs.temps[1];
  vmovd(factors, dword[start + header.factors()]);
  vcvtph2ps(factors, factors);
  for (int t = 0; t < tile.tokens; ++t) {
    vbroadcastss(scale, dword[blockScale(tile, t)]);
    vmulps(scale, scale, factors);
    vmovlps(ptr[blockFactor(t, 0, 0)], scale);
  }
}

// acc += a . b for pairs of int16. Clobbers narrowDot.
void MatrixKernel::narrowPairs(const Vec &acc, const Vec &a, const Vec &b) {
  if (hasVnni()) {
    vpdpwssd(acc, a, b, Xbyak::VexEncoding);
  } else {
    vpmaddwd(vec(narrowDot), a, b);
    vpaddd(acc, acc, vec(narrowDot));
  }
}

void MatrixKernel::emitNarrowRow(const Tile &tile, int row) {
  const BlockHeader &header = *tile.weights.header;
  BlockDecoder &decoder = *tile.weights.decoder;
  const Xbyak::RegExp start = weightRow + size_t(row) * static_cast<size_t>(tile.weights.rowBytes);
  const Vec weights = vec(0), dot = vec(narrowDot), scale = vec(narrowScale), magnitude = vec(narrowSigned);
  for (int group = 0; group < 8; ++group) {
    decoder.emitWeights(blockRegisters(0), start, group, spanBlocks);
    vpbroadcastd(scale, ptr[frame(blockScales + size_t(group) * 4)]);
    if (header.scalePerSixteen())
      vpshufb(scale, scale, vec(narrowIndex));
    if (decoder.signedWeights())
      vpabsb(magnitude, weights);
    for (int t = 0; t < tile.tokens; ++t) {
      const Address q = ptr[quants(t) + size_t(group) * 32];
      if (decoder.signedWeights()) {
        vmovdqu(dot, q);
        vpsignb(dot, dot, weights);
        vpmaddubsw(dot, magnitude, dot);
      } else {
        vpmaddubsw(dot, weights, q);
      }
      group == 0 ? vpmaddwd(vec(narrowSum + t), dot, scale) : narrowPairs(vec(narrowSum + t), dot, scale);
    }
  }
  const Vec factor = vec(narrowFactor);
  for (int t = 0; t < tile.tokens; ++t) {
    const Vec sum = vec(narrowSum + t);
    vcvtdq2ps(sum, sum);
    vbroadcastss(factor, ptr[blockFactor(t, 0, header.scaleHalf())]);
    vfmadd213ps(sum, factor, ptr[blockSum(t, row)]);
    if (header.multiple() != 0) {
      vpmaddwd(dot, vec(narrowMinima), ptr[blockSixteenths(tile, t)]);
      vcvtdq2ps(dot, dot);
      vbroadcastss(factor, ptr[blockFactor(t, 0, header.minimumHalf())]);
      if (header.multiple() != 1)
        vmulps(factor, factor, splat(header.multiple()));
      vfnmadd231ps(sum, dot, factor);
    }
    vmovups(ptr[blockSum(t, row)], sum);
  }
}

// ---- Results
// ---------------------------------------------------------------------------------------------------------

// Adds the lanes of `count` (1..4) xmm registers from `first` on: lane i of `first` becomes the sum of register
// first + i, in one order for any count. Absent registers hold anything.
void MatrixKernel::emitTransposedSums(int first) {
  vhaddps(Xmm(first), Xmm(first), Xmm(first + 1));
  vhaddps(Xmm(first + 2), Xmm(first + 2), Xmm(first + 3));
  vhaddps(Xmm(first), Xmm(first), Xmm(first + 2));
}

// float[4 rows] of token t at frame slot `results`: sums minus minima.
void MatrixKernel::emitBlockReduction(const Tile &tile, int t, size_t results) {
  for (int row = 0; row < tile.rows; ++row) {
    const Vec sum = vec(row), tmp = vec(8);
    vmovups(sum, ptr[blockSum(t, row)]);
    if (wide()) {
      vextractf64x4(ymmOf(tmp), zmmOf(sum), 1);
      vaddps(ymmOf(sum), ymmOf(sum), ymmOf(tmp));
    }
    vextractf128(xmmOf(tmp), ymmOf(sum), 1);
    vaddps(xmmOf(sum), xmmOf(sum), xmmOf(tmp));
    if (wide())
      vmovups(Xmm(4 + row), ptr[blockMinima(t) + size_t(row) * 16]);
  }
  emitTransposedSums(0);
  if (wide()) {
    emitTransposedSums(4);
    vmovups(xmm8, splat(tile.weights.header->multiple()));
    vfnmadd231ps(xmm0, xmm4, xmm8);
  }
  vmovups(ptr[frame(results + size_t(t) * 16)], xmm0);
}

} // namespace ktc::x64
