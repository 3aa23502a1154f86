// The panel path of Amx for more than 16 rows: tile instructions in a stream of vector code.
//
// A *block* is the sums of 32 rows and 32 tokens over a span, a *step* a quarter of it: 64 weights of k, four
// tile loads and four products. Tile instructions take many cycles each but no vector ports, and follow each
// other badly when a core's other thread is busy, so a step spreads them over other work:
//   - the scaling of a quarter (one tile) of the block before, whose sums were stored at its end;
//   - while there are rows left to decode, four rows of the next span's panel, or half of that.
// Steps without rows to decode come after those with them, rows without a step before the next span.
//
// An odd number of sixteens of tokens ends in a block that leaves out the tiles of its second sixteen.
//
// Registers of the steps: ebx = minus the steps left in the span; rsi weights and rbp packed tokens of the
// quarter, rcx = 64; r14 scales behind the sums of the tile to scale, r15 its products; zmm29 scales of its
// tokens; zmm20-zmm27. Blocks also change rax. All others belong to the decoder.
#include "templates/x64/matrix/panel_kernel.h"
#include "templates/x64/matrix/panel_layout.h"

namespace ktc::x64 {

namespace {

constexpr int steps = 4, weightTile = 4, tokenTile = 6;

} // namespace

// Nothing is summed yet: the first steps scale what happens to be there, into products that nobody reads.
void PanelKernel::emitStreamStart() {
  emitScratch(rax, panelUnused);
  mov(ptr[frame(PastProducts)], rax);
  for (int tile = 0; tile < steps; ++tile)
    tilezero(Xbyak::Tmm(tile));
}

// The blocks of a span, and what fits beside them of decoding the next one: of this matrix, or behind its last
// span of the next block that is decoded. Not a tail, and not another format: their code would be needed again.
void PanelKernel::emitStream(const PanelPass &pass, const Layout &place, size_t index, PanelDecoder &decoder) {
  const MatrixWeights &weights = *pass.matrices[index].weights;
  const MatrixWeights &behind = *pass.matrices[(index + 1) % pass.matrices.size()].weights;
  Label many, stepLoop, done;
  mov(ebx, ptr[frame(ChunkBlocks)]);
  mov(eax, ebx);
  and_(eax, 1);
  add(ebx, eax);
  shl(eax, 2);
  mov(edx, 1);
  sub(edx, eax);
  mov(dword[frame(HalfFrom)], edx); // -3, or 1 without such a block
  add(ebx, ebx);
  neg(ebx);
  mov(rsi, ptr[frame(Panel)]);
  mov(rbp, ptr[frame(Packed)]);
  mov(r14, ptr[frame(Scratch)]);
  add(r14, panelSums + pastTileRowScales);
  mov(r15, ptr[frame(PastProducts)]);
  vmovups(vec(29), ptr[r14 + (pastTileTokenScales - pastTileRowScales)]);
  mov(rax, ptr[frame(Products)]);
  mov(ptr[frame(BlockProducts)], rax);
  if (isPacked) {
    mov(rax, ptr[frame(ChunkPacked)]);
    mov(rdx, ptr[frame(SpanStep)]);
    add(rdx, rbp);
  } else {
    emitScratch(rax, place.packed);
    lea(rdx, ptr[rbp + immediate(place.blocks * packedBytes, "packed tokens")]);
  }
  cmp(qword[frame(SpansLeft)], 1);
  cmovne(rax, rdx);
  mov(ptr[frame(NextPacked)], rax);
  mov(ecx, 64);
  emitFirstTiles();
  if (weights.k % panelSpan != 0 || weights.format != behind.format) {
    cmp(qword[frame(SpansLeft)], weights.k % panelSpan != 0 ? 2 : 1);
    jbe(stepLoop);
  }
  cmp(qword[frame(DecodeCount)], 0);
  je(stepLoop);
  if (decoder.gathers())
    emitGather(weights, decoder, panelSpanBlocks);
  decoder.emitConstants();
  // Four rows to a step, or with enough tokens to two, so that tile instructions never wait for vector code.
  auto decodeLoop = [&](int count) {
    Label loop;
    L(loop);
    emitSteps(count, [&](const std::function<void()> &between) {
      emitDecodeGroup(weights, decoder, panelSpanBlocks, between);
    });
    test(ebx, ebx);
    jz(done);
    mov(rax, ptr[frame(DecodeRow)]);
    cmp(rax, ptr[frame(DecodeCount)]);
    jb(loop);
  };
  cmp(ebx, -2 * panelRows / panelRowGroup);
  jle(many);
  decodeLoop(1);
  jmp(stepLoop);
  L(many);
  decodeLoop(2);
  L(stepLoop);
  emitSteps(1, nullptr);
  test(ebx, ebx);
  jnz(stepLoop);
  L(done);
  mov(ptr[frame(PastProducts)], r15);
}

// Scales what the last block has summed.
void PanelKernel::emitStreamEnd() {
  Label loop, none;
  cmp(qword[frame(RowCount)], panelTileRows);
  jbe(none);
  mov(r14, ptr[frame(Scratch)]);
  add(r14, panelSums + pastTileRowScales);
  mov(r15, ptr[frame(PastProducts)]);
  mov(ecx, steps);
  L(loop);
  vmovups(vec(29), ptr[r14 + (pastTileTokenScales - pastTileRowScales)]);
  for (int row = 0; row < panelTileRows; ++row)
    emitStepScaling(row);
  add(r14, pastTileBytes);
  add(r15, productTileBytes);
  dec(ecx);
  jnz(loop);
  L(none);
}

// Tiles of the first step of a span; every step loads those of the next one.
void PanelKernel::emitFirstTiles() {
  for (int i = 0; i < 2; ++i) {
    emitLoadTokens(i);
    emitLoadWeights(i);
  }
}

void PanelKernel::emitLoadWeights(int row) {
  tileloadd(Xbyak::Tmm(weightTile + row), ptr[rsi + rcx + row * panelTileBytes]);
}

void PanelKernel::emitLoadTokens(int token) {
  tileloadd(Xbyak::Tmm(tokenTile + token), ptr[rbp + rcx + token * packedBytes]);
}

// `count` steps around `work`, which emits code and calls its argument between pieces of it. A tile is loaded
// for the next step as soon as its last product of this one is on its way: tokens come from the second-level
// cache.
void PanelKernel::emitSteps(int count, const std::function<void(const std::function<void()> &)> &work) {
  using Xbyak::Tmm;
  auto product = [&](int row, int token) {
    tdpbssd(Tmm(row + 2 * token), Tmm(weightTile + row), Tmm(tokenTile + token));
  };
  struct TileWork {
    std::function<void()> emit;
    bool secondSixteen;
  };
  const TileWork tileWork[] = {{[&] { product(0, 0); }, false},      {[&] { product(1, 0); }, false},
                               {[&] { emitLoadTokens(0); }, false},  {[&] { product(0, 1); }, true},
                               {[&] { emitLoadWeights(0); }, false}, {[&] { product(1, 1); }, true},
                               {[&] { emitLoadTokens(1); }, true},   {[&] { emitLoadWeights(1); }, false}};
  constexpr int turns = 3 * 8; // of a step
  auto tileTurn = [&](const TileWork &tile) {
    if (!tile.secondSixteen) {
      tile.emit();
      return;
    }
    Label half;
    cmp(ebx, dword[frame(HalfFrom)]);
    jge(half);
    tile.emit();
    L(half);
  };
  int turn = 0;
  auto next = [&] {
    if (turn >= turns * count)
      return;
    if (turn > 0 && turn % turns == 0) {
      emitStepEnd();
      emitStepStart();
    }
    const int now = turn++ % turns;
    now % 3 == 0 ? tileTurn(tileWork[now / 3]) : emitStepScaling(now / 3 * 2 + now % 3 - 1);
  };
  emitStepStart();
  if (work)
    work([&] {
      for (int i = 0; i < count; ++i)
        next();
    });
  while (turn < turns * count)
    next();
  emitStepEnd();
}

// Prefetches packed tokens that are multiplied behind this chunk, which all threads read at the same time from
// the shared cache. A step meets two kilobytes of tokens; every block of rows prefetches another quarter of
// what they lie before.
void PanelKernel::emitPackedPrefetch() {
  constexpr int quarter = 256;
  mov(rax, ptr[frame(Row)]);
  shr(eax, 5);
  and_(eax, 3);
  shl(eax, 8);
  add(rax, ptr[frame(AheadPacked)]);
  for (int token = 0; token < 2; ++token)
    for (int line = 0; line < quarter; line += 64)
      prefetcht1(ptr[rbp + rax + (token * packedBytes + line)]);
}

// product += float(sum) * D of the row * d of the token, for a row of the tile.
void PanelKernel::emitStepScaling(int row) {
  const Vec sum = vec(20 + row % 7);
  vcvtdq2ps(sum, ptr[r14 + (row * 64 - pastTileRowScales)]);
  vmulps(sum, sum, ptr_b[r14 + row * 4]);
  vfmadd213ps(sum, vec(29), ptr[r15 + row * 64]);
  vmovups(ptr[r15 + row * 64], sum);
}

// Weights and tokens of the next step, which behind the last one of a span is the first one of the next span;
// its weights are not there yet. At the end of a block zmm27 and zmm28 take the scales of its tokens.
void PanelKernel::emitStepStart() {
  Label inside;
  if (takesPacked())
    emitPackedPrefetch();
  add(rsi, panelGroupBytes);
  add(rbp, panelGroupBytes);
  inc(ebx);
  test(ebx, steps - 1);
  jnz(inside);
  for (int token = 0; token < 2; ++token)
    vmovups(vec(27 + token), ptr[rbp + (token * packedBytes + packedScales - steps * panelGroupBytes)]);
  sub(rsi, steps * panelGroupBytes);
  add(rbp, 2 * packedBytes - steps * panelGroupBytes);
  test(ebx, ebx);
  cmovz(rbp, ptr[frame(NextPacked)]);
  L(inside);
}

// Moves on to the next tile to scale.
void PanelKernel::emitStepEnd() {
  Label inside;
  add(r14, pastTileBytes);
  add(r15, productTileBytes);
  test(ebx, steps - 1);
  jnz(inside);
  emitBlockEnd();
  L(inside);
  vmovups(vec(29), ptr[r14 + (pastTileTokenScales - pastTileRowScales)]);
}

// Stores the sums of a block with their scales and makes it the block to scale.
void PanelKernel::emitBlockEnd() {
  sub(r14, steps * pastTileBytes);
  mov(rax, ptr[frame(Scales)]);
  for (int row = 0; row < 2; ++row)
    vmovups(vec(20 + row), ptr[rax + row * panelTileRows * 4]);
  for (int tile = 0; tile < steps; ++tile) {
    const int place = tile * pastTileBytes - pastTileRowScales;
    tilestored(ptr[r14 + rcx + place], Xbyak::Tmm(tile));
    tilezero(Xbyak::Tmm(tile));
    vmovups(ptr[r14 + (place + pastTileRowScales)], vec(20 + tile % 2));
    vmovups(ptr[r14 + (place + pastTileTokenScales)], vec(27 + tile / 2));
  }
  mov(r15, ptr[frame(BlockProducts)]);
  add(qword[frame(BlockProducts)], 2 * productBytes);
}

} // namespace ktc::x64
