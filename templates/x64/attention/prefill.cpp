// Attention of many tokens: units, blocks of rows, blocks of keys. See prefill.h.
#include "templates/x64/attention/prefill.h"

#include <algorithm>

namespace ktc::x64 {

using namespace Xbyak::util;

namespace {

constexpr int64_t rowBudget = 3 << 18; // bytes of packed queries and results: they stay in a second-level cache
// More would not make packing much cheaper; beside tile instructions it weighs more.
constexpr int64_t mostRows = 256, mostTileRows = 512;

int64_t roundUp(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

} // namespace

PrefillAttention::PrefillAttention(const Target &target, const AttentionShape &attention)
    : Emitter(target), shape(attention), tileRows(2 * lanes()), keyBlock(usesTiles() ? 128 : 64),
      keyPieces([&] {
        std::vector<Piece> pieces;
        for (const QuerySegment &segment : attention.query)
          pieces.push_back({cacheBytes(attention.type, segment.cacheOffset), segment.length});
        return pieces;
      }()),
      valuePieces{{0, attention.valueLength}}, place(layout()) {}

// float16 has more bits than bfloat16, and float32 is asked for where rounding matters.
bool PrefillAttention::usesTiles() const {
  return isa == Isa::Amx && (shape.type == KT_TYPE_BF16 || shape.type == KT_TYPE_Q8_0);
}

PrefillAttention::Layout PrefillAttention::layout() const {
  Layout result{};
  result.valueSteps = (shape.valueLength + 31) / 32;
  for (const QuerySegment &segment : shape.query) {
    result.keySteps += (segment.length + 31) / 32;
    result.keyElements += segment.length;
  }
  if (usesTiles())
    result.keyElements = result.keySteps * 32;
  result.resultElements = usesTiles() ? result.valueSteps * 32 : shape.valueLength;
  result.queryTile = result.keyElements * tileRows * (usesTiles() ? 2 : 4);
  result.resultTile = result.resultElements * tileRows * 4;
  result.rows = std::clamp(rowBudget / ((result.queryTile + result.resultTile) / tileRows), int64_t(tileRows),
                           usesTiles() ? mostTileRows : mostRows) /
                tileRows * tileRows;
  int64_t end = 0;
  auto take = [&](int64_t bytes) {
    int64_t offset = end;
    end += roundUp(bytes, 64);
    return offset;
  };
  const int64_t tiles = result.rows / tileRows, element = usesTiles() ? 2 : 4;
  for (int64_t &table : result.queryRows)
    table = take(result.rows * 8);
  result.resultRows = take(result.rows * 8);
  for (int64_t *row : {&result.last, &result.first, &result.maxima, &result.sums})
    *row = take(result.rows * 4);
  result.tiles = take(tiles * 16);
  result.scores = take(keyBlock * tileRows * 4);
  result.weights = usesTiles() ? take(keyBlock * tileRows * 2) : result.scores;
  result.query = take(tiles * result.queryTile);
  result.result = take(tiles * result.resultTile);
  result.keys = take(keyBlock * result.keyElements * element);
  result.staged = sharesValues() ? result.keys : take(keyBlock * result.resultElements * element);
  result.values = usesTiles() ? take(keyBlock * result.resultElements * 2) : result.staged;
  result.bytes = end;
  return result;
}

Kernel PrefillAttention::emit() {
  prologue(FrameEnd);
  for (int i = 0; i < (shape.sinks ? 6 : 5); ++i) {
    loadOperand(rax, i);
    mov(slot(Operands + i * 8), rax);
  }
  loadScratch(scratch);
  loadTokenCount(eax);
  mov(slot(Tokens), rax);
  loadUnits(eax, ecx);
  mov(slot(Unit), rax);
  mov(slot(UnitEnd), rcx);
  if (usesTiles()) {
    // Palette 1; all tiles have 16 rows (from byte 48 on) of 64 bytes (words from byte 16 on).
    std::array<uint8_t, 64> shapes{};
    shapes[0] = 1;
    for (int tile = 0; tile < 8; ++tile) {
      shapes[16 + 2 * tile] = 64;
      shapes[48 + tile] = 16;
    }
    ldtilecfg(constant(shapes));
  }
  emitUnits();
  if (usesTiles())
    tilerelease();
  epilogue();
  return finish(static_cast<size_t>(place.bytes));
}

// The units of a KV head, one per token, are numbered first, last, second, second to last, …: a later token
// costs more, and so every range of units costs the same. A range i0..i1 is two ranges of tokens, of the even
// and of the odd numbers.
void PrefillAttention::emitUnits() {
  Label loop, done;
  L(loop);
  mov(rax, slot(Unit));
  cmp(rax, slot(UnitEnd));
  jae(done);
  mov(r8, slot(Tokens));
  xor_(edx, edx);
  div(r8); // rax: KV head, rdx: i0
  mov(slot(KvHead), rax);
  mov(rcx, slot(UnitEnd));
  sub(rcx, slot(Unit));
  add(rcx, rdx);
  cmp(rcx, r8);
  cmova(rcx, r8); // i1
  mov(rax, rcx);
  sub(rax, rdx);
  add(slot(Unit), rax);
  lea(rax, ptr[rdx + 1]);
  shr(rax, 1);
  mov(slot(Token0), rax);
  lea(rax, ptr[rcx + 1]);
  shr(rax, 1);
  mov(slot(RangeEnd), rax);
  shr(rcx, 1);
  mov(rax, r8);
  sub(rax, rcx);
  mov(slot(HighBegin), rax);
  shr(rdx, 1);
  sub(r8, rdx);
  mov(slot(HighEnd), r8);
  Label range;
  L(range);
  emitRange();
  mov(rax, slot(HighBegin));
  mov(rcx, slot(HighEnd));
  mov(slot(Token0), rax);
  mov(slot(RangeEnd), rcx);
  mov(slot(HighBegin), rcx); // the third range is empty and ends the loop
  cmp(rax, rcx);
  jb(range);
  jmp(loop);
  L(done);
}

// The rows of the tokens Token0..RangeEnd, block by block.
void PrefillAttention::emitRange() {
  Label loop, done;
  mov(rax, slot(RangeEnd));
  sub(rax, slot(Token0));
  imul(rax, rax, static_cast<int>(shape.headsPerKv));
  mov(slot(Rows), rax);
  mov(slot(Row0), 0);
  L(loop);
  mov(rax, slot(Rows));
  sub(rax, slot(Row0));
  jbe(done);
  mov(ecx, static_cast<uint32_t>(place.rows));
  cmp(rax, rcx);
  cmova(rax, rcx);
  mov(slot(Count), rax);
  add(rax, tileRows - 1);
  shr(rax, wide() ? 5 : 4);
  mov(slot(TileCount), rax);
  emitBlock();
  mov(rax, slot(Count));
  add(slot(Row0), rax);
  jmp(loop);
  L(done);
}

void PrefillAttention::emitBlock() {
  emitRowTables();
  emitTileBounds();
  emitPackQueries();
  emitClearResults();
  emitKeyBlocks();
  emitStoreResults();
}

// Addresses, positions and starting values of all rows of the block's tiles. Rows behind the last one are that
// row again: they are computed and not stored.
void PrefillAttention::emitRowTables() {
  const Reg64 row = rbx, token = rsi, head = rdi;
  Label loop;
  xor_(ebx, ebx);
  L(loop);
  mov(rax, slot(Count));
  dec(rax);
  cmp(rbx, rax);
  cmovb(rax, rbx);
  add(rax, slot(Row0));
  xor_(edx, edx);
  mov(ecx, static_cast<uint32_t>(shape.headsPerKv));
  div(rcx);
  add(rax, slot(Token0));
  mov(token, rax);
  imul(head, slot(KvHead), static_cast<int>(shape.headsPerKv));
  add(head, rdx);
  for (size_t i = 0; i < shape.query.size(); ++i)
    emitRowAddress(place.queryRows[i], shape.query[i].operand, shape.query[i].tokenStride,
                   shape.query[i].headStride);
  emitRowAddress(place.resultRows, 3, shape.resultStride, shape.valueLength);
  mov(rax, slot(Operands + 4 * 8));
  mov(eax, dword[rax + token * 4]);
  mov(dword[at(scratch, place.last) + row * 4], eax);
  xor_(ecx, ecx);
  if (shape.window > 0) {
    inc(rax);
    sub(rax, static_cast<uint32_t>(shape.window));
    cmovg(rcx, rax);
  }
  mov(dword[at(scratch, place.first) + row * 4], ecx);
  // A sink is a score that was there before all others.
  vmovss(xmm0, splat(lowestMaximum));
  vxorps(xmm1, xmm1, xmm1);
  if (shape.sinks) {
    mov(rax, slot(Operands + 5 * 8));
    vmovss(xmm2, ptr[rax + head * 4]);
    vmulss(xmm2, xmm2, splat(1.44269504088896341f));
    vmaxss(xmm0, xmm0, xmm2);
    vmovss(xmm1, splat(1.0f));
  }
  vmovss(ptr[at(scratch, place.maxima) + row * 4], xmm0);
  vmovss(ptr[at(scratch, place.sums) + row * 4], xmm1);
  inc(row);
  mov(rax, slot(TileCount));
  shl(rax, wide() ? 5 : 4);
  cmp(row, rax);
  jb(loop);
}

// table[row] = operand + (token * tokenStride + head * headStride) * 4.
void PrefillAttention::emitRowAddress(int64_t table, int operand, int64_t tokenStride, int64_t headStride) {
  imul(rax, rsi, static_cast<int>(tokenStride));
  imul(rcx, rdi, static_cast<int>(headStride));
  add(rax, rcx);
  shl(rax, 2);
  add(rax, slot(Operands + operand * 8));
  mov(ptr[at(scratch, table) + rbx * 8], rax);
}

// Which positions the rows of each tile see, and those of the block: KeyBegin (start of a block of keys),
// KeyEnd.
void PrefillAttention::emitTileBounds() {
  Label tile, row;
  mov(r10d, INT32_MAX); // least first of all
  xor_(r11d, r11d);     // largest last of all
  mov(rbx, slot(TileCount));
  lea(rsi, ptr[at(scratch, place.last)]);
  lea(rdi, ptr[at(scratch, place.tiles)]);
  L(tile);
  mov(eax, dword[rsi]);
  mov(edx, eax);
  mov(r8d, dword[rsi + static_cast<int>(place.first - place.last)]);
  mov(r9d, r8d);
  mov(ecx, tileRows);
  L(row);
  auto keep = [&](const Reg32 &least, const Reg32 &largest, int64_t offset) {
    cmp(least, dword[rsi + static_cast<int>(offset)]);
    cmovg(least, dword[rsi + static_cast<int>(offset)]);
    cmp(largest, dword[rsi + static_cast<int>(offset)]);
    cmovl(largest, dword[rsi + static_cast<int>(offset)]);
  };
  keep(eax, edx, 0);
  keep(r8d, r9d, place.first - place.last);
  add(rsi, 4);
  dec(ecx);
  jnz(row);
  mov(dword[rdi], eax);
  mov(dword[rdi + 4], edx);
  mov(dword[rdi + 8], r8d);
  mov(dword[rdi + 12], r9d);
  cmp(r8d, r10d);
  cmovl(r10d, r8d);
  cmp(edx, r11d);
  cmovg(r11d, edx);
  add(rdi, 16);
  dec(rbx);
  jnz(tile);
  and_(r10, -keyBlock);
  inc(r11);
  mov(slot(KeyBegin), r10);
  mov(slot(KeyEnd), r11);
}

// to = address of the row of position Key.
void PrefillAttention::emitCacheRow(const CacheSide &side, Slot to) {
  imul(rax, slot(Key), static_cast<int>(cacheBytes(shape.type, side.rowElements)));
  add(rax, slot(Operands + side.operand * 8));
  imul(rcx, slot(KvHead), static_cast<int>(cacheBytes(shape.type, side.headElements)));
  add(rax, rcx);
  mov(slot(to), rax);
}

void PrefillAttention::emitKeyBlocks() {
  Label loop, tile, next, done;
  mov(rax, slot(KeyBegin));
  mov(slot(Key), rax);
  L(loop);
  mov(rax, slot(KeyEnd));
  sub(rax, slot(Key));
  jle(done);
  mov(ecx, keyBlock);
  cmp(rax, rcx);
  cmovg(rax, rcx);
  mov(slot(Valid), rax);
  emitCacheRow(shape.keys, KeyRow);
  if (!sharesValues())
    emitCacheRow(shape.values, ValueRow);
  emitPackKeys();
  mov(rbx, slot(TileCount));
  lea(queryTile, ptr[at(scratch, place.query)]);
  lea(resultTile, ptr[at(scratch, place.result)]);
  mov(rowTile, scratch);
  lea(r15, ptr[at(scratch, place.tiles)]);
  mov(slot(HasScores), 0);
  L(tile);
  emitUnseen(0, next);
  emitTile();
  L(next);
  add(queryTile, static_cast<uint32_t>(place.queryTile));
  add(resultTile, static_cast<uint32_t>(place.resultTile));
  add(rowTile, tileRows * 4);
  add(r15, 16);
  dec(rbx);
  jnz(tile);
  add(slot(Key), keyBlock);
  jmp(loop);
  L(done);
}

// Jumps to `unseen` if no row of the tile whose bounds are at r15 + offset sees a key of this block.
void PrefillAttention::emitUnseen(int offset, Xbyak::Label &unseen) {
  mov(rax, slot(Key));
  cmp(eax, dword[r15 + offset + 4]);
  jg(unseen, T_NEAR);
  if (shape.window > 0) {
    add(eax, keyBlock);
    cmp(eax, dword[r15 + offset + 8]);
    jle(unseen, T_NEAR);
  }
}

// One tile of rows with one block of keys. r15: the tile's bounds; rbx: tiles left.
void PrefillAttention::emitTile() {
  Label scored, masked, softmax;
  if (usesTiles()) {
    cmp(slot(HasScores), 0);
    jne(scored, T_NEAR);
  }
  emitScores();
  L(scored);
  mov(rax, slot(Key));
  if (shape.window > 0) {
    cmp(eax, dword[r15 + 12]);
    jl(masked);
  }
  add(eax, keyBlock - 1);
  cmp(eax, dword[r15]);
  jle(softmax);
  L(masked);
  emitMask();
  L(softmax);
  emitSoftmax();
  emitValues();
}

Kernel generatePrefillAttention(const AttentionShape &shape, const Target &target) {
  return PrefillAttention(target, shape).emit();
}

} // namespace ktc::x64
