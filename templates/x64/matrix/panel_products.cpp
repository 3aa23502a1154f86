// Products of a panel with packed tokens over one span: see panel_kernel.h.
//
// A routine that the loops call, because a kernel of two matrices would otherwise hold it twice. On entry r9 is
// the scratch, rdi the packed tokens of the span, rcx how many sixteens of tokens there are, rbx their
// products, r14 the number of rows, r12 the groups of 64 weights. Only rsp survives; the frame lies a return
// address further up.
#include "templates/x64/matrix/panel_kernel.h"
#include "templates/x64/matrix/panel_layout.h"

namespace ktc::x64 {

namespace {

// Tiles 0-3 hold sums (row tile + 2 * token tile), 4 and 5 weights, 6 and 7 tokens.
constexpr int weightTile = 4, tokenTile = 6;
int sumTile(int row, int token) { return row + 2 * token; }

// Rows of weights in registers at a time without tiles.
constexpr int vectorRows = 8;

} // namespace

void PanelKernel::emitSpanProducts() {
  mov(r8d, 64); // stride of all tiles
  Label few;
  auto blockLoop = [&](int rowTiles) {
    Label pairs, single, done;
    L(pairs);
    cmp(ecx, 2);
    jb(single);
    usesTiles() ? emitTileBlock(rowTiles, 2) : emitVectorBlock(2);
    add(rdi, 2 * packedBytes);
    add(rbx, 2 * productBytes);
    sub(ecx, 2);
    jmp(pairs);
    L(single);
    test(ecx, ecx);
    jz(done);
    usesTiles() ? emitTileBlock(rowTiles, 1) : emitVectorBlock(1);
    L(done);
    ret();
  };
  if (!usesTiles()) {
    blockLoop(0);
    return;
  }
  cmp(r14d, panelTileRows);
  jbe(few, T_NEAR);
  blockLoop(2);
  L(few);
  blockLoop(1);
}

// Sums of a span with tile instructions, then their use. All of a span is summed before anything is scaled.
void PanelKernel::emitTileBlock(int rowTiles, int tokenTiles) {
  Label groupLoop;
  using Xbyak::Tmm;
  for (int row = 0; row < rowTiles; ++row)
    for (int token = 0; token < tokenTiles; ++token)
      tilezero(Tmm(sumTile(row, token)));
  mov(r10, rsi);
  mov(r11, rdi);
  mov(edx, r12d);
  L(groupLoop);
  for (int token = 0; token < tokenTiles; ++token) {
    tileloadd(Tmm(tokenTile + token), ptr[r11 + r8 + token * packedBytes]);
    for (int row = 0; row < rowTiles; ++row) {
      if (token == 0)
        tileloadd(Tmm(weightTile + row), ptr[r10 + r8 + row * panelTileBytes]);
      tdpbssd(Tmm(sumTile(row, token)), Tmm(weightTile + row), Tmm(tokenTile + token));
    }
  }
  add(r10, panelGroupBytes);
  add(r11, panelGroupBytes);
  dec(edx);
  jnz(groupLoop);
  for (int row = 0; row < rowTiles; ++row)
    for (int token = 0; token < tokenTiles; ++token)
      tilestored(ptr[r9 + r8 + (panelSums + sumTile(row, token) * 1024)], Tmm(sumTile(row, token)));
  emitTileScaling(rowTiles, tokenTiles);
}

// product += float(sum) * D of the row * d of the token, for the stored sums.
void PanelKernel::emitTileScaling(int rowTiles, int tokenTiles) {
  for (int token = 0; token < tokenTiles; ++token)
    vmovups(vec(30 + token), ptr[rdi + (token * packedBytes + packedScales)]);
  int turn = 0;
  for (int token = 0; token < tokenTiles; ++token)
    for (int row = 0; row < rowTiles * panelTileRows; ++row) {
      const Vec sum = vec(turn++ % 8);
      const int tile = row / panelTileRows, line = row % panelTileRows * 64;
      const Address place = ptr[rbx + (token * productBytes + tile * productTileBytes + line)];
      vcvtdq2ps(sum, ptr[r9 + (panelSums + sumTile(tile, token) * 1024 + line)]);
      vmulps(sum, sum, ptr_b[r13 + row * 4]);
      vfmadd213ps(sum, vec(30 + token), place);
      vmovups(place, sum);
    }
}

// The same with vpdpbusd, eight rows at a time. The sums start at -128 times the sum of the token's bytes.
void PanelKernel::emitVectorBlock(int tokenTiles) {
  Label rowLoop, groupLoop, sameTile;
  auto sum = [&](int row, int token) { return vec(row * tokenTiles + token); };
  mov(r10, rsi);   // weights
  mov(r11, rbx);   // products
  mov(rbp, r13);   // scales
  mov(r15d, r14d); // rows left
  L(rowLoop);
  for (int token = 0; token < tokenTiles; ++token) {
    vmovdqu32(sum(0, token), ptr[rdi + (token * packedBytes + packedSums)]);
    for (int row = 1; row < vectorRows; ++row)
      vmovdqa32(sum(row, token), sum(0, token));
  }
  mov(rax, rdi);
  mov(r9, r10);
  mov(edx, r12d);
  align(32);
  L(groupLoop);
  for (int quad = 0; quad < 16; ++quad) {
    for (int token = 0; token < tokenTiles; ++token)
      vmovdqu32(vec(28 + quad % 2 * 2 + token), ptr[rax + (token * packedBytes + quad * 64)]);
    for (int row = 0; row < vectorRows; ++row) {
      const Vec weights = vec(20 + row);
      vpbroadcastd(weights, ptr[r9 + (row * 64 + quad * 4)]);
      for (int token = 0; token < tokenTiles; ++token)
        dotBytes(sum(row, token), weights, vec(28 + quad % 2 * 2 + token));
    }
  }
  add(rax, panelGroupBytes);
  add(r9, panelGroupBytes);
  dec(edx);
  jnz(groupLoop);
  for (int token = 0; token < tokenTiles; ++token) {
    vmovups(vec(30), ptr[rdi + (token * packedBytes + packedScales)]);
    for (int row = 0; row < vectorRows; ++row) {
      const Address place = ptr[r11 + (token * productBytes + row * 64)];
      vcvtdq2ps(sum(row, token), sum(row, token));
      vmulps(sum(row, token), sum(row, token), ptr_b[rbp + row * 4]);
      vfmadd213ps(sum(row, token), vec(30), place);
      vmovups(place, sum(row, token));
    }
  }
  add(r10, vectorRows * 64);
  add(r11, vectorRows * 64);
  add(rbp, vectorRows * 4);
  mov(eax, r10d); // behind the last row of a tile the next one starts three kilobytes further
  sub(eax, esi);
  test(eax, panelGroupBytes - 1);
  jnz(sameTile);
  add(r10, panelTileBytes - panelGroupBytes);
  L(sameTile);
  sub(r15d, vectorRows);
  ja(rowLoop);
}

} // namespace ktc::x64
