// Attention of many tokens: what goes in and out of the packed forms. See prefill.h.
//
//   queries   float32 [element][row], or tiles [step of 32 elements][half of the rows]: 16 pairs of elements x
//             16 rows, a pair in 32 bits
//   keys      float32 [key][element], or tiles [16 keys][step]: 16 keys x 32 elements
//   values    as keys; tiles are made again from those: [16 elements][32 keys]: 16 elements x 32 keys
//   results   float32 [element][row]
//
// Elements of tiles behind the last one are zero, and so are keys behind the last position that is seen.
#include "templates/x64/attention/prefill.h"

#include "templates/x64/blocks/transpose.h"

#include <algorithm>

namespace ktc::x64 {

using namespace Xbyak::util;

// ---- Queries

void PrefillAttention::emitPackQueries() {
  // Per half tile, a vector of rows: rbx rows left, r15 table offset of the first row, rdi packed.
  Label loop;
  mov(rbx, slot(TileCount));
  add(rbx, rbx);
  lea(rdi, ptr[at(scratch, place.query)]);
  mov(r15, scratch);
  L(loop);
  int64_t to = 0;
  for (size_t i = 0; i < shape.query.size(); ++i) {
    emitPackQueryVectors(shape.query[i], place.queryRows[i], to);
    to +=
        usesTiles() ? (shape.query[i].length + 31) / 32 * 2 * tileBytes : shape.query[i].length * tileRows * 4;
  }
  add(r15, lanes() * 8);
  const int half = usesTiles() ? tileBytes : lanes() * 4;
  // The second half lies beside the first; behind it comes the next tile.
  Label second, next;
  test(bl, 1);
  jnz(second);
  add(rdi, half);
  jmp(next);
  L(second);
  add(rdi, static_cast<uint32_t>(place.queryTile - half));
  L(next);
  dec(rbx);
  jnz(loop);
}

// One segment of a vector of rows, to rdi + `to`: squares of rows x 32 bits of elements are transposed.
void PrefillAttention::emitPackQueryVectors(const QuerySegment &segment, int64_t table, int64_t to) {
  const Vec scale = vec(vectorRegisters() - 1);
  const int elements = usesTiles() ? 32 : lanes(); // of a square
  auto square = [&](int count) {
    vmovups(scale, splat(shape.scale * 1.44269504088896341f));
    for (int row = 0; row < lanes(); ++row) {
      mov(rax, ptr[at(r15, table + row * 8)]);
      loadPartial(vec(row), rax + rsi * 4, std::min(count, lanes()));
      vmulps(vec(row), vec(row), scale);
      if (!usesTiles())
        continue;
      const Vec second = vec(16);
      if (count > 16) {
        loadPartial(second, rax + rsi * 4 + 64, count - 16);
        vmulps(second, second, scale);
      } else {
        zero(second);
      }
      vcvtne2ps2bf16(vec(row), second, vec(row));
    }
    emitTranspose(*this);
    const int stride = usesTiles() ? 64 : tileRows * 4;
    for (int i = 0; i < (usesTiles() ? lanes() : count); ++i)
      vmovups(ptr[r8 + i * stride], vec(i));
  };
  lea(r8, ptr[at(rdi, to)]);
  xor_(esi, esi);
  if (segment.length >= elements) {
    Label loop;
    mov(ecx, static_cast<uint32_t>(segment.length / elements));
    L(loop);
    square(elements);
    add(rsi, elements);
    add(r8, usesTiles() ? 2 * tileBytes : elements * tileRows * 4);
    dec(ecx);
    jnz(loop);
  }
  if (int rest = static_cast<int>(segment.length % elements))
    square(rest);
}

// ---- Results

void PrefillAttention::emitClearResults() {
  Label loop;
  imul(rcx, slot(TileCount), static_cast<int>(place.resultElements));
  lea(rdi, ptr[at(scratch, place.result)]);
  zero(vec(0));
  L(loop);
  vmovups(ptr[rdi], vec(0));
  vmovups(ptr[rdi + lanes() * 4], vec(0));
  add(rdi, tileRows * 4);
  dec(rcx);
  jnz(loop);
}

// y = Y / sum, a vector of rows and a square of elements at a time.
void PrefillAttention::emitStoreResults() {
  const Reg64 left = rbx, rows = rdi, result = r12, table = r14;
  Label loop, second, next, done;
  mov(left, slot(Count));
  mov(rows, scratch);
  mov(table, scratch);
  lea(result, ptr[at(scratch, place.result)]);
  L(loop);
  auto square = [&](int count) {
    Label stored;
    vmovups(vec(15), splat(1.0f));
    vdivps(vec(15), vec(15), ptr[at(rows, place.sums)]);
    for (int i = 0; i < count; ++i)
      vmulps(vec(i), vec(15), ptr[rsi + i * tileRows * 4]);
    for (int i = count; i < lanes(); ++i)
      zero(vec(i));
    emitTranspose(*this);
    for (int row = 0; row < lanes(); ++row) {
      mov(rax, ptr[at(table, place.resultRows + row * 8)]);
      storePartial(rax + rdx * 4, vec(row), count, vec(15));
      if (row + 1 == lanes())
        break;
      cmp(left, row + 1);
      jle(stored);
    }
    L(stored);
  };
  mov(rsi, result);
  xor_(edx, edx);
  if (shape.valueLength >= lanes()) {
    Label squares;
    mov(ecx, static_cast<uint32_t>(shape.valueLength / lanes()));
    L(squares);
    square(lanes());
    add(rsi, lanes() * tileRows * 4);
    add(rdx, lanes());
    dec(ecx);
    jnz(squares);
  }
  if (int rest = static_cast<int>(shape.valueLength % lanes()))
    square(rest);
  add(rows, lanes() * 4);
  add(table, lanes() * 8);
  sub(left, lanes());
  jle(done);
  // `rows` tells the half: tables start at multiples of 64 bytes.
  lea(rax, ptr[rows]);
  sub(rax, scratch);
  test(eax, lanes() * 4);
  jz(second);
  add(result, lanes() * 4);
  jmp(next);
  L(second);
  add(result, static_cast<uint32_t>(place.resultTile - lanes() * 4));
  L(next);
  jmp(loop);
  L(done);
}

// ---- Keys and values

void PrefillAttention::emitPackKeys() {
  emitPackRows(KeyRow, cacheBytes(shape.type, shape.keys.rowElements), keyPieces, place.keys, place.keySteps);
  if (!sharesValues())
    emitPackRows(ValueRow, cacheBytes(shape.type, shape.values.rowElements), valuePieces, place.staged,
                 place.valueSteps);
  if (usesTiles())
    emitTransposeValues();
}

// keyBlock rows of the cache; from row Valid on zeros. rsi: row of the cache, rdi: packed, edx: rows that
// exist.
void PrefillAttention::emitPackRows(Slot from, int64_t rowBytes, const std::vector<Piece> &pieces, int64_t to,
                                    int64_t steps) {
  Label loop, zeros, next, sameTile;
  mov(rsi, slot(from));
  lea(rdi, ptr[at(scratch, to)]);
  mov(rdx, slot(Valid));
  mov(ecx, keyBlock);
  L(loop);
  test(edx, edx);
  jle(zeros);
  emitPackRow(pieces, false);
  jmp(next);
  L(zeros);
  zero(vec(0));
  emitPackRow(pieces, true);
  L(next);
  add(rsi, static_cast<uint32_t>(rowBytes));
  dec(edx);
  dec(ecx);
  if (usesTiles()) {
    add(rdi, 64);
    test(ecx, 15);
    jnz(sameTile);
    add(rdi, static_cast<uint32_t>((steps - 1) * tileBytes));
    L(sameTile);
  } else {
    int64_t elements = 0;
    for (const Piece &piece : pieces)
      elements += piece.length;
    add(rdi, static_cast<uint32_t>(elements * 4));
  }
  test(ecx, ecx);
  jnz(loop);
}

// One row; `zeroRow`: of zeros, which are in register 0.
void PrefillAttention::emitPackRow(const std::vector<Piece> &pieces, bool zeroRow) {
  const int step = usesTiles() ? 32 : lanes();
  int to = 0;
  for (const Piece &piece : pieces)
    for (int64_t element = 0; element < piece.length; element += step) {
      const int count = static_cast<int>(std::min<int64_t>(step, piece.length - element));
      const Vec value = vec(zeroRow ? 0 : 1);
      if (!zeroRow)
        emitLoadCache(value, piece.offset, element, count);
      if (usesTiles()) {
        vmovups(ptr[rdi + to], value);
        to += tileBytes;
      } else {
        vmovups(ptr[rdi + to], count < lanes() ? Vec(ymmOf(value)) : value);
        to += count * 4;
      }
    }
}

// dst = `elements` elements from `element` on of a piece that starts at rsi + `offset`: float32, or 32 bfloat16
// (zeros behind the last) for tiles. Clobbers vec(2) to vec(4).
void PrefillAttention::emitLoadCache(const Vec &dst, int64_t offset, int64_t element, int elements) {
  const int from = static_cast<int>(
      offset + (shape.type == KT_TYPE_Q8_0 ? element / 32 * 34 : cacheBytes(shape.type, element)));
  if (usesTiles() && shape.type == KT_TYPE_BF16) {
    if (elements == 32)
      vmovups(dst, ptr[rsi + from]);
    else
      loadPartial(dst, rsi + from, elements / 2);
    return;
  }
  // The lower half of a vector, for tails of 8 elements.
  const Vec value = elements < lanes() ? Vec(ymmOf(dst)) : dst;
  switch (shape.type) {
  case KT_TYPE_F16:
    vcvtph2ps(value, ptr[rsi + from]);
    return;
  case KT_TYPE_BF16:
    vpmovzxwd(value, ptr[rsi + from]);
    vpslld(value, value, 16);
    return;
  case KT_TYPE_Q8_0: {
    vpbroadcastw(xmm2, ptr[rsi + from]);
    vcvtph2ps(xmm2, xmm2);
    vbroadcastss(vec(2), xmm2);
    auto quants = [&](const Vec &to, int64_t first) {
      vpmovsxbd(to, ptr[rsi + (from + 2 + static_cast<int>(first))]);
      vcvtdq2ps(to, to);
      vmulps(to, to, vec(2));
    };
    quants(dst, element % 32);
    if (usesTiles()) {
      quants(vec(3), 16);
      vcvtne2ps2bf16(dst, vec(3), dst);
    }
    return;
  }
  default:
    vmovups(value, ptr[rsi + from]);
  }
}

// Tiles [16 elements][32 keys] of the values from the tiles [16 keys][step] of packed rows: two keys become the
// halves of 32 bits, then squares of pairs x elements are transposed.
void PrefillAttention::emitTransposeValues() {
  const int groups = keyBlock / 32;
  const int64_t stagedSteps = sharesValues() ? place.keySteps : place.valueSteps;
  const int nextKeys = static_cast<int>(stagedSteps * tileBytes); // from a tile of 16 keys to the next
  Label loop, steps;
  lea(r8, ptr[at(scratch, place.staged)]);
  lea(r9, ptr[at(scratch, place.values)]);
  mov(edx, groups);
  L(loop);
  mov(rsi, r8);
  mov(rdi, r9);
  mov(ecx, static_cast<uint32_t>(place.valueSteps));
  L(steps);
  for (int half = 0; half < 2; ++half) {
    for (int pair = 0; pair < 16; ++pair) {
      const int from = pair / 8 * nextKeys + pair % 8 * 128 + half * 32;
      vpmovzxwd(vec(pair), ptr[rsi + from]);
      vpmovzxwd(vec(16 + pair % 4), ptr[rsi + from + 64]);
      vpslld(vec(16 + pair % 4), vec(16 + pair % 4), 16);
      bitOr(vec(pair), vec(pair), vec(16 + pair % 4));
    }
    emitTranspose(*this);
    for (int i = 0; i < 16; ++i)
      vmovups(ptr[rdi + (half * groups * tileBytes + i * 64)], vec(i));
  }
  add(rsi, tileBytes);
  add(rdi, 2 * groups * tileBytes);
  dec(ecx);
  jnz(steps);
  add(r8, 2 * nextKeys);
  add(r9, tileBytes);
  dec(edx);
  jnz(loop);
}

} // namespace ktc::x64
