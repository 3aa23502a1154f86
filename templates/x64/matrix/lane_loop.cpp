// The matrix loops of wide code for quantised formats: four rows side by side, one to a 128-bit lane.
//
// quant/lane_decoder.h says how weights lie; 16 activations are broadcast to all lanes. Per token:
//   K-quants    per block of 256: I += vpdpwssd(vpdpbusd of 32 weights, scale); sum += (float(I) * d - float(m
//   . s16)
//               * dm) * dx.  A lane of vpdpbusd has at most eight products of a scale, 31 * 128 * 8 < 2^15, so
//               its low half multiplied with {scale, 0} is exact.
//   32-blocks   per block: sum += float(I) * (S * d), per span: offsets += M * s
// A lane never depends on the others: absent rows repeat the last one and are dropped at the end.
#include "templates/x64/matrix/matrix_kernel.h"

#include <algorithm>

namespace ktc::x64 {

namespace {

// Vector registers by role; 0-11 are the decoder's.
constexpr int minimaAt = 12, scalesAt = 14;                // K-quants: header of the block
constexpr int factorAt = 16, minimaFactorAt = 17;          // K-quants: d and dm
constexpr int scaleAt = 12, offsetAt = 14, productAt = 16; // 32-blocks: S, M, S * d of the only token
constexpr int subScaleAt = 18, quantAt = 20, dotAt = 22, sumAt = 24;
constexpr int onlyOffsetAt = sumAt + 1; // 32-blocks: offsets of the only token

// {start, start, start, start, start + step x4, start + 2 * step x4, ...}
Xbyak::Address fours(Emitter &e, uint32_t start, uint32_t step) {
  std::array<uint32_t, 16> lanes;
  for (uint32_t lane = 0; lane < 16; ++lane)
    lanes[lane] = start + lane / 4 * step;
  return e.table(lanes);
}

// vpshufb index for word `word` of each 128-bit lane as {word, 0} in all dwords, or {0, word}.
Xbyak::Address wordIndex(Emitter &e, int word, bool high) {
  std::array<uint8_t, 64> bytes;
  for (int i = 0; i < 64; ++i)
    bytes[static_cast<size_t>(i)] = (i % 4 / 2 == 1) == high ? static_cast<uint8_t>(2 * word + i % 2) : 0x80;
  return e.constant(bytes);
}

} // namespace

// The lines that stand for these `bytes` of each row and for step `step` of `steps`, of the next unit to the
// first cache and of the farther one to the second. They are taken in the order of addresses, not row by row
// side by side as they will be used, so that the hardware's prefetcher follows; and spread over the steps, so
// that requests never queue up. One distance alone reaches 83 to 90 % of the read rate, both together all of
// it.
void MatrixKernel::emitLanePrefetch(const LaneRows &rows, int64_t bytes, int step, int steps) {
  if (!prefetchesNext)
    return;
  const int64_t lines = (rows.rows * bytes + 63) / 64;
  const size_t from = static_cast<size_t>(lines * step / steps * 64),
               to = static_cast<size_t>(lines * (step + 1) / steps * 64);
  for (size_t line = from; line < to; line += 64)
    prefetcht0(ptr[prefetchCursor + line]);
  mov(rax, ptr[frame(fartherBytes)]);
  for (size_t line = from; line < to; line += 64)
    prefetcht2(ptr[prefetchCursor + rax + line]);
}

void MatrixKernel::emitLanes(const Tile &tile, size_t results) {
  const MatrixWeights &weights = tile.weights;
  for (int t = 0; t < tile.tokens; ++t) {
    zero(vec(sumAt + t));
    if (weights.takesQ8k)
      vmovups(ptr[laneSum(t)], vec(sumAt + t));
    else
      for (size_t half : {0, 1})
        tile.tokens == 1 ? zero(vec(onlyOffsetAt + static_cast<int>(half)))
                         : vmovups(ptr[laneOffset(t) + half * 64], vec(sumAt + t));
  }
  weights.lanes->emitConstants();
  if (prefetchesNext) {
    mov(prefetchCursor, weightRow);
    add(prefetchCursor, ptr[frame(aheadBytes)]);
  }
  xor_(spanIndex.cvt32(), spanIndex.cvt32());
  xor_(scaleIndex.cvt32(), scaleIndex.cvt32());
  const int64_t spans = weights.k / (spanBlocks * 32);
  const int tail = static_cast<int>(weights.k % (spanBlocks * 32) / 32);
  const int64_t spanBytes = weights.decoder->spanBytes();
  if (spans > 0) {
    Label loop;
    align(32);
    L(loop);
    weights.takesQ8k ? emitLaneBlock(tile) : emitLaneSpan(tile, spanBlocks);
    add(weightRow, static_cast<uint32_t>(spanBytes));
    if (prefetchesNext)
      add(prefetchCursor, static_cast<uint32_t>(tile.rows * spanBytes));
    add(spanIndex, 32);
    add(scaleIndex, 4);
    cmp(scaleIndex, static_cast<uint32_t>(4 * spans));
    jb(loop);
  }
  if (tail > 0)
    emitLaneSpan(tile, tail);
  for (int t = 0; t < tile.tokens; ++t)
    emitLaneResults(tile, t, results);
}

// dot = u . q of half `half` (16 weights) of sub `sub`, added to dot unless it is the first.
void MatrixKernel::emitLaneDot(int t, int sub, int half, const Vec &weights, bool first) {
  const Vec dot = vec(dotAt), q = vec(quantAt + half);
  vbroadcasti32x4(q, ptr[quants(t) + (size_t(sub) * 32 + size_t(half) * 16)]);
  if (first)
    zero(dot);
  dotBytes(dot, weights, q);
}

// ---- K-quants
// --------------------------------------------------------------------------------------------------------

void MatrixKernel::emitLaneBlock(const Tile &tile) {
  const MatrixWeights &weights = tile.weights;
  const LaneRows rows = {weightRow, tile.rows, weights.rowBytes};
  emitLaneHeader(tile);
  for (int step = 0; step < 4; ++step) {
    emitLanePrefetch(rows, weights.format->blockBytes, step, 4);
    weights.lanes->emitStep(rows, step, spanBlocks);
    for (int which : {0, 1})
      emitLaneSub(tile, weights.lanes->sub(step, which), 2 * which, step == 0 && which == 0);
  }
  for (int t = 0; t < tile.tokens; ++t)
    emitLaneBlockSum(tile, t);
}

// Scales and minima in registers, d and dm of each row in its lane.
void MatrixKernel::emitLaneHeader(const Tile &tile) {
  const MatrixWeights &weights = tile.weights;
  const BlockHeader &header = *weights.header;
  auto v = [](int index) { return Xmm(Zmm(index)); };
  weights.header->emit({{v(scalesAt), v(scalesAt + 1)}, {v(minimaAt), v(minimaAt + 1)}, {v(4), v(5)}},
                       weightRow, tile.rows, weights.rowBytes);
  const Xmm pairs(4);
  vmovd(pairs, dword[weightRow + header.factors()]);
  for (int row = 1; row < tile.rows; ++row)
    vpinsrd(pairs, pairs,
            dword[weightRow + (size_t(row) * static_cast<size_t>(weights.rowBytes) + header.factors())],
            static_cast<uint8_t>(row));
  vcvtph2ps(Ymm(5), pairs);
  const Vec d = vec(factorAt), dm = vec(minimaFactorAt);
  vmovups(d, fours(*this, static_cast<uint32_t>(header.scaleHalf()), 2));
  vmovups(dm, fours(*this, static_cast<uint32_t>(header.minimumHalf()), 2));
  vpermps(d, d, vec(5));
  vpermps(dm, dm, vec(5));
  if (weights.lanes->wideBytes()) // scales are used times 2^16
    vmulps(d, d, splat(1.0f / 65536));
  if (header.multiple() != 1)
    vmulps(dm, dm, splat(header.multiple()));
}

// The sums of all tokens gain those of one sub, whose u are in registers `at` and `at` + 1.
void MatrixKernel::emitLaneSub(const Tile &tile, int sub, int at, bool first) {
  const bool perSixteen = tile.weights.header->scalePerSixteen(), isFloat = tile.weights.lanes->wideBytes();
  for (int half = 0; half < (perSixteen ? 2 : 1); ++half) {
    const int number = perSixteen ? 2 * sub + half : sub;
    const Vec scale = vec(subScaleAt + half);
    vpshufb(scale, vec(scalesAt + number / 8), wordIndex(*this, number % 8, isFloat));
    if (isFloat)
      vcvtdq2ps(scale, scale);
  }
  const Vec dot = vec(dotAt);
  for (int t = 0; t < tile.tokens; ++t) {
    const Vec sum = vec(sumAt + t);
    emitLaneDot(t, sub, 0, vec(at), true);
    if (perSixteen) {
      first ? vpmaddwd(sum, dot, vec(subScaleAt)) : vpdpwssd(sum, dot, vec(subScaleAt));
      emitLaneDot(t, sub, 1, vec(at + 1), true);
      vpdpwssd(sum, dot, vec(subScaleAt + 1));
      continue;
    }
    emitLaneDot(t, sub, 1, vec(at + 1), false);
    if (isFloat) {
      vcvtdq2ps(dot, dot);
      first ? vmulps(sum, dot, vec(subScaleAt)) : vfmadd231ps(sum, dot, vec(subScaleAt));
    } else {
      first ? vpmaddwd(sum, dot, vec(subScaleAt)) : vpdpwssd(sum, dot, vec(subScaleAt));
    }
  }
}

void MatrixKernel::emitLaneBlockSum(const Tile &tile, int t) {
  const Vec sum = vec(sumAt + t), minima = vec(dotAt), other = vec(quantAt);
  const Xbyak::RegExp sums = blockSixteenths(tile, t);
  vbroadcasti32x4(minima, ptr[sums]);
  vbroadcasti32x4(other, ptr[sums + 16]);
  vpmaddwd(minima, minima, vec(minimaAt));
  vpdpwssd(minima, other, vec(minimaAt + 1));
  vcvtdq2ps(minima, minima);
  if (!tile.weights.lanes->wideBytes())
    vcvtdq2ps(sum, sum);
  vmulps(sum, sum, vec(factorAt));
  vfnmadd231ps(sum, minima, vec(minimaFactorAt));
  vbroadcastss(other, dword[blockScale(tile, t)]);
  vfmadd213ps(sum, other, ptr[laneSum(t)]);
  vmovups(ptr[laneSum(t)], sum);
}

// ---- 32-blocks
// -------------------------------------------------------------------------------------------------------

void MatrixKernel::emitLaneSpan(const Tile &tile, int blocks) {
  const MatrixWeights &weights = tile.weights;
  LaneDecoder &decoder = *weights.lanes;
  const LaneRows rows = {weightRow, tile.rows, weights.rowBytes};
  const Vec scales[] = {vec(scaleAt), vec(scaleAt + 1)}, offsets[] = {vec(offsetAt), vec(offsetAt + 1)};
  decoder.emitScales(rows, blocks, scales, offsets);
  for (int t = 0; t < tile.tokens; ++t)
    emitLaneFactors(tile, t, blocks);
  for (int step = 0; 2 * step < blocks; ++step) {
    emitLanePrefetch(rows, int64_t(blocks) * weights.format->blockBytes, step, (blocks + 1) / 2);
    decoder.emitStep(rows, step, blocks);
    for (int which = 0; which < 2 && 2 * step + which < blocks; ++which)
      for (int t = 0; t < tile.tokens; ++t)
        emitLaneProduct(tile, t, 2 * step + which, 2 * which);
  }
}

// sum += float(u . q) * (S * d) of one block.
void MatrixKernel::emitLaneProduct(const Tile &tile, int t, int sub, int at) {
  const Vec dot = vec(dotAt), factor = vec(subScaleAt);
  emitLaneDot(t, sub, 0, vec(at), true);
  emitLaneDot(t, sub, 1, vec(at + 1), false);
  vcvtdq2ps(dot, dot);
  const uint8_t same = static_cast<uint8_t>(sub % 4 * 0x55); // dword sub % 4 of every row's lane
  if (tile.tokens == 1)
    vpermilps(factor, vec(productAt + sub / 4), same);
  else
    vpermilps(factor, ptr[laneFactor(t) + size_t(sub / 4) * 64], same);
  vfmadd231ps(vec(sumAt + t), dot, factor);
}

// S * d of token t to the frame (or, of the only one, to registers), and offsets += M * s. Both are in the
// order of LaneDecoder::emitScales.
void MatrixKernel::emitLaneFactors(const Tile &tile, int t, int blocks) {
  const LaneDecoder &decoder = *tile.weights.lanes;
  const Vec d = vec(quantAt), s = vec(dotAt), index = vec(dotAt + 1), part = vec(subScaleAt);
  if (blocks < spanBlocks)
    loadPartial(d, scales(tile, t), blocks);
  for (int half : {0, 1}) {
    const Vec product = vec(tile.tokens == 1 ? productAt + half : subScaleAt);
    if (blocks < spanBlocks)
      vshuff32x4(part, d, d, half == 0 ? 0 : 0b01010101);
    else
      vbroadcastf32x4(part, ptr[scales(tile, t) + size_t(half) * 16]);
    vmulps(product, part, vec(scaleAt + half));
    if (tile.tokens > 1)
      vmovups(ptr[laneFactor(t) + size_t(half) * 64], product);
  }
  loadPartial(s, sums(tile, t), 2 * blocks);
  vpermilps(index, s, 0b10110001);
  vaddps(s, s, index);
  for (int half : {0, 1}) {
    const uint32_t first = static_cast<uint32_t>(8 * half);
    vmovups(index, table(std::array<uint32_t, 16>{first, first + 2, first + 4, first + 6, first, first + 2,
                                                  first + 4, first + 6, first, first + 2, first + 4, first + 6,
                                                  first, first + 2, first + 4, first + 6}));
    vpermps(part, index, s);
    const Vec weight = vec((decoder.hasOffset() ? offsetAt : scaleAt) + half);
    if (tile.tokens == 1) {
      vfmadd231ps(vec(onlyOffsetAt + half), part, weight);
    } else {
      const Xbyak::RegExp at = laneOffset(t) + size_t(half) * 64;
      vfmadd213ps(part, weight, ptr[at]);
      vmovups(ptr[at], part);
    }
  }
}

// ---- Results
// ---------------------------------------------------------------------------------------------------------

// float[4 rows] of token t at frame slot `results`: the four lanes of each row together, (0 + 1) + (2 + 3).
void MatrixKernel::emitLaneResults(const Tile &tile, int t, size_t results) {
  const Vec sum = vec(sumAt + t), other = vec(quantAt);
  if (tile.weights.takesQ8k) {
    vmovups(sum, ptr[laneSum(t)]);
  } else {
    const LaneDecoder &decoder = *tile.weights.lanes;
    const Vec offsets = vec(tile.tokens == 1 ? onlyOffsetAt : dotAt);
    if (tile.tokens == 1) {
      vaddps(offsets, offsets, vec(onlyOffsetAt + 1));
    } else {
      vmovups(offsets, ptr[laneOffset(t)]);
      vaddps(offsets, offsets, ptr[laneOffset(t) + 64]);
    }
    decoder.hasOffset() ? vaddps(sum, sum, offsets) : vfmadd231ps(sum, offsets, splat(decoder.multiple()));
  }
  for (uint8_t swapped : {0b10110001, 0b01001110}) {
    vpermilps(other, sum, swapped);
    vaddps(sum, sum, other);
  }
  vmovups(other, table(std::array<uint32_t, 4>{0, 4, 8, 12}));
  vpermps(vec(0), other, sum);
  vmovups(ptr[frame(results + size_t(t) * 16)], xmm0);
}

} // namespace ktc::x64
