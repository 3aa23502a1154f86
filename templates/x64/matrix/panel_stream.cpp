// The panel path of Amx for more than 16 rows: tile instructions in a stream of vector code.
//
// A *block* is the sums of 32 rows and 32 tokens over a span, a *step* a quarter of it: 64 weights of k, four
// tile loads and four products. Tile instructions take many cycles each but no vector ports, and follow each
// other badly when a core's other thread is busy, so a step spreads them over other work:
//   - the scaling of a quarter (one tile) of the block before, whose sums were stored at its end;
//   - while there are rows left to decode, four rows of the next span's panel, or half of that.
// Steps without rows to decode come after those with them, rows without a step before the next span.
//
// Registers of a step: rsi weights and rbp packed tokens of the quarter, rcx = 64; r14 sums, r15 products, rbx
// scales of the rows and zmm29 scales of the tokens of the tile to scale; zmm20-zmm27. All others belong to the
// decoder.
#include "templates/x64/matrix/panel_kernel.h"
#include "templates/x64/matrix/panel_layout.h"

namespace ktc::x64 {

namespace {

constexpr int steps = 4, weightTile = 4, tokenTile = 6;

} // namespace

// Nothing is summed yet: the first steps scale what happens to be there, into products that nobody reads.
void PanelKernel::emitStreamStart() {
  mov(rax, ptr[frame(Packed)]);
  mov(ptr[frame(PastPacked)], rax);
  emitScratch(rax, panelUnused);
  mov(ptr[frame(PastProducts)], rax);
  mov(qword[frame(Step)], 0);
  for (int tile = 0; tile < steps; ++tile)
    tilezero(Xbyak::Tmm(tile));
}

// The blocks of a span, and what fits beside them of decoding the next one: of this matrix, or behind its last
// span of the next block that is decoded. Not a tail, and not another format: their code would be needed again.
void PanelKernel::emitStream(const PanelPass &pass, size_t index, PanelDecoder &decoder) {
  const MatrixWeights &weights = *pass.matrices[index].weights;
  const MatrixWeights &behind = *pass.matrices[(index + 1) % pass.matrices.size()].weights;
  Label many, stepLoop, done;
  mov(rax, ptr[frame(ChunkBlocks)]);
  inc(rax);
  shr(rax, 1);
  shl(rax, 2);
  mov(ptr[frame(StepsLeft)], rax);
  mov(rax, ptr[frame(Packed)]);
  mov(ptr[frame(BlockPacked)], rax);
  mov(rax, ptr[frame(Products)]);
  mov(ptr[frame(BlockProducts)], rax);
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
    cmp(qword[frame(StepsLeft)], 0);
    je(done);
    mov(rax, ptr[frame(DecodeRow)]);
    cmp(rax, ptr[frame(DecodeCount)]);
    jb(loop);
  };
  cmp(qword[frame(StepsLeft)], 2 * panelRows / panelRowGroup);
  jae(many);
  decodeLoop(1);
  jmp(stepLoop);
  L(many);
  decodeLoop(2);
  L(stepLoop);
  emitSteps(1, nullptr);
  cmp(qword[frame(StepsLeft)], 0);
  jne(stepLoop);
  L(done);
}

// Scales what the last block has summed.
void PanelKernel::emitStreamEnd() {
  Label loop, none;
  cmp(qword[frame(RowCount)], panelTileRows);
  jbe(none);
  L(loop);
  emitStepAddresses();
  for (int row = 0; row < panelTileRows; ++row)
    emitStepScaling(row);
  inc(qword[frame(Step)]);
  cmp(qword[frame(Step)], steps);
  jb(loop);
  L(none);
}

