// Attention of many tokens: masks, running maxima and sums, and weights from scores. See prefill.h.
//
// Everything here is vertical: a lane is a row. Scores are exponents of two, so that 2^x needs no
// multiplication; x is never positive.
#include "templates/x64/attention/prefill.h"
#include "templates/x64/blocks/exp.h"

namespace ktc::x64 {

using namespace Xbyak::util;

// Scores of positions that a row does not see become maskedScore.
void PrefillAttention::emitMask() {
  emitMaskHalf(0);
  emitMaskHalf(1);
}

void PrefillAttention::emitMaskHalf(int half) {
  const Vec last = vec(0), first = vec(1), key = vec(2), hidden = vec(3), masked = vec(4), early = vec(5);
  const int offset = half * lanes() * 4;
  Label loop;
  moveInt(last, ptr[at(rowTile, place.last + offset)]);
  moveInt(first, ptr[at(rowTile, place.first + offset)]);
  mov(rax, slot(Key));
  vmovd(xmm2, eax);
  vpbroadcastd(key, xmm2);
  vmovups(masked, splat(maskedScore));
  lea(rdx, ptr[at(scratch, place.scores + offset)]);
  mov(ecx, keyBlock);
  L(loop);
  if (wide()) {
    vpcmpgtd(k1, key, last);
    if (shape.window > 0) {
      vpcmpgtd(k2, first, key);
      korw(k1, k1, k2);
    }
    vmovups(ptr[rdx] | k1, masked);
  } else {
    vpcmpgtd(hidden, key, last);
    if (shape.window > 0) {
      vpcmpgtd(early, first, key);
      vpor(hidden, hidden, early);
    }
    vmaskmovps(ptr[rdx], hidden, masked);
  }
  vpaddd(key, key, splat(1u));
  add(rdx, tileRows * 4);
  dec(ecx);
  jnz(loop);
}

// Scores to weights relative to the new maxima; rescales what was summed before where they grew. Registers that
// live through it: 0 and 1 the maxima of both halves, 2 and 3 their sums.
void PrefillAttention::emitSoftmax() {
  emitMaxima();
  if (usesTiles()) {
    Label last, done;
    mov(slot(HasScores), 0);
    cmp(rbx, 1);
    je(last, T_NEAR);
    emitUnseen(16, last);
    mov(slot(HasScores), 1);
    emitWeightsBesideScores();
    jmp(done, T_NEAR);
    L(last);
    emitWeights();
    L(done);
  } else {
    emitWeights();
  }
  emitRescale();
}

void PrefillAttention::emitMaxima() {
  constexpr int chains = 4; // an instruction takes four cycles
  auto chain = [&](int half, int i) { return vec(half + 2 * i); };
  Label loop;
  for (int half = 0; half < 2; ++half) {
    vmovups(chain(half, 0), ptr[at(rowTile, place.maxima + half * lanes() * 4)]);
    for (int i = 1; i < chains; ++i)
      vmovaps(chain(half, i), chain(half, 0));
  }
  lea(rdx, ptr[at(scratch, place.scores)]);
  mov(ecx, keyBlock / chains);
  L(loop);
  for (int i = 0; i < chains; ++i)
    for (int half = 0; half < 2; ++half)
      vmaxps(chain(half, i), chain(half, i), ptr[rdx + (i * tileRows + half * lanes()) * 4]);
  add(rdx, chains * tileRows * 4);
  dec(ecx);
  jnz(loop);
  for (int step = chains / 2; step > 0; step /= 2)
    for (int i = 0; i < step; ++i)
      for (int half = 0; half < 2; ++half)
        vmaxps(chain(half, i), chain(half, i), chain(half, i + step));
}

// Weight of key `key` of pair number `pair` from rdx on, for a half of the rows, added to its sum.
void PrefillAttention::emitWeight(int half, int key, int pair) {
  const Vec weight = vec(4 + 2 * half + key), sum = vec(2 + half);
  const Address score = ptr[rdx + ((2 * pair + key) * tileRows + half * lanes()) * 4];
  vmovups(weight, score);
  vsubps(weight, weight, vec(half));
  emitPowerOfTwo(*this, weight, vec(8), vec(9), usesTiles());
  vaddps(sum, sum, weight);
  if (!usesTiles())
    vmovups(score, weight);
}

// Both weights of a pair side by side to rdi, where sixteen pairs make a tile and that of the other half
// follows: word 2i is word i of the first key, word 2i + 1 that of the second. vec(10): that order.
void PrefillAttention::emitWeightPair(int half, int pair) {
  const Vec first = vec(4 + 2 * half), second = vec(5 + 2 * half);
  vcvtne2ps2bf16(first, second, first);
  vpermw(first, vec(10), first);
  vmovups(ptr[rdi + (half * tileBytes + pair * 64)], first);
}

void PrefillAttention::emitWeightConstants() {
  zero(vec(2));
  zero(vec(3));
  if (usesTiles()) {
    std::array<uint16_t, 32> words;
    for (uint16_t i = 0; i < 32; ++i)
      words[i] = static_cast<uint16_t>(i / 2 + i % 2 * 16);
    vmovups(vec(10), table(words));
    lea(rdi, ptr[at(scratch, place.weights)]);
  }
  lea(rdx, ptr[at(scratch, place.scores)]);
}

// Two keys at a time: weights of both halves, and their sums.
void PrefillAttention::emitWeights() {
  Label loop;
  emitWeightConstants();
  mov(ecx, keyBlock / 2);
  L(loop);
  for (int half = 0; half < 2; ++half) {
    emitWeight(half, 0, 0);
    emitWeight(half, 1, 0);
    if (usesTiles())
      emitWeightPair(half, 0);
  }
  add(rdx, 2 * tileRows * 4);
  if (usesTiles()) {
    Label sameTile;
    add(rdi, 64);
    dec(ecx);
    test(ecx, 15);
    jnz(sameTile);
    add(rdi, tileBytes);
    L(sameTile);
    test(ecx, ecx);
  } else {
    dec(ecx);
  }
  jnz(loop);
}

// The same, and meanwhile the scores of the next tile of rows: tile instructions leave the vector ports free,
// and follow each other badly when a core's other thread is busy. Scores of 32 keys take the place of those
// that have become weights.
void PrefillAttention::emitWeightsBesideScores() {
  constexpr int pairs = 16; // of 32 keys
  const int turns = static_cast<int>(8 * place.keySteps), weights = pairs * 4;
  Label loop;
  emitWeightConstants();
  mov(r8d, 64);
  mov(r9d, tileRows * 4);
  lea(rsi, ptr[at(scratch, place.keys)]);
  lea(r10, ptr[queryTile + static_cast<int>(place.queryTile)]);
  mov(eax, keyBlock / 32);
  L(loop);
  for (int i = 0; i < 4; ++i)
    tilezero(Xbyak::Tmm(i));
  int turn = 0, done = 0;
  for (int pair = 0; pair < pairs; ++pair)
    for (int half = 0; half < 2; ++half) {
      for (int key = 0; key < 2; ++key) {
        emitWeight(half, key, pair);
        for (++done; turn < turns * done / weights; ++turn)
          emitTileTurn(turn);
      }
      emitWeightPair(half, pair);
    }
  for (int i = 0; i < 4; ++i)
    tilestored(ptr[rdx + r9 + (i / 2 * 16 * tileRows * 4 + i % 2 * 64)], Xbyak::Tmm(i));
  add(rsi, static_cast<uint32_t>(2 * place.keySteps * tileBytes));
  add(rdx, 32 * tileRows * 4);
  add(rdi, 2 * tileBytes);
  dec(eax);
  jnz(loop, T_NEAR);
}

// sum = sum * 2^(old maximum - new) + sum of the block, and the same factor for the results if it is not 1
// everywhere.
void PrefillAttention::emitRescale() {
  const Vec one = vec(6);
  auto factor = [&](int half) { return vec(4 + half); };
  Label loop, done;
  for (int half = 0; half < 2; ++half) {
    const Xbyak::RegExp maxima = at(rowTile, place.maxima + half * lanes() * 4),
                        sums = at(rowTile, place.sums + half * lanes() * 4);
    vmovups(factor(half), ptr[maxima]);
    vsubps(factor(half), factor(half), vec(half));
    emitPowerOfTwo(*this, factor(half), vec(8), vec(9), usesTiles());
    vmovups(ptr[maxima], vec(half));
    vmovups(vec(7), ptr[sums]);
    vfmadd213ps(vec(7), factor(half), vec(2 + half));
    vmovups(ptr[sums], vec(7));
  }
  vmovups(one, splat(1.0f));
  if (wide()) {
    vcmpps(k1, factor(0), one, 4); // not equal
    vcmpps(k2, factor(1), one, 4);
    kortestw(k1, k2);
  } else {
    vcmpps(vec(8), factor(0), one, 4);
    vcmpps(vec(9), factor(1), one, 4);
    vorps(vec(8), vec(8), vec(9));
    vtestps(vec(8), vec(8));
  }
  jz(done);
  mov(rdx, resultTile);
  mov(ecx, static_cast<uint32_t>(place.resultElements));
  L(loop);
  for (int half = 0; half < 2; ++half) {
    vmulps(vec(8 + half), factor(half), ptr[rdx + half * lanes() * 4]);
    vmovups(ptr[rdx + half * lanes() * 4], vec(8 + half));
  }
  add(rdx, tileRows * 4);
  dec(ecx);
  jnz(loop);
  L(done);
}

} // namespace ktc::x64
