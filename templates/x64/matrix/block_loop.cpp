// The matrix loop of the K-quants without AVX-512: q8k activations, blocks of 256 weights summed in integers.
//
// Per block, row and token:  sum += float(Σ s[j] * (u . q)[j]) * (d * dx) - float(Σ m[j] * s16[j]) * (dm * dx),
// with s and m of block_header.h. Integer sums are exact: 63 * 127 * 256 * 128 < 2^31.
//
// The sums of a pass are kept in the frame: the loads and stores cost no arithmetic ports, and registers are
// left for the integer sums of all tokens of a tile. lane_loop.cpp does the same with AVX-512.
#include "templates/x64/matrix/matrix_kernel.h"

namespace ktc::x64 {

namespace {

// Vector registers by role: integer sums of the tokens from 9 on.
constexpr int narrowMinima = 5, narrowIndex = 6, narrowDot = 8, narrowSum = 9, narrowScale = 13,
              narrowSigned = 14, narrowFactor = 15;

// vpshufb index that spreads the two int16 of a broadcast dword over 16 weights each.
Xbyak::Address spreadIndex(Emitter &e) {
  std::array<uint8_t, 32> bytes;
  for (size_t i = 0; i < 32; ++i)
    bytes[i] = static_cast<uint8_t>(2 * (i / 16) + i % 2);
  return e.table(bytes);
}

} // namespace

DecodeRegisters MatrixKernel::blockRegisters() const {
  return {{vec(1), vec(1)}, {vec(1), vec(1)}, vec(0), {vec(1), vec(2), vec(3)}, vec(4)};
}

BlockHeader::Registers MatrixKernel::headerRegisters() const {
  return {{Xmm(9), Xmm(10)}, {Xmm(11), Xmm(12)}, {Xmm(13), Xmm(14)}};
}

Xbyak::RegExp MatrixKernel::blockSum(int t, int row) const {
  return frame(blockSums + (size_t(t) * rowsPerUnit + size_t(row)) * 32);
}

Xbyak::RegExp MatrixKernel::blockFactor(int t, int half) const {
  return frame(blockFactors + size_t(t) * 8 + size_t(4 * half));
}

// spanIndex advances by 32 per block: the bytes of s, an eighth of those of q. scaleIndex by the 4 of d.
void MatrixKernel::emitBlocks(const Tile &tile, size_t results) {
  zero(vec(0));
  for (int t = 0; t < tile.tokens; ++t)
    for (int row = 0; row < tile.rows; ++row)
      vmovups(ptr[blockSum(t, row)], vec(0));
  tile.weights.decoder->emitConstants(blockRegisters());
  vmovdqu(vec(narrowIndex), spreadIndex(*this));
  Label loop;
  xor_(spanIndex.cvt32(), spanIndex.cvt32());
  xor_(scaleIndex.cvt32(), scaleIndex.cvt32());
  align(32);
  L(loop);
  emitPrefetch({weightRow, tile.rows, tile.weights.rowBytes}, tile.weights.format->blockBytes);
  for (int row = 0; row < tile.rows; ++row) {
    emitBlockHeader(tile, row);
    emitBlockRow(tile, row);
  }
  add(weightRow, static_cast<uint32_t>(tile.weights.format->blockBytes));
  add(spanIndex, 32);
  add(scaleIndex, 4);
  cmp(scaleIndex, static_cast<uint32_t>(tile.weights.k / 256 * 4));
  jb(loop);
  for (int t = 0; t < tile.tokens; ++t)
    emitBlockResults(tile, t, results);
}

// Scales of a row to the frame: a dword per 32 weights, with the scale twice or those of both halves.
void MatrixKernel::emitBlockHeader(const Tile &tile, int row) {
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
    vmovlps(ptr[blockFactor(t, 0)], scale);
  }
}

// acc += a . b for pairs of int16. Clobbers narrowDot.
void MatrixKernel::addPairs(const Vec &acc, const Vec &a, const Vec &b) {
  if (hasVnni()) {
    vpdpwssd(acc, a, b, Xbyak::VexEncoding);
  } else {
    vpmaddwd(vec(narrowDot), a, b);
    vpaddd(acc, acc, vec(narrowDot));
  }
}

void MatrixKernel::emitBlockRow(const Tile &tile, int row) {
  const BlockHeader &header = *tile.weights.header;
  BlockDecoder &decoder = *tile.weights.decoder;
  const Xbyak::RegExp start = weightRow + size_t(row) * static_cast<size_t>(tile.weights.rowBytes);
  const Vec weights = vec(0), dot = vec(narrowDot), scale = vec(narrowScale), magnitude = vec(narrowSigned);
  for (int group = 0; group < 8; ++group) {
    decoder.emitWeights(blockRegisters(), start, group, spanBlocks);
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
      group == 0 ? vpmaddwd(vec(narrowSum + t), dot, scale) : addPairs(vec(narrowSum + t), dot, scale);
    }
  }
  const Vec factor = vec(narrowFactor);
  for (int t = 0; t < tile.tokens; ++t) {
    const Vec sum = vec(narrowSum + t);
    vcvtdq2ps(sum, sum);
    vbroadcastss(factor, ptr[blockFactor(t, header.scaleHalf())]);
    vfmadd213ps(sum, factor, ptr[blockSum(t, row)]);
    if (header.multiple() != 0) {
      vpmaddwd(dot, vec(narrowMinima), ptr[blockSixteenths(tile, t)]);
      vcvtdq2ps(dot, dot);
      vbroadcastss(factor, ptr[blockFactor(t, header.minimumHalf())]);
      if (header.multiple() != 1)
        vmulps(factor, factor, splat(header.multiple()));
      vfnmadd231ps(sum, dot, factor);
    }
    vmovups(ptr[blockSum(t, row)], sum);
  }
}

// Sums of the lanes of four xmm registers from `first` on, to the lanes of `first`.
void MatrixKernel::emitTransposedSums(int first) {
  vhaddps(Xmm(first), Xmm(first), Xmm(first + 1));
  vhaddps(Xmm(first + 2), Xmm(first + 2), Xmm(first + 3));
  vhaddps(Xmm(first), Xmm(first), Xmm(first + 2));
}

// float[4 rows] of token t at frame slot `results`; those of absent rows are anything.
void MatrixKernel::emitBlockResults(const Tile &tile, int t, size_t results) {
  for (int row = 0; row < tile.rows; ++row) {
    vmovups(Xmm(row), ptr[blockSum(t, row)]);
    vaddps(Xmm(row), Xmm(row), ptr[blockSum(t, row) + 16]);
  }
  emitTransposedSums(0);
  vmovups(ptr[frame(results + size_t(t) * 16)], xmm0);
}

} // namespace ktc::x64
