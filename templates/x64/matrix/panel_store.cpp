// Use of the results of the panel path: from products, a row of sixteen tokens after the other, to rows of
// tokens. See panel_kernel.h.
#include "templates/x64/blocks/transpose.h"
#include "templates/x64/matrix/panel_kernel.h"
#include "templates/x64/matrix/panel_layout.h"

namespace ktc::x64 {

// The addresses of all results of the chunk; behind the last token the last one again, for the prefetches of
// what is sixteen tokens ahead.
void PanelKernel::emitPlaces(const PanelPass &pass, const Layout &place) {
  Label loop;
  mov(r8, ptr[frame(ChunkBlocks)]);
  inc(r8d);
  shl(r8d, 4);
  emitScratch(r9, place.places);
  L(loop);
  dec(r8d);
  mov(rax, ptr[frame(ChunkBegin)]);
  add(rax, r8);
  mov(rdx, ptr[frame(ChunkEnd)]);
  dec(rdx);
  cmp(rax, rdx);
  cmova(rax, rdx);
  pass.resultRow();
  mov(ptr[r9 + r8 * 8], rax);
  test(r8d, r8d);
  jnz(loop);
}

// The results of RowCount rows from Row on for all tokens of the chunk. rdi: products of the sixteen tokens
// from tokenCursor on, r10: addresses of their results.
void PanelKernel::emitStores(const PanelPass &pass, const Layout &place) {
  Label loop;
  emitScratch(r10, place.places);
  mov(rdx, ptr[frame(Row)]);
  for (int token = 0; token < panelTokens; ++token) {
    mov(rax, ptr[r10 + token * 8]);
    for (int line = 0; line < panelRows * 4; line += 64)
      prefetchw(ptr[rax + rdx * 4 + line]);
  }
  emitScratch(rdi, place.products(0));
  mov(tokenCursor, ptr[frame(ChunkBegin)]);
  L(loop);
  emitTileStores(pass, place);
  add(rdi, productBytes);
  add(r10, panelTokens * 8);
  add(tokenCursor, panelTokens);
  cmp(tokenCursor, ptr[frame(ChunkEnd)]);
  jb(loop);
}

// Both tiles of rows, one after the other, for sixteen tokens. rsi: their products, r12: bytes before them in a
// row of results, r13: rows from there on. The places of the next sixteen tokens are prefetched, which lie a
// whole row of results apart.
void PanelKernel::emitTileStores(const PanelPass &pass, const Layout &place) {
  Label loop, done;
  mov(r9, ptr[frame(Scratch)]);
  mov(r11, ptr[frame(ChunkEnd)]);
  sub(r11, tokenCursor);
  mov(rsi, rdi);
  mov(r12, ptr[frame(Row)]);
  shl(r12, 2);
  mov(r13, ptr[frame(RowCount)]);
  L(loop);
  mov(eax, -1);
  bzhi(eax, eax, r13d);
  kmovw(k1, eax);
  if (pass.prepare)
    pass.prepare();
  for (int row = 0; row < panelTileRows; ++row) {
    vmovups(vec(row), ptr[rsi + row * 64]);
    if (pass.matrices.size() == 1)
      continue;
    const Vec second = vec(28 + row % 4);
    vmovups(second, ptr[rsi + immediate(place.products(1) - place.products(0) + row * 64, "products")]);
    pass.combine(vec(row), second, row);
  }
  emitTranspose(*this);
  for (int token = 0; token < panelTokens; ++token) {
    if (token > 0) {
      cmp(r11d, token);
      jbe(done);
    }
    mov(rax, ptr[r10 + (panelTokens + token) * 8]);
    prefetchw(ptr[rax + r12]);
    mov(rax, ptr[r10 + token * 8]);
    add(rax, r12);
    pass.store(vec(token), token);
  }
  L(done);
  add(rsi, productTileBytes);
  add(r12, panelTileRows * 4);
  sub(r13d, panelTileRows);
  ja(loop);
}

} // namespace ktc::x64
