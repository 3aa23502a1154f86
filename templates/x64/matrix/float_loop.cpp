// The matrix loop of the float formats: weights are converted to float32 and multiplied with float32
// activations.
#include "templates/x64/matrix/matrix_kernel.h"

namespace ktc::x64 {

// spanIndex counts elements here.
void MatrixKernel::emitFloats(const Tile &tile) {
  const int64_t whole = tile.weights.k / lanes() * lanes();
  xor_(spanIndex.cvt32(), spanIndex.cvt32());
  if (whole > 0) {
    Label loop;
    align(32);
    L(loop);
    emitFloatStep(tile, lanes());
    add(spanIndex, lanes());
    cmp(spanIndex, static_cast<uint32_t>(whole));
    jb(loop);
  }
  if (whole < tile.weights.k)
    emitFloatStep(tile, static_cast<int>(tile.weights.k - whole));
}

// Converted weights of all rows stay in registers 8-11 while the tokens pass by.
void MatrixKernel::emitFloatStep(const Tile &tile, int count) {
  constexpr int firstWeights = 8;
  const Vec x = vec(12);
  const int bytes = static_cast<int>(tile.weights.format->blockBytes);
  if (prefetchesNext) {
    lea(rax, ptr[weightRow + spanIndex * bytes]);
    add(rax, ptr[frame(aheadBytes)]);
    for (int row = 0; row < tile.rows; ++row)
      prefetcht0(ptr[rax + size_t(row) * tile.weights.rowBytes]);
  }
  for (int row = 0; row < tile.rows; ++row)
    emitFloatWeights(vec(firstWeights + row), tile.weights,
                     weightRow + spanIndex * bytes + size_t(row) * tile.weights.rowBytes, count);
  for (int t = 0; t < tile.tokens; ++t) {
    loadPartial(x, token(t) + spanIndex * 4, count);
    for (int row = 0; row < tile.rows; ++row)
      vfmadd231ps(accumulator(tile, row, t), vec(firstWeights + row), x);
  }
}

// dst = `count` weights as float32, other lanes 0; reads exactly those.
void MatrixKernel::emitFloatWeights(const Vec &dst, const MatrixWeights &weights, const Xbyak::RegExp &src,
                                    int count) {
  if (weights.format->id == KT_TYPE_F32) {
    loadPartial(dst, src, count);
    return;
  }
  const bool isHalf = weights.format->id == KT_TYPE_F16;
  const Xmm packed = wide() ? static_cast<Xmm>(ymmOf(dst)) : xmmOf(dst);
  if (count == lanes()) {
    isHalf ? vcvtph2ps(dst, ptr[src]) : vpmovzxwd(dst, ptr[src]);
  } else if (wide()) {
    kmovw(maskRegister, splat(static_cast<uint16_t>((1u << count) - 1)));
    vmovdqu16(ymmOf(dst) | maskRegister | T_z, ptr[src]);
    isHalf ? vcvtph2ps(dst, ymmOf(dst)) : vpmovzxwd(dst, ymmOf(dst));
  } else {
    zero(packed);
    for (int i = 0; i < count; ++i)
      vpinsrw(packed, packed, word[src + size_t(i) * 2], i);
    isHalf ? vcvtph2ps(dst, packed) : vpmovzxwd(dst, packed);
  }
  if (!isHalf)
    vpslld(dst, dst, 16);
}

} // namespace ktc::x64
