// The matrix loop: tiles, passes over row groups, and the final sums. See matrix_kernel.h.
#include "templates/x64/matrix/matrix_kernel.h"

#include <algorithm>

namespace ktc::x64 {

int32_t immediate(int64_t value, std::string_view what) {
  if (value < INT32_MIN || value > INT32_MAX)
    throw ParamError(std::string(what) + " is " + std::to_string(value) + ", beyond 31 bits");
  return static_cast<int32_t>(value);
}

MatrixWeights MatrixKernel::makeWeights(const KtTypeInfo &format, int64_t k) {
  needWholeBlocks(format, k);
  MatrixWeights weights;
  weights.format = &format;
  weights.k = k;
  weights.rowBytes = ktc::rowBytes(format, k);
  smallestUnit = std::min(smallestUnit, rowsPerUnit * weights.rowBytes);
  weights.takesF32 = ktTypeTakesF32Activations(format.id);
  weights.takesQ8k = ktTypeTakesQ8k(format.id);
  if (!weights.takesF32)
    weights.decoder = makeDecoder(*this, format);
  if (weights.takesQ8k)
    weights.header = makeBlockHeader(*this, format);
  if (!weights.takesF32 && wide())
    weights.lanes = makeLaneDecoder(*this, format);
  return weights;
}

void MatrixKernel::readPrefetch(const Params &params) { prefetchesNext = flag(params, "prefetch"); }

// About 8 KiB behind the next one.
int MatrixKernel::fartherUnits() const {
  return 1 + static_cast<int>(std::max<int64_t>(1, (8192 + smallestUnit / 2) / smallestUnit));
}

std::vector<int> MatrixKernel::tileSizes(int64_t m, bool exact) const {
  std::vector<int> sizes;
  int64_t left = m;
  for (int size = wide() ? 8 : 4; size >= 1; --size) {
    if (size > left)
      continue;
    sizes.push_back(size);
    if (exact)
      left %= size;
  }
  return sizes;
}

int64_t MatrixKernel::denseActivationBytes(const MatrixWeights &weights) {
  if (weights.takesF32)
    return weights.k * 4;
  return static_cast<int64_t>(weights.takesQ8k ? ktQ8kRowBytes(weights.k) : ktQ8RowBytes(weights.k));
}

// Enough independent sums to hide the latency of the additions, few enough to stay in registers. Float formats
// need registers for little else, and profit from more rows: activations are then read less often.
int MatrixKernel::rowsPerPass(const MatrixWeights &weights, int tokens, int rows) const {
  if (rows < rowsPerUnit)
    return 1;
  const int sums = wide() ? 16 : weights.takesF32 ? 8 : 4;
  const int fitting = std::clamp(sums / tokens, 1, rowsPerUnit);
  return fitting == 3 ? 2 : fitting;
}

// Quantised formats (narrow only): sums 0-3. Float formats: sums 16-31 when wide, else 0-7.
MatrixKernel::Vec MatrixKernel::accumulator(const Tile &tile, int row, int t) const {
  return vec((wide() ? 16 : 0) + row * tile.tokens + t);
}

void MatrixKernel::emitTiles(size_t count, const std::vector<int> &sizes,
                             const std::function<void(int)> &body) {
  xor_(tokenCursor.cvt32(), tokenCursor.cvt32());
  for (int size : sizes) {
    Label again, enough;
    L(again);
    mov(eax, dword[frame(count)]);
    sub(eax, tokenCursor.cvt32());
    cmp(eax, size);
    jb(enough);
    body(size);
    add(tokenCursor.cvt32(), size);
    jmp(again);
    L(enough);
  }
}

void MatrixKernel::loadRows(const Xmm &dst, const Xbyak::RegExp &src, int rows) {
  if (rows == 4) {
    vmovups(dst, ptr[src]);
  } else {
    std::array<uint32_t, 4> lanes{};
    std::fill_n(lanes.begin(), rows, 0xffffffffu);
    vmovups(dst, table(lanes));
    vmaskmovps(dst, dst, ptr[src]);
  }
}

void MatrixKernel::storeRows(const Xbyak::RegExp &dst, const Xmm &src, int rows, const Xmm &mask) {
  if (rows == 4) {
    vmovups(ptr[dst], src);
  } else {
    std::array<uint32_t, 4> lanes{};
    std::fill_n(lanes.begin(), rows, 0xffffffffu);
    vmovups(mask, table(lanes));
    vmaskmovps(ptr[dst], mask, src);
  }
}

void MatrixKernel::emitProducts(const MatrixWeights &weights, int tokens, int rows, size_t results) {
  if (weights.takesQ8k || (wide() && !weights.takesF32)) {
    const Tile tile{weights, tokens, rows};
    wide() ? emitLanes(tile, results) : emitBlocks(tile, results);
    return;
  }
  const Tile tile{weights, tokens, rowsPerPass(weights, tokens, rows)};
  xor_(passOffset.cvt32(), passOffset.cvt32());
  if (!weights.takesF32)
    weights.decoder->emitConstants(decodeRegisters());
  Label pass;
  L(pass);
  emitPass(tile, results);
  if (tile.rows < rows) {
    add(passOffset, 4 * tile.rows);
    cmp(passOffset, 4 * rows);
    jb(pass);
  }
}

void MatrixKernel::emitPrefetch(const LaneRows &rows, int64_t bytes) {
  if (!prefetchesNext)
    return;
  mov(rax, ptr[frame(aheadBytes)]);
  for (int row = 0; row < rows.rows; ++row)
    for (int64_t line = 0; line < bytes; line += 64)
      prefetcht0(ptr[rows.at(row, static_cast<size_t>(line)) + rax]);
}

// One group of rows over the whole of k; leaves weightRow at the next group.
void MatrixKernel::emitPass(const Tile &tile, size_t results) {
  for (int row = 0; row < tile.rows; ++row)
    for (int t = 0; t < tile.tokens; ++t)
      zero(accumulator(tile, row, t));
  int64_t walked = 0;
  if (tile.weights.takesF32) {
    emitFloats(tile);
  } else {
    emitSpans(tile);
    walked = tile.weights.k / (spanBlocks * 32) * tile.weights.decoder->spanBytes();
  }
  for (int t = 0; t < tile.tokens; ++t)
    emitReduction(tile, t, results);
  add(weightRow, immediate(tile.rows * tile.weights.rowBytes - walked, "a group of rows"));
}

// Sums of the accumulators of token t to the results of this pass. The order is the same for any number of
// rows.
void MatrixKernel::emitReduction(const Tile &tile, int t, size_t results) {
  Xmm sums[rowsPerUnit];
  const Xmm tmp(15);
  for (int row = 0; row < tile.rows; ++row) {
    const Vec acc = accumulator(tile, row, t);
    sums[row] = wide() ? Xmm(row) : xmmOf(acc);
    if (wide()) {
      vextractf64x4(ymmOf(tmp), zmmOf(acc), 1);
      vaddps(ymmOf(sums[row]), ymmOf(acc), ymmOf(tmp));
    }
    vextractf128(tmp, ymmOf(sums[row]), 1);
    vaddps(sums[row], sums[row], tmp);
  }
  const Xbyak::RegExp out = rsp + passOffset + (results + size_t(t) * 16);
  if (tile.rows == 4) {
    vhaddps(sums[0], sums[0], sums[1]);
    vhaddps(sums[2], sums[2], sums[3]);
    vhaddps(sums[0], sums[0], sums[2]);
    vmovups(ptr[out], sums[0]);
  } else {
    vhaddps(sums[0], sums[0], sums[tile.rows - 1]);
    vhaddps(sums[0], sums[0], sums[0]);
    tile.rows == 2 ? vmovlps(ptr[out], sums[0]) : vmovss(ptr[out], sums[0]);
  }
}

} // namespace ktc::x64
