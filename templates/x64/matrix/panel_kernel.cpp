// Loops of the panel path over chunks of tokens, blocks of rows and spans; decoding. See
// panel_kernel.h.
#include "templates/x64/matrix/panel_kernel.h"

#include "templates/x64/matrix/panel_layout.h"

#include <algorithm>

namespace ktc::x64 {

namespace {

// Packed tokens should stay in a second-level cache, of which a core's other thread uses half.
constexpr int64_t packedBudget = 640 << 10;

int64_t spanBytes(const MatrixWeights &weights) {
  return int64_t(panelSpan) / weights.format->blockElements * weights.format->blockBytes;
}

} // namespace

int64_t PanelKernel::Layout::products(size_t matrix) const {
  return firstProducts + static_cast<int64_t>(matrix) * blocks * productBytes;
}

PanelKernel::Layout PanelKernel::makeLayout(int64_t m, Layout place, size_t matrices) const {
  const int64_t needed = (m + panelTokens - 1) / panelTokens;
  int64_t fitting = place.budget / (place.spans * place.packedBytes);
  if (isPacked)
    fitting = std::min(fitting, mostBlocks);
  place.blocks = std::clamp<int64_t>((std::min(fitting, needed) + 1) / 2 * 2, 2, INT32_MAX); // taken in pairs
  place.places = place.products(matrices);
  place.packed = place.places + (place.blocks + 1) * panelTokens * 8;
  place.bytes = place.packed + (isPacked ? 0 : place.spans * place.blocks * place.packedBytes);
  return place;
}

PanelKernel::Layout PanelKernel::layout(int64_t m, const MatrixWeights &weights, size_t matrices) const {
  if (weights.takesF32)
    return floatLayout(m, weights.k, matrices);
  const int64_t spans = (weights.k + panelSpan - 1) / panelSpan;
  return makeLayout(m, {spans, packedBytes, packedBudget, panelProducts}, matrices);
}

bool PanelKernel::usesPanels(int64_t m, const std::vector<const MatrixWeights *> &matrices) const {
  return wide() && m >= panelCrossover(isa) &&
         (usesFloatPanels(matrices) ||
          (!isExact && std::all_of(matrices.begin(), matrices.end(), [&](const MatrixWeights *w) {
            return !w->takesF32 && w->takesQ8k == matrices[0]->takesQ8k;
          })));
}

size_t PanelKernel::panelScratch(int64_t m, const MatrixWeights &weights, size_t matrices) const {
  return static_cast<size_t>(layout(m, weights, matrices).bytes);
}

void PanelKernel::emitPanelPrologue() {
  loadScratch(rax);
  mov(ptr[frame(Scratch)], rax);
  if (!usesTiles())
    return;
  // Palette 1; bytes per row at 16 (words), rows at 48. All eight tiles are whole.
  std::array<uint8_t, 64> shapes{};
  shapes[0] = 1;
  for (int tile = 0; tile < 8; ++tile) {
    shapes[48 + tile] = 16;
    shapes[16 + 2 * tile] = 64;
  }
  ldtilecfg(constant(shapes));
}

void PanelKernel::emitPanelEpilogue() {
  if (usesTiles())
    tilerelease();
}

void PanelKernel::emitPanelRows(size_t unitBegin, size_t unitEnd, int64_t n) {
  mov(eax, dword[frame(unitBegin)]);
  shl(rax, 2);
  mov(ptr[frame(RowBegin)], rax);
  mov(eax, dword[frame(unitEnd)]);
  shl(rax, 2);
  mov(edx, immediate(n, "n"));
  cmp(rax, rdx);
  cmova(rax, rdx);
  mov(ptr[frame(RowEnd)], rax);
}

void PanelKernel::emitLimit(size_t slot) {
  cmp(rax, ptr[frame(slot)]);
  cmova(rax, ptr[frame(slot)]);
}

void PanelKernel::emitSpanStep() {
  add(rax, panelTokens - 1);
  shr(rax, 4);
  imul(rax, rax, packedBytes);
  mov(ptr[frame(SpanStep)], rax);
}

void PanelKernel::emitScratch(const Reg64 &dst, int64_t offset) {
  mov(dst, ptr[frame(Scratch)]);
  add(dst, immediate(offset, "scratch"));
}

void PanelKernel::emitPanels(const PanelPass &pass, int64_t m) {
  const bool isFloat = pass.matrices[0].weights->takesF32;
  const Layout place = layout(m, *pass.matrices[0].weights, pass.matrices.size());
  Label chunkLoop, rowLoop, rowsDone, done, products;
  if (isPacked) {
    mov(rax, ptr[frame(TokenBegin)]);
    mov(ptr[frame(ChunkBegin)], rax);
    mov(rax, ptr[frame(PackedTotal)]);
    emitSpanStep();
  } else {
    mov(qword[frame(ChunkBegin)], 0);
  }
  L(chunkLoop);
  mov(rax, ptr[frame(ChunkBegin)]);
  cmp(rax, ptr[frame(TokenTotal)]);
  jae(done);
  add(rax, immediate(place.blocks * panelTokens, "a chunk of tokens"));
  emitLimit(TokenTotal);
  mov(ptr[frame(ChunkEnd)], rax);
  sub(rax, ptr[frame(ChunkBegin)]);
  add(rax, panelTokens - 1);
  shr(rax, 4);
  mov(ptr[frame(ChunkBlocks)], rax);
  isPacked ? emitPackedChunk(pass) : emitPackChunk(pass, place);
  emitPlaces(pass, place);
  mov(rax, ptr[frame(RowBegin)]);
  mov(ptr[frame(Row)], rax);
  mov(rax, ptr[frame(Scratch)]);
  for (auto [slot, offset] : {std::pair{Panel, panelWeights + panelBytes},
                              {NextPanel, panelWeights},
                              {Scales, panelScales + panelScaleBytes},
                              {NextScales, panelScales}}) {
    lea(rdx, ptr[rax + offset]);
    mov(ptr[frame(slot)], rdx);
  }
  if (!isFloat)
    emitDecodeFrom(pass.matrices[0]);
  L(rowLoop);
  mov(rax, ptr[frame(RowEnd)]);
  sub(rax, ptr[frame(Row)]);
  jbe(rowsDone);
  mov(edx, panelRows);
  cmp(rax, rdx);
  cmova(rax, rdx);
  mov(ptr[frame(RowCount)], rax);
  emitRowBlock(pass, place, products);
  add(qword[frame(Row)], panelRows);
  jmp(rowLoop);
  L(rowsDone);
  mov(rax, ptr[frame(ChunkEnd)]);
  mov(ptr[frame(ChunkBegin)], rax);
  jmp(chunkLoop);
  if (!isFloat) {
    L(products);
    emitSpanProducts();
  }
  L(done);
}

// Where the chunk lies, and what comes behind it.
void PanelKernel::emitPackedChunk(const PanelPass &pass) {
  pass.packed();
  mov(rdx, ptr[frame(ChunkBegin)]);
  shr(rdx, 4);
  imul(rdx, rdx, packedBytes);
  add(rax, rdx);
  mov(ptr[frame(ChunkPacked)], rax);
  pass.packedAhead();
  mov(ptr[frame(AheadPacked)], rax);
}

// The products of RowCount rows from Row on, all matrices, and their use.
void PanelKernel::emitRowBlock(const PanelPass &pass, const Layout &place, Label &products) {
  for (size_t i = 0; i < pass.matrices.size(); ++i)
    pass.matrices[i].weights->takesF32 ? emitFloatMatrix(pass.matrices[i], place, i)
                                       : emitMatrix(pass, place, i, products);
  emitStores(pass, place);
}

// The block of `matrix` at row Row is the next one to decode; with no rows if that is behind the last row.
void PanelKernel::emitDecodeFrom(const PanelMatrix &matrix) {
  Label last;
  matrix.address();
  mov(ptr[frame(SpanRow)], weightRow);
  mov(qword[frame(DecodeRow)], 0);
  mov(rax, ptr[frame(RowEnd)]);
  sub(rax, ptr[frame(Row)]);
  mov(edx, 0);
  cmovb(rax, rdx);
  mov(edx, panelRows);
  cmp(rax, rdx);
  cmova(rax, rdx);
  mov(ptr[frame(DecodeCount)], rax);
  if (!prefetches())
    return;
  Label inside, known;
  mov(rax, ptr[frame(Row)]);
  add(rax, panelRows);
  cmp(rax, ptr[frame(RowEnd)]);
  jb(inside);
  matrix.ahead ? matrix.ahead() : xor_(eax, eax);
  jmp(known);
  L(inside);
  mov(eax, immediate(panelRows * matrix.weights->rowBytes, "rows of a panel"));
  L(known);
  mov(ptr[frame(AheadBytes)], rax);
}

// Behind the last span of matrix `index`: the same rows of the next matrix, or the next rows of the first one.
void PanelKernel::emitDecodeNext(const PanelPass &pass, size_t index) {
  if (index + 1 < pass.matrices.size()) {
    emitDecodeFrom(pass.matrices[index + 1]);
    return;
  }
  add(qword[frame(Row)], panelRows);
  emitDecodeFrom(pass.matrices[0]);
  sub(qword[frame(Row)], panelRows);
}

void PanelKernel::emitMatrix(const PanelPass &pass, const Layout &place, size_t index, Label &products) {
  const MatrixWeights &weights = *pass.matrices[index].weights;
  const int tail = static_cast<int>(weights.k % panelSpan / 32);
  const std::unique_ptr<PanelDecoder> decoder = makePanelDecoder(*this, *weights.format, !usesTiles());
  Label clearLoop, spanLoop, inside, simple, summed;
  emitScratch(rdi, place.products(index));
  mov(ptr[frame(Products)], rdi);
  mov(rcx, ptr[frame(ChunkBlocks)]);
  zero(vec(0));
  L(clearLoop);
  for (int i = 0; i < productBytes; i += 64)
    vmovups(ptr[rdi + i], vec(0));
  add(rdi, productBytes);
  dec(rcx);
  jnz(clearLoop);
  if (isPacked)
    mov(rax, ptr[frame(ChunkPacked)]);
  else
    emitScratch(rax, place.packed);
  mov(ptr[frame(Packed)], rax);
  mov(qword[frame(SpansLeft)], immediate(place.spans, "spans"));
  if (usesTiles())
    emitStreamStart();
  L(spanLoop);
  if (tail > 0) {
    Label last, decoded;
    if (place.spans > 1) {
      cmp(qword[frame(SpansLeft)], 1);
      je(last);
      emitDecode(weights, *decoder, panelSpanBlocks);
      jmp(decoded);
    }
    L(last);
    emitDecode(weights, *decoder, tail);
    L(decoded);
  } else {
    emitDecode(weights, *decoder, panelSpanBlocks);
  }
  emitSwapPanels();
  add(qword[frame(SpanRow)], immediate(spanBytes(weights), "a span"));
  mov(qword[frame(DecodeRow)], 0);
  cmp(qword[frame(SpansLeft)], 1);
  jne(inside);
  emitDecodeNext(pass, index);
  L(inside);
  if (usesTiles()) {
    cmp(qword[frame(RowCount)], panelTileRows);
    jbe(simple);
    emitStream(pass, place, index, *decoder);
    jmp(summed);
    L(simple);
  }
  // Arguments of the product routine: see emitSpanProducts().
  mov(r9, ptr[frame(Scratch)]);
  mov(rsi, ptr[frame(Panel)]);
  mov(r13, ptr[frame(Scales)]);
  mov(rdi, ptr[frame(Packed)]);
  mov(rcx, ptr[frame(ChunkBlocks)]);
  mov(r14, ptr[frame(RowCount)]);
  mov(rbx, ptr[frame(Products)]);
  mov(r12d, 4);
  if (tail > 0) {
    mov(eax, (tail + 1) / 2);
    cmp(qword[frame(SpansLeft)], 1);
    cmove(r12d, eax);
  }
  call(products);
  L(summed);
  if (isPacked) {
    mov(rax, ptr[frame(SpanStep)]);
    add(ptr[frame(Packed)], rax);
  } else {
    add(qword[frame(Packed)], immediate(place.blocks * packedBytes, "packed tokens"));
  }
  dec(qword[frame(SpansLeft)]);
  jnz(spanLoop);
  if (usesTiles())
    emitStreamEnd();
}

// The panel in the making becomes the one in use.
void PanelKernel::emitSwapPanels() {
  for (auto [now, next] : {std::pair{Panel, NextPanel}, {Scales, NextScales}}) {
    mov(rax, ptr[frame(now)]);
    mov(rdx, ptr[frame(next)]);
    mov(ptr[frame(now)], rdx);
    mov(ptr[frame(next)], rax);
  }
}

// Decodes the span at SpanRow of the rows from DecodeRow on.
void PanelKernel::emitDecode(const MatrixWeights &weights, PanelDecoder &decoder, int blocks) {
  Label loop, done;
  if (decoder.gathers()) {
    Label gathered;
    cmp(qword[frame(DecodeRow)], 0);
    jne(gathered);
    emitGather(weights, decoder, blocks);
    L(gathered);
  }
  decoder.emitConstants();
  L(loop);
  mov(rax, ptr[frame(DecodeRow)]);
  cmp(rax, ptr[frame(DecodeCount)]);
  jae(done);
  emitDecodeGroup(weights, decoder, blocks, nullptr);
  jmp(loop);
  L(done);
}

// Gathers the scales of the span at SpanRow of all rows. DecodeRow is and stays 0.
void PanelKernel::emitGather(const MatrixWeights &weights, PanelDecoder &decoder, int blocks) {
  Label loop;
  L(loop);
  emitRowAddresses(weights, decoder);
  decoder.emitGather(blocks);
  mov(rax, ptr[frame(DecodeRow)]);
  add(rax, panelRowGroup);
  mov(ptr[frame(DecodeRow)], rax);
  cmp(rax, ptr[frame(DecodeCount)]);
  jb(loop);
  mov(qword[frame(DecodeRow)], 0);
}

// Decodes four rows from DecodeRow on to NextPanel and moves on. A group that the matrix does not have in full
// decodes the last row again.
void PanelKernel::emitDecodeGroup(const MatrixWeights &weights, PanelDecoder &decoder, int blocks,
                                  const std::function<void()> &between) {
  emitRowAddresses(weights, decoder);
  if (prefetches()) {
    mov(rax, ptr[frame(AheadBytes)]);
    for (int i = 0; i < panelRowGroup; ++i)
      for (int64_t line = 0; line < spanBytes(weights); line += 64)
        prefetcht1(ptr[Reg64(8 + i) + rax + static_cast<int>(line)]);
  }
  decoder.emitRows(blocks, between);
  add(qword[frame(DecodeRow)], panelRowGroup);
}

// What a decoder wants to know about the four rows from DecodeRow on. Clobbers rax.
void PanelKernel::emitRowAddresses(const MatrixWeights &weights, const PanelDecoder &decoder) {
  Label whole;
  const auto rowBytes = immediate(weights.rowBytes, "a weight row");
  mov(r13, ptr[frame(DecodeRow)]);
  imul(r8, r13, rowBytes);
  add(r8, ptr[frame(SpanRow)]);
  for (int i = 1; i < panelRowGroup; ++i)
    lea(Reg64(8 + i), ptr[Reg64(7 + i) + rowBytes]);
  mov(rax, ptr[frame(DecodeCount)]);
  sub(rax, r13);
  cmp(eax, panelRowGroup);
  jae(whole);
  for (int i = 1; i < panelRowGroup; ++i) {
    cmp(eax, i + 1);
    cmovb(Reg64(8 + i), Reg64(7 + i));
  }
  L(whole);
  emitScratch(rdx, panelHeader);
  mov(r12, ptr[frame(NextScales)]);
  lea(r12, ptr[r12 + r13 * 4]);
  mov(eax, r13d); // the rows of the second tile do not follow those of the first
  and_(eax, panelTileRows);
  imul(eax, eax, (panelTileBytes - panelGroupBytes) / panelTileRows);
  mov(edi, r13d);
  shl(edi, 6);
  add(rdi, rax);
  add(rdi, ptr[frame(NextPanel)]);
  if (!decoder.gathers())
    return;
  shl(r13, 5); // panelGatherBytes / panelRowGroup
  lea(r13, ptr[rdx + r13 + (panelGather - panelHeader)]);
}

} // namespace ktc::x64
