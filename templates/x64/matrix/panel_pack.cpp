// Packing of activations for the panel path: bytes of sixteen tokens side by side, one scale per token and
// span.
#include "templates/x64/matrix/panel_kernel.h"
#include "templates/x64/matrix/panel_layout.h"

namespace ktc::x64 {

void PanelKernel::emitPackChunk(const PanelPass &pass, const Layout &place) {
  const MatrixWeights &weights = *pass.matrices[0].weights;
  auto nextRows = [&](int ahead) {
    emitNextRows(ahead, pass.tokenRow, [&] {
      const size_t scales = weights.takesQ8k ? ktQ8kScaleOffset(weights.k) : ktQ8ScaleOffset(weights.k);
      if (!weights.takesF32)
        prefetcht1(ptr[rax + immediate(static_cast<int64_t>(scales), "a row")]);
    });
  };
  Label loop, done;
  mov(rax, ptr[frame(ChunkBegin)]);
  mov(ptr[frame(FirstToken)], rax);
  mov(qword[frame(SpanStep)], immediate(place.blocks * place.packedBytes, "packed tokens"));
  emitScratch(rax, place.packed);
  mov(ptr[frame(Packed)], rax);
  nextRows(0);
  L(loop);
  mov(rax, ptr[frame(FirstToken)]);
  cmp(rax, ptr[frame(ChunkEnd)]);
  jae(done);
  emitTakeNextRows();
  nextRows(panelTokens);
  weights.takesF32 ? emitPackFloats(weights.k, place) : emitPackBytes(weights.k, weights.takesQ8k);
  add(qword[frame(Packed)], immediate(place.packedBytes, "packed tokens"));
  add(qword[frame(FirstToken)], panelTokens);
  jmp(loop);
  L(done);
}

void PanelKernel::emitNextRows(int ahead, const std::function<void()> &address,
                               const std::function<void()> &use) {
  Label loop;
  xor_(r8d, r8d);
  L(loop);
  mov(rax, ptr[frame(FirstToken)]);
  lea(rax, ptr[rax + r8 + ahead]);
  mov(rdx, ptr[frame(ChunkEnd)]);
  dec(rdx);
  cmp(rax, rdx);
  cmova(rax, rdx);
  address();
  mov(ptr[frame(NextRows) + r8 * 8], rax);
  use();
  inc(r8d);
  cmp(r8d, panelTokens);
  jb(loop);
}

void PanelKernel::emitTakeNextRows() {
  for (int i = 0; i < 8 * panelTokens; i += 64) {
    vmovups(vec(0), ptr[frame(NextRows + size_t(i))]);
    vmovups(ptr[frame(TokenRows + size_t(i))], vec(0));
  }
}

// Span after span; r15 is the offset of q of the span. q8 rows first get one scale per span, in place of the
// panel. Rows of NextRows lie wherever the tokens of an expert happen to be.
void PanelKernel::emitPackBytes(int64_t k, bool fromQ8k) {
  const int64_t spans = k / panelSpan;
  const int tail = static_cast<int>(k % panelSpan / 32);
  mov(rsi, ptr[frame(Packed)]);
  xor_(r15d, r15d);
  mov(r14d, immediate(static_cast<int64_t>(fromQ8k ? ktQ8kScaleOffset(k) : ktQ8ScaleOffset(k)), "a row"));
  if (fromQ8k) {
    Label loop;
    L(loop);
    emitGatherScales();
    emitTransposedSpan(panelSpanBlocks, [this](int t) {
      mov(rax, ptr[frame(NextRows + size_t(t) * 8)]);
      prefetcht1(ptr[rax + r15]);
      mov(rax, ptr[frame(TokenRows + size_t(t) * 8)]);
      return rax + r15;
    });
    add(rsi, ptr[frame(SpanStep)]);
    add(r15, panelSpan);
    add(r14, 4);
    cmp(r15, immediate(spans * panelSpan, "k"));
    jb(loop);
    return;
  }
  const std::unique_ptr<PanelDecoder> decoder = makeQ8RowDecoder(*this);
  auto span = [&](int blocks) {
    emitRescaled(*decoder, blocks);
    emitTransposedSpan(blocks, [this](int t) { return rdi + t * 64; });
  };
  if (spans > 0) {
    Label loop;
    L(loop);
    span(panelSpanBlocks);
    add(rsi, ptr[frame(SpanStep)]);
    add(r15, panelSpan);
    sub(r14, panelSpan - 4 * panelSpanBlocks); // d from q
    cmp(r15, immediate(spans * panelSpan, "k"));
    jb(loop);
  }
  if (tail > 0)
    span(tail);
}

// The scales at offset r14 of sixteen q8k rows.
void PanelKernel::emitGatherScales() {
  for (int t = 0; t < panelTokens; ++t) {
    mov(rax, ptr[frame(TokenRows + size_t(t) * 8)]);
    mov(edx, dword[rax + r14]);
    mov(dword[rsi + (packedScales + 4 * t)], edx);
  }
}

// rdi = bytes of the sixteen rows with one scale, 64 to a row and kilobyte.
void PanelKernel::emitRescaled(PanelDecoder &decoder, int blocks) {
  Label rows;
  emitScratch(rdx, panelHeader);
  lea(rdi, ptr[rdx + (panelWeights - panelHeader)]);
  xor_(ebp, ebp);
  L(rows);
  for (int i = 0; i < panelRowGroup; ++i) {
    mov(rax, ptr[frame(NextRows + size_t(i) * 8) + rbp * 8]);
    for (int line = 0; line < panelSpan; line += 64)
      prefetcht1(ptr[rax + r15 + line]);
    mov(Reg64(8 + i), ptr[frame(TokenRows + size_t(i) * 8) + rbp * 8]);
    add(Reg64(8 + i), r15);
  }
  lea(r12, ptr[rsi + rbp * 4 + packedScales]);
  decoder.emitRows(blocks);
  add(rdi, panelRowGroup * 64);
  add(ebp, panelRowGroup);
  cmp(ebp, panelTokens);
  jb(rows);
  sub(rdi, panelTokens * 64);
}

// One span to rsi. `row(t)` emits and returns the address of row t at the current 64 weights; for q8k rows r15,
// for others rdi moves on.
void PanelKernel::emitTransposedSpan(int blocks, const std::function<Xbyak::RegExp(int)> &row) {
  Label groups;
  mov(rcx, rsi);
  mov(ebp, (blocks + 1) / 2);
  if (!usesTiles()) {
    zero(vec(24));
    vmovdqu32(vec(25), splat<uint8_t>(1));
  }
  L(groups);
  emitTransposedGroup(row);
  add(rdi, panelGroupBytes);
  add(r15, 64);
  add(rcx, panelGroupBytes);
  dec(ebp);
  jnz(groups);
  sub(r15, (blocks + 1) / 2 * 64);
  if (!usesTiles()) {
    vpslld(vec(24), vec(24), 7);
    zero(vec(25));
    vpsubd(vec(24), vec(25), vec(24));
    vmovdqu32(ptr[rsi + packedSums], vec(24));
  }
}

// Columns of four bytes of sixteen rows of 64 bytes, to rcx. Avx512 adds the bytes up in zmm24.
void PanelKernel::emitTransposedGroup(const std::function<Xbyak::RegExp(int)> &row) {
  for (int t = 0; t < panelTokens; ++t) {
    const Xbyak::RegExp start = row(t);
    for (int chunk = 0; chunk < 4; ++chunk) {
      const int reg = 4 * chunk + t % 4;
      if (t < 4)
        vmovups(Xmm(reg), ptr[start + chunk * 16]);
      else
        vinsertf32x4(Zmm(reg), Zmm(reg), ptr[start + chunk * 16], static_cast<uint8_t>(t / 4));
    }
  }
  for (int chunk = 0; chunk < 4; ++chunk) {
    const int first = 4 * chunk;
    // Lane q of register i holds four columns of row 4q + i.
    const Zmm v[4] = {Zmm(first), Zmm(first + 1), Zmm(first + 2), Zmm(first + 3)};
    const Zmm low01(20), high01(21), low23(22), high23(23);
    vunpcklps(low01, v[0], v[1]);
    vunpckhps(high01, v[0], v[1]);
    vunpcklps(low23, v[2], v[3]);
    vunpckhps(high23, v[2], v[3]);
    vunpcklpd(Zmm(16), low01, low23);
    vunpckhpd(Zmm(17), low01, low23);
    vunpcklpd(Zmm(18), high01, high23);
    vunpckhpd(Zmm(19), high01, high23);
    for (int i = 0; i < 4; ++i) {
      vmovups(ptr[rcx + (chunk * 256 + i * 64)], Zmm(16 + i));
      if (!usesTiles())
        dotBytes(vec(24), vec(25), Zmm(16 + i));
    }
  }
}

} // namespace ktc::x64
