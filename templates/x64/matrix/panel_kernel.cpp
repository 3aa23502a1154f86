// Loops of the panel path over chunks of tokens, panels of rows and blocks of sixteen tokens; packing and
// decoding. See panel_kernel.h.
#include "templates/x64/matrix/panel_kernel.h"

#include "templates/x64/matrix/panel_layout.h"

#include <algorithm>

namespace ktc::x64 {

namespace {

// Packed tokens should stay in a second-level cache beside the panels.
constexpr int64_t packedBudget = 1 << 20;
constexpr int64_t tokenStride = panelSpanStride; // of sixteen tokens, per span

} // namespace

PanelKernel::Layout PanelKernel::layout(int64_t m, int64_t k, size_t matrices) const {
  Layout place;
  place.spans = (k + 255) / 256;
  const int64_t blockBytes = place.spans * tokenStride, blocks = (m + panelTokens - 1) / panelTokens;
  const int64_t packedBlocks = std::clamp<int64_t>(packedBudget / blockBytes, 2, blocks < 2 ? 2 : blocks);
  place.chunk = packedBlocks * panelTokens;
  place.panelBytes = place.spans * panelSpanStride;
  place.panels = panelResults + static_cast<int64_t>(matrices) * resultBytes;
  place.packed = place.panels + static_cast<int64_t>(matrices) * place.panelBytes;
  place.bytes = place.packed + packedBlocks * blockBytes;
  return place;
}

bool PanelKernel::storesSigned(const MatrixWeights &weights) const {
  return usesTiles() && weights.decoder->offset() == BlockDecoder::Offset::Multiple;
}

bool PanelKernel::hasOffsets(const MatrixWeights &weights) const {
  return weights.decoder->offset() != BlockDecoder::Offset::None && !storesSigned(weights);
}

bool PanelKernel::usesPanels(int64_t m, const std::vector<const MatrixWeights *> &matrices) const {
  return wide() && m >= panelCrossover(isa) &&
         std::none_of(matrices.begin(), matrices.end(),
                      [](const MatrixWeights *w) { return w->takesF32 || w->takesQ8k; });
}

size_t PanelKernel::panelScratch(int64_t m, int64_t k, size_t matrices) const {
  return static_cast<size_t>(layout(m, k, matrices).bytes);
}

void PanelKernel::emitPanelPrologue() {
  loadScratch(rax);
  mov(ptr[frame(Scratch)], rax);
  if (!usesTiles())
    return;
  // Palette 1; bytes per row at 16 (words), rows at 48. See panel_layout.h for the tiles.
  std::array<uint8_t, 64> shapes{};
  shapes[0] = 1;
  auto shape = [&](int tile, int rows, int bytes) {
    shapes[48 + tile] = static_cast<uint8_t>(rows);
    shapes[16 + 2 * tile] = static_cast<uint8_t>(bytes);
  };
  for (int i = 0; i < sumTiles; ++i)
    shape(i, panelRows, 64);
  shape(weightTile, panelRows, 32);
  shape(tokenTile, 8, 64);
  shape(halfWeightTile, panelRows, 16);
  shape(halfTokenTile, 4, 64);
  ldtilecfg(constant(shapes));
}

void PanelKernel::emitPanelEpilogue() {
  if (usesTiles())
    tilerelease();
}

void PanelKernel::emitPanels(const PanelPass &pass, int64_t m) {
  const Layout place = layout(m, pass.matrices[0].weights->k, pass.matrices.size());
  Label chunkLoop, rowLoop, rowsDone, done;
  mov(qword[frame(ChunkBegin)], 0);
  L(chunkLoop);
  mov(rax, ptr[frame(ChunkBegin)]);
  mov(rdx, ptr[frame(TokenTotal)]);
  cmp(rax, rdx);
  jae(done);
  add(rax, immediate(place.chunk, "a chunk of tokens"));
  cmp(rax, rdx);
  cmova(rax, rdx);
  mov(ptr[frame(ChunkEnd)], rax);
  emitPackChunk(pass, place);
  mov(rax, ptr[frame(RowBegin)]);
  mov(ptr[frame(Row)], rax);
  L(rowLoop);
  mov(rax, ptr[frame(RowEnd)]);
  sub(rax, ptr[frame(Row)]);
  jbe(rowsDone);
  mov(edx, panelRows);
  cmp(rax, rdx);
  cmova(rax, rdx);
  mov(ptr[frame(RowCount)], rax);
  for (size_t i = 0; i < pass.matrices.size(); ++i)
    emitDecode(pass.matrices[i], place.panels + static_cast<int64_t>(i) * place.panelBytes);
  emitRowTiles(pass, place);
  add(qword[frame(Row)], panelRows);
  jmp(rowLoop);
  L(rowsDone);
  mov(rax, ptr[frame(ChunkEnd)]);
  mov(ptr[frame(ChunkBegin)], rax);
  jmp(chunkLoop);
  L(done);
}

// ---- Packing

void PanelKernel::emitPackChunk(const PanelPass &pass, const Layout &place) {
  Label loop, done;
  mov(rax, ptr[frame(ChunkBegin)]);
  mov(ptr[frame(FirstToken)], rax);
  mov(rdi, ptr[frame(Scratch)]);
  add(rdi, immediate(place.packed, "panels"));
  L(loop);
  mov(rax, ptr[frame(FirstToken)]);
  cmp(rax, ptr[frame(ChunkEnd)]);
  jae(done);
  emitTokenRows(pass);
  emitPack(*pass.matrices[0].weights);
  add(qword[frame(FirstToken)], panelTokens);
  jmp(loop);
  L(done);
}

// Addresses of sixteen rows; behind the last token that of the last one again, so that lanes without a token
// read something valid.
void PanelKernel::emitTokenRows(const PanelPass &pass) {
  Label loop;
  xor_(r8d, r8d);
  L(loop);
  mov(rax, ptr[frame(FirstToken)]);
  add(rax, r8);
  mov(rdx, ptr[frame(ChunkEnd)]);
  dec(rdx);
  cmp(rax, rdx);
  cmova(rax, rdx);
  pass.tokenRow();
  mov(ptr[frame(TokenRows) + r8 * 8], rax);
  inc(r8d);
  cmp(r8d, panelTokens);
  jb(loop);
}

// Packs the rows of TokenRows to rdi, which moves on.
void PanelKernel::emitPack(const MatrixWeights &weights) {
  const int64_t k = weights.k, spans = k / 256;
  const int tail = static_cast<int>(k % 256 / 32);
  for (const Reg64 &reg : {r8, r9, r10}) // offsets of the span's q, d and s
    xor_(reg.cvt32(), reg.cvt32());
  if (spans > 0) {
    Label loop;
    mov(ecx, immediate(spans, "spans"));
    L(loop);
    emitPackSpan(k, spanBlocks);
    add(r8, 256);
    add(r9, 32);
    add(r10, 64);
    add(rdi, panelSpanStride);
    dec(ecx);
    jnz(loop);
  }
  if (tail > 0) {
    emitPackSpan(k, tail);
    add(rdi, panelSpanStride);
  }
}

void PanelKernel::emitPackSpan(int64_t k, int blocks) {
  for (int block = 0; block < blocks; block += 2)
    emitTransposed(blocks - block >= 2 ? 4 : 2, r8, block * 32, block * 512, false);
  // Reading up to twelve bytes behind d stays in the row: s follows.
  emitTransposed((blocks + 3) / 4, r9, static_cast<int64_t>(ktQ8ScaleOffset(k)), packedScales, false);
  const int64_t sums = static_cast<int64_t>(ktQ8SumOffset(k));
  if (blocks >= 2)
    emitTransposed(blocks / 2, r10, sums, packedSums16, true);
  if (blocks % 2)
    emitTransposedTail(r10, sums + (blocks - 1) * 8, 2 * (blocks - 1));
}

// Columns of four bytes of the sixteen rows, from `chunks` (1..4) chunks of 16 bytes at `offset` + `from` of
// the rows, to rdi + `to`. `addPairs`: also the sums of columns 2i and 2i + 1, to packedSums32. Clobbers rax.
void PanelKernel::emitTransposed(int chunks, const Reg64 &offset, int64_t from, int to, bool addPairs) {
  for (int t = 0; t < panelTokens; ++t) {
    mov(rax, ptr[frame(TokenRows + size_t(t) * 8)]);
    for (int c = 0; c < chunks; ++c) {
      const Address source = ptr[rax + offset + (immediate(from, "a q8 row") + 16 * c)];
      const int reg = 4 * c + t % 4;
      if (t < 4)
        vmovups(Xmm(reg), source);
      else
        vinsertf32x4(Zmm(reg), Zmm(reg), source, t / 4);
    }
  }
  for (int c = 0; c < chunks; ++c) {
    emitColumns(4 * c, to + 256 * c);
    if (!addPairs)
      continue;
    for (int pair = 0; pair < 2; ++pair) {
      vaddps(Zmm(20), Zmm(16 + 2 * pair), Zmm(17 + 2 * pair));
      vmovups(ptr[rdi + (packedSums32 + 128 * c + 64 * pair)], Zmm(20));
    }
  }
}

// The two sums of a last odd block. They end the data of the row, so they are read with the eight bytes before
// them.
void PanelKernel::emitTransposedTail(const Reg64 &offset, int64_t from, int column) {
  for (int t = 0; t < panelTokens; ++t) {
    mov(rax, ptr[frame(TokenRows + size_t(t) * 8)]);
    const Address source = ptr[rax + offset + (immediate(from, "a q8 row") - 8)];
    if (t < 4)
      vmovups(Xmm(t), source);
    else
      vinsertf32x4(Zmm(t % 4), Zmm(t % 4), source, t / 4);
  }
  // Columns 0 and 1 are those eight bytes.
  emitColumns(0, -1);
  vmovups(ptr[rdi + (packedSums16 + 64 * column)], Zmm(18));
  vmovups(ptr[rdi + (packedSums16 + 64 * column + 64)], Zmm(19));
  vaddps(Zmm(20), Zmm(18), Zmm(19));
  vmovups(ptr[rdi + (packedSums32 + 32 * column)], Zmm(20));
}

// The four columns of registers first..first+3 (lane q of register i: four values of row 4q + i) in zmm16-19,
// and at rdi + `to` unless it is negative.
void PanelKernel::emitColumns(int first, int to) {
  const Zmm v[4] = {Zmm(first), Zmm(first + 1), Zmm(first + 2), Zmm(first + 3)};
  vunpcklps(Zmm(20), v[0], v[1]);
  vunpckhps(Zmm(21), v[0], v[1]);
  vunpcklps(Zmm(22), v[2], v[3]);
  vunpckhps(Zmm(23), v[2], v[3]);
  vunpcklpd(Zmm(16), Zmm(20), Zmm(22));
  vunpckhpd(Zmm(17), Zmm(20), Zmm(22));
  vunpcklpd(Zmm(18), Zmm(21), Zmm(23));
  vunpckhpd(Zmm(19), Zmm(21), Zmm(23));
  if (to >= 0)
    for (int i = 0; i < 4; ++i)
      vmovups(ptr[rdi + (to + 64 * i)], Zmm(16 + i));
}

// ---- Decoding

// Decodes RowCount rows from Row on to the panel at scratch offset `panel`.
void PanelKernel::emitDecode(const PanelMatrix &matrix, int64_t panel) {
  const MatrixWeights &weights = *matrix.weights;
  const int64_t spans = weights.k / 256;
  const int tail = static_cast<int>(weights.k % 256 / 32);
  Label rowLoop;
  matrix.address();
  weights.decoder->emitConstants(decodeRegisters());
  mov(r9, ptr[frame(Scratch)]);
  add(r9, immediate(panel, "panels"));
  mov(r8, ptr[frame(RowCount)]);
  L(rowLoop);
  mov(rdi, r9);
  if (spans > 0) {
    Label spanLoop;
    mov(ecx, immediate(spans, "spans"));
    L(spanLoop);
    emitDecodeSpan(weights, spanBlocks);
    add(weightRow, static_cast<uint32_t>(weights.decoder->spanBytes()));
    add(rdi, panelSpanStride);
    dec(ecx);
    jnz(spanLoop);
  }
  if (tail > 0)
    emitDecodeSpan(weights, tail);
  add(weightRow, immediate(weights.rowBytes - spans * weights.decoder->spanBytes(), "a weight row"));
  add(r9, 64);
  dec(r8);
  jnz(rowLoop);
}

void PanelKernel::emitDecodeSpan(const MatrixWeights &weights, int blocks) {
  using Offset = BlockDecoder::Offset;
  const DecodeRegisters regs = decodeRegisters();
  BlockDecoder &decoder = *weights.decoder;
  decoder.emitScales(regs, weightRow, blocks);
  vmovups(ptr[rdi + panelScales], regs.scale[0]);
  if (hasOffsets(weights)) {
    if (decoder.offset() == Offset::Multiple)
      vmulps(regs.offset[0], regs.scale[0], splat(decoder.offsetMultiple()));
    vmovups(ptr[rdi + panelOffsets], regs.offset[0]);
  }
  for (int group = 0; group < (blocks + 1) / 2; ++group) {
    decoder.emitWeights(regs, weightRow, group, blocks);
    if (storesSigned(weights))
      vpaddb(regs.weights, regs.weights, splat(static_cast<int8_t>(decoder.offsetMultiple())));
    moveInt(ptr[rdi + group * 1024], regs.weights);
  }
}

// ---- Products

// All packed tokens times the panels, sixteen tokens at a time.
void PanelKernel::emitRowTiles(const PanelPass &pass, const Layout &place) {
  Label loop, tokenLoop, next, done;
  mov(rax, ptr[frame(ChunkBegin)]);
  mov(ptr[frame(FirstToken)], rax);
  mov(rax, ptr[frame(Scratch)]);
  add(rax, immediate(place.packed, "panels"));
  mov(ptr[frame(Packed)], rax);
  L(loop);
  for (size_t i = 0; i < pass.matrices.size(); ++i)
    emitPanelProducts(*pass.matrices[i].weights, place.panels + static_cast<int64_t>(i) * place.panelBytes,
                      panelResults + static_cast<int64_t>(i) * resultBytes);
  mov(ecx, dword[frame(RowCount)]);
  mov(eax, 1);
  shl(eax, cl);
  dec(eax);
  kmovw(k1, eax);
  mov(tokenCursor, ptr[frame(FirstToken)]);
  mov(r10, ptr[frame(Scratch)]);
  add(r10, panelResults);
  lea(r11, ptr[tokenCursor + panelTokens]);
  cmp(r11, ptr[frame(ChunkEnd)]);
  cmova(r11, ptr[frame(ChunkEnd)]);
  L(tokenLoop);
  pass.store();
  add(r10, 4 * panelRows);
  inc(tokenCursor);
  cmp(tokenCursor, r11);
  jb(tokenLoop);
  add(qword[frame(Packed)], immediate(place.spans * tokenStride, "packed tokens"));
  mov(ptr[frame(FirstToken)], tokenCursor);
  cmp(tokenCursor, ptr[frame(ChunkEnd)]);
  jb(loop);
}

} // namespace ktc::x64
