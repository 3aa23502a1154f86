// Products of a panel with sixteen packed tokens: see panel_kernel.h.
//
// Registers: rsi panel, rdi packed tokens, r8 = 64 (stride of all tiles), r9 stored sums, zmm16-31 the sums of
// the sixteen rows, a lane per token. zmm0-7 hold packed bytes of a block for vpdpbusd; zmm8 d, zmm9 and zmm10
// s.
#include "templates/x64/matrix/panel_kernel.h"
#include "templates/x64/matrix/panel_layout.h"

namespace ktc::x64 {

namespace {

constexpr int firstSum = 16, scaleRegister = 8, sumRegister = 9, firstTemporary = 11;

// Sixteen weights share a scale, or thirty-two: a *part* is what one integer sum may span.
int partsPerBlock(const MatrixWeights &weights) { return weights.decoder->scalePerSixteen() ? 2 : 1; }

} // namespace

// float[token][row] at scratch offset `results` = panel at offset `panel` times the tokens at Packed.
void PanelKernel::emitPanelProducts(const MatrixWeights &weights, int64_t panel, int64_t results) {
  const int64_t spans = weights.k / 256;
  const int tail = static_cast<int>(weights.k % 256 / 32);
  mov(r9, ptr[frame(Scratch)]);
  lea(rsi, ptr[r9 + immediate(panel, "panels")]);
  mov(rdi, ptr[frame(Packed)]);
  mov(r8d, 64);
  for (int row = 0; row < panelRows; ++row)
    zero(vec(firstSum + row));
  if (spans > 0) {
    Label loop;
    mov(ecx, immediate(spans, "spans"));
    align(32);
    L(loop);
    emitProductSpan(weights, spanBlocks);
    add(rsi, panelSpanStride);
    add(rdi, panelSpanStride);
    dec(ecx);
    jnz(loop);
  }
  if (tail > 0)
    emitProductSpan(weights, tail);
  emitResults(results);
}

// Tile products run as far ahead of the vector code that uses them as there are tiles.
void PanelKernel::emitProductSpan(const MatrixWeights &weights, int blocks) {
  const int perBlock = partsPerBlock(weights), ahead = sumTiles / perBlock - 1;
  auto issue = [&](int block) {
    for (int part = 0; part < perBlock && block < blocks; ++part)
      emitTileProduct(weights, block * perBlock + part);
  };
  if (usesTiles())
    for (int block = 0; block < ahead; ++block)
      issue(block);
  for (int block = 0; block < blocks; ++block) {
    if (usesTiles())
      issue(block + ahead);
    emitBlockSums(weights, block);
    if (hasOffsets(weights))
      emitBlockOffsets(weights, block);
  }
}

// Stored sums of part % sumTiles = weights . tokens of a part.
void PanelKernel::emitTileProduct(const MatrixWeights &weights, int part) {
  const bool half = weights.decoder->scalePerSixteen();
  const int bytes = half ? 16 : 32, perGroup = 64 / bytes;
  const Xbyak::Tmm sum(part % sumTiles), w(half ? halfWeightTile : weightTile),
      x(half ? halfTokenTile : tokenTile);
  tilezero(sum);
  tileloadd(w, ptr[rsi + r8 + (part / perGroup * 1024 + part % perGroup * bytes)]);
  tileloadd(x, ptr[rdi + r8 + part * bytes * panelTokens]);
  storesSigned(weights) ? tdpbssd(sum, w, x) : tdpbusd(sum, w, x);
  tilestored(ptr[r9 + r8 + (panelSums + part % sumTiles * 1024)], sum);
}

// dot = float of the integer sums of a row and a part, a lane per token.
void PanelKernel::emitRowDot(const MatrixWeights &weights, int row, int part, const Vec &dot) {
  if (usesTiles()) {
    vcvtdq2ps(dot, ptr[r9 + (panelSums + part % sumTiles * 1024 + row * 64)]);
    return;
  }
  const int bytes = weights.decoder->scalePerSixteen() ? 16 : 32, perGroup = 64 / bytes;
  const int first = part * bytes % 32 / 4; // packed registers of the part
  zero(dot);
  for (int i = 0; i < bytes / 4; ++i) {
    const Vec quad = vec(firstTemporary + 4);
    vpbroadcastd(quad, ptr[rsi + (part / perGroup * 1024 + row * 64 + part % perGroup * bytes + i * 4)]);
    dotBytes(dot, quad, vec(first + i));
  }
  vcvtdq2ps(dot, dot);
}

// sum += float(u . q) * S * d for every row of a block. Two parts of a block share d.
void PanelKernel::emitBlockSums(const MatrixWeights &weights, int block) {
  const bool half = weights.decoder->scalePerSixteen();
  const Vec d = vec(scaleRegister);
  vmovups(d, ptr[rdi + (packedScales + block * 64)]);
  if (!usesTiles())
    for (int i = 0; i < 8; ++i)
      moveInt(vec(i), ptr[rdi + (block * 512 + i * 64)]);
  for (int row = 0; row < panelRows; ++row) {
    const Vec dot = vec(firstTemporary + row % 2 * 2), other = vec(firstTemporary + 1 + row % 2 * 2);
    const int scale = panelScales + row * 64 + block * 8;
    if (half) {
      emitRowDot(weights, row, 2 * block, dot);
      vmulps(dot, dot, ptr_b[rsi + scale]);
      emitRowDot(weights, row, 2 * block + 1, other);
      vfmadd231ps(dot, other, ptr_b[rsi + (scale + 4)]);
      vfmadd231ps(vec(firstSum + row), dot, d);
    } else {
      emitRowDot(weights, row, block, dot);
      vmulps(dot, dot, d);
      vfmadd231ps(vec(firstSum + row), dot, ptr_b[rsi + scale]);
    }
  }
}

// sum += M * s for every row of a block.
void PanelKernel::emitBlockOffsets(const MatrixWeights &weights, int block) {
  const bool half = weights.decoder->scalePerSixteen();
  const bool subtract = weights.decoder->offset() == BlockDecoder::Offset::Subtracted;
  for (int part = 0; part < (half ? 2 : 1); ++part)
    vmovups(vec(sumRegister + part), half ? ptr[rdi + (packedSums16 + block * 128 + part * 64)]
                                          : ptr[rdi + (packedSums32 + block * 64)]);
  for (int row = 0; row < panelRows; ++row)
    for (int part = 0; part < (half ? 2 : 1); ++part) {
      const Vec sum = vec(firstSum + row), s = vec(sumRegister + part);
      const Address offset = ptr_b[rsi + (panelOffsets + row * 64 + block * 8 + part * 4)];
      subtract ? vfnmadd231ps(sum, s, offset) : vfmadd231ps(sum, s, offset);
    }
}

// Turns the sums, a row per register, into a row of sixteen floats per token.
void PanelKernel::emitResults(int64_t results) {
  for (int rows = 0; rows < panelRows; rows += 4) {
    auto sum = [&](int i) { return Zmm(firstSum + rows + i); };
    vunpcklps(Zmm(0), sum(0), sum(1));
    vunpckhps(Zmm(1), sum(0), sum(1));
    vunpcklps(Zmm(2), sum(2), sum(3));
    vunpckhps(Zmm(3), sum(2), sum(3));
    vunpcklpd(Zmm(4), Zmm(0), Zmm(2));
    vunpckhpd(Zmm(5), Zmm(0), Zmm(2));
    vunpcklpd(Zmm(6), Zmm(1), Zmm(3));
    vunpckhpd(Zmm(7), Zmm(1), Zmm(3));
    for (int token = 0; token < panelTokens; ++token) // lane token / 4 of register 4 + token % 4
      vextractf32x4(ptr[r9 + (immediate(results, "results") + token * 64 + rows * 4)], Zmm(4 + token % 4),
                    static_cast<uint8_t>(token / 4));
  }
}

} // namespace ktc::x64