// `count` steps around `work`, which emits code and calls its argument between pieces of it.
void PanelKernel::emitSteps(int count, const std::function<void(const std::function<void()> &)> &work) {
  using Xbyak::Tmm;
  auto weights = [&](int row) { tileloadd(Tmm(weightTile + row), ptr[rsi + rcx + row * panelTileBytes]); };
  auto tokens = [&](int token) { tileloadd(Tmm(tokenTile + token), ptr[rbp + rcx + token * packedBytes]); };
  auto product = [&](int row, int token) {
    tdpbssd(Tmm(row + 2 * token), Tmm(weightTile + row), Tmm(tokenTile + token));
  };
  const std::function<void()> tileWork[] = {
      [&] { weights(0); },    [&] { tokens(0); }, [&] { product(0, 0); }, [&] { weights(1); },
      [&] { product(1, 0); }, [&] { tokens(1); }, [&] { product(0, 1); }, [&] { product(1, 1); }};
  constexpr int turns = 3 * 8; // of a step
  int turn = 0;
  auto next = [&] {
    if (turn >= turns * count)
      return;
    if (turn > 0 && turn % turns == 0) {
      emitBlockEnd();
      emitStepAddresses();
      emitScratch(rdx, panelHeader); // belongs to the decoder
    }
    const int now = turn++ % turns;
    now % 3 == 0 ? tileWork[now / 3]() : emitStepScaling(now / 3 * 2 + now % 3 - 1);
  };
  emitStepAddresses();
  if (work)
    work([&] {
      for (int i = 0; i < count; ++i)
        next();
    });
  while (turn < turns * count)
    next();
  emitBlockEnd();
}

void PanelKernel::emitStepAddresses() {
  mov(rax, ptr[frame(Step)]);
  mov(edx, eax);
  and_(edx, 1);
  shl(edx, 6);
  mov(rbx, ptr[frame(Scratch)]);
  lea(rbx, ptr[rbx + rdx + panelPastScales]);
  mov(edx, eax);
  shr(edx, 1);
  imul(edx, edx, packedBytes);
  add(rdx, ptr[frame(PastPacked)]);
  vmovups(vec(29), ptr[rdx + packedScales]);
  shl(eax, 10); // a tile of sums and of products, a group of weights and tokens
  mov(r14, ptr[frame(Scratch)]);
  mov(r15, ptr[frame(PastProducts)]);
  mov(rsi, ptr[frame(Panel)]);
  mov(rbp, ptr[frame(BlockPacked)]);
  for (const Reg64 &reg : {r14, r15, rsi, rbp})
    add(reg, rax);
  mov(ecx, 64);
  if (takesPacked())
    emitPackedPrefetch();
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

// product += float(sum) * d of the token * D of the row, for a row of the tile.
void PanelKernel::emitStepScaling(int row) {
  const Vec sum = vec(20 + row % 4 * 2), value = vec(21 + row % 4 * 2);
  vcvtdq2ps(sum, ptr[r14 + (panelSums + row * 64)]);
  vmovups(value, ptr[r15 + row * 64]);
  vmulps(sum, sum, vec(29));
  vfmadd231ps(value, sum, ptr_b[rbx + row * 4]);
  vmovups(ptr[r15 + row * 64], value);
}

// Counts the step. After the last of a block stores its sums and makes it the block to scale.
void PanelKernel::emitBlockEnd() {
  Label inside;
  dec(qword[frame(StepsLeft)]);
  mov(rax, ptr[frame(Step)]);
  inc(eax);
  and_(eax, steps - 1);
  mov(ptr[frame(Step)], rax);
  jnz(inside);
  mov(rax, ptr[frame(Scratch)]);
  for (int tile = 0; tile < steps; ++tile) {
    tilestored(ptr[rax + rcx + (panelSums + tile * 1024)], Xbyak::Tmm(tile));
    tilezero(Xbyak::Tmm(tile));
  }
  mov(rax, ptr[frame(BlockPacked)]);
  mov(ptr[frame(PastPacked)], rax);
  add(rax, 2 * packedBytes);
  mov(ptr[frame(BlockPacked)], rax);
  mov(rax, ptr[frame(BlockProducts)]);
  mov(ptr[frame(PastProducts)], rax);
  add(rax, 2 * productBytes);
  mov(ptr[frame(BlockProducts)], rax);
  mov(rdx, ptr[frame(Scales)]);
  mov(rax, ptr[frame(Scratch)]);
  for (int i = 0; i < panelScaleBytes; i += 64) {
    vmovups(vec(20), ptr[rdx + i]);
    vmovups(ptr[rax + panelPastScales + i], vec(20));
  }
  L(inside);
}

} // namespace ktc::x64
