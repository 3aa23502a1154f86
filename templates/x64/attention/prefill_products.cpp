// Attention of many tokens: scores of and weighted sums over a block of keys, by AMX tiles or by FMA. See
// prefill.h.
#include "templates/x64/attention/prefill.h"
#include "templates/x64/blocks/tile_gap.h"

namespace ktc::x64 {

using namespace Xbyak::util;

void PrefillAttention::emitScores() { usesTiles() ? emitTileScores() : emitFloatScores(); }
void PrefillAttention::emitValues() { usesTiles() ? emitTileValues() : emitFloatValues(); }

// ---- AMX. Tiles 0..3 sum 2 x 2 products, 4 and 5 are the left operands (keys, elements), 6 and 7 the right.

// Adds two left tiles times the two neighbouring right ones to the sums.
void PrefillAttention::emitTileStep(const Xbyak::RegExp &first, const Xbyak::RegExp &second,
                                    const Xbyak::RegExp &right) {
  const std::pair<Xbyak::Tmm, Xbyak::RegExp> loads[] = {
      {tmm4, first}, {tmm6, right}, {tmm7, right + tileBytes}, {tmm5, second}};
  for (const auto &[tile, from] : loads) {
    tileloadd(tile, ptr[from]);
    emitTileGap(*this);
  }
  for (int i = 0; i < 4; ++i) {
    tdpbf16ps(Xbyak::Tmm(i), Xbyak::Tmm(4 + i / 2), Xbyak::Tmm(6 + i % 2));
    emitTileGap(*this);
  }
}

// Two tiles of keys at a time with both halves of the rows.
void PrefillAttention::emitTileScores() {
  const int nextKeys = static_cast<int>(place.keySteps * tileBytes);
  Label loop, steps;
  mov(r8d, 64);
  mov(r9d, tileRows * 4);
  lea(rsi, ptr[at(scratch, place.keys)]);
  lea(rdx, ptr[at(scratch, place.scores)]);
  mov(eax, keyBlock / 32);
  L(loop);
  mov(rdi, queryTile);
  for (int i = 0; i < 4; ++i)
    tilezero(Xbyak::Tmm(i));
  mov(ecx, static_cast<uint32_t>(place.keySteps));
  L(steps);
  emitTileStep(rsi + r8, rsi + r8 + nextKeys, rdi + r8);
  add(rsi, tileBytes);
  add(rdi, 2 * tileBytes);
  dec(ecx);
  jnz(steps);
  for (int i = 0; i < 4; ++i)
    tilestored(ptr[rdx + r9 + (i / 2 * 16 * tileRows * 4 + i % 2 * 64)], Xbyak::Tmm(i));
  add(rsi, nextKeys);
  add(rdx, 32 * tileRows * 4);
  dec(eax);
  jnz(loop);
}

// Tile instruction number `turn` of the scores of 32 keys: a step of 32 elements takes eight, which other code
// stands between. rsi: keys, r10: queries, r8: 64.
void PrefillAttention::emitTileTurn(int turn) {
  const int step = turn / 8 * tileBytes, nextKeys = static_cast<int>(place.keySteps * tileBytes);
  switch (turn % 8) {
  case 0:
    return tileloadd(tmm4, ptr[rsi + r8 + step]);
  case 1:
    return tileloadd(tmm6, ptr[r10 + r8 + 2 * step]);
  case 2:
    return tdpbf16ps(tmm0, tmm4, tmm6);
  case 3:
    return tileloadd(tmm7, ptr[r10 + r8 + (2 * step + tileBytes)]);
  case 4:
    return tdpbf16ps(tmm1, tmm4, tmm7);
  case 5:
    return tileloadd(tmm5, ptr[rsi + r8 + (step + nextKeys)]);
  case 6:
    return tdpbf16ps(tmm2, tmm5, tmm6);
  default:
    return tdpbf16ps(tmm3, tmm5, tmm7);
  }
}

// Two tiles of elements at a time with both halves of the rows.
void PrefillAttention::emitTileValues() {
  const int groups = keyBlock / 32;
  Label loop;
  mov(r8d, 64);
  mov(r9d, tileRows * 4);
  lea(rsi, ptr[at(scratch, place.values)]);
  lea(rdi, ptr[at(scratch, place.weights)]);
  mov(rdx, resultTile);
  mov(ecx, static_cast<uint32_t>(place.valueSteps));
  L(loop);
  auto result = [&](int i) { return ptr[rdx + r9 + (i / 2 * 16 * tileRows * 4 + i % 2 * 64)]; };
  for (int i = 0; i < 4; ++i)
    tileloadd(Xbyak::Tmm(i), result(i));
  for (int group = 0; group < groups; ++group) {
    emitTileStep(rsi + r8 + group * tileBytes, rsi + r8 + (groups + group) * tileBytes,
                 rdi + r8 + group * 2 * tileBytes);
  }
  for (int i = 0; i < 4; ++i)
    tilestored(result(i), Xbyak::Tmm(i));
  add(rsi, 2 * groups * tileBytes);
  add(rdx, 32 * tileRows * 4);
  dec(ecx);
  jnz(loop);
}

// ---- FMA. A few broadcast values times a tile of rows; sums are in the last registers.

// S of 8 keys (4 without Avx512) at a time.
void PrefillAttention::emitFloatScores() {
  const int keys = lanes() / 2, keyBytes = static_cast<int>(place.keyElements * 4);
  auto sum = [&](int key, int half) { return vec(vectorRegisters() - 2 * keys + 2 * key + half); };
  Label loop, elements;
  lea(rsi, ptr[at(scratch, place.keys)]);
  lea(rdx, ptr[at(scratch, place.scores)]);
  mov(eax, keyBlock / keys);
  L(loop);
  mov(rdi, queryTile);
  for (int i = 0; i < 2 * keys; ++i)
    zero(sum(0, i));
  mov(ecx, static_cast<uint32_t>(place.keyElements / 2));
  L(elements);
  for (int element = 0; element < 2; ++element) {
    for (int half = 0; half < 2; ++half)
      vmovups(vec(half), ptr[rdi + (element * tileRows + half * lanes()) * 4]);
    for (int key = 0; key < keys; ++key) {
      const Vec value = vec(2 + key % 4);
      vbroadcastss(value, ptr[rsi + (key * keyBytes + element * 4)]);
      for (int half = 0; half < 2; ++half)
        vfmadd231ps(sum(key, half), value, vec(half));
    }
  }
  add(rdi, 2 * tileRows * 4);
  add(rsi, 8);
  dec(ecx);
  jnz(elements);
  for (int i = 0; i < 2 * keys; ++i)
    vmovups(ptr[rdx + i * lanes() * 4], sum(0, i));
  add(rdx, keys * tileRows * 4);
  add(rsi, (keys - 1) * keyBytes);
  dec(eax);
  jnz(loop);
}

// Y of 8 elements (4 without Avx512) at a time.
void PrefillAttention::emitFloatValues() {
  const int elements = lanes() / 2;
  const int rowBytes = static_cast<int>((sharesValues() ? place.keyElements : place.resultElements) * 4);
  auto sum = [&](int element, int half) { return vec(vectorRegisters() - 2 * elements + 2 * element + half); };
  Label loop, keys;
  lea(rsi, ptr[at(scratch, place.staged)]);
  mov(rdx, resultTile);
  mov(eax, static_cast<uint32_t>(shape.valueLength / elements));
  L(loop);
  lea(rdi, ptr[at(scratch, place.weights)]);
  mov(r8, rsi);
  for (int i = 0; i < 2 * elements; ++i)
    vmovups(sum(0, i), ptr[rdx + i * lanes() * 4]);
  mov(ecx, keyBlock);
  L(keys);
  for (int half = 0; half < 2; ++half)
    vmovups(vec(half), ptr[rdi + half * lanes() * 4]);
  for (int element = 0; element < elements; ++element) {
    const Vec value = vec(2 + element % 4);
    vbroadcastss(value, ptr[r8 + element * 4]);
    for (int half = 0; half < 2; ++half)
      vfmadd231ps(sum(element, half), value, vec(half));
  }
  add(rdi, tileRows * 4);
  add(r8, rowBytes);
  dec(ecx);
  jnz(keys);
  for (int i = 0; i < 2 * elements; ++i)
    vmovups(ptr[rdx + i * lanes() * 4], sum(0, i));
  add(rdx, elements * tileRows * 4);
  add(rsi, elements * 4);
  dec(eax);
  jnz(loop);
}

} // namespace ktc::x64
