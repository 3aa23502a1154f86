// Horizontal sums of many accumulators: see lane_sums.h.
//
// A tree of pairwise steps; each halves the number of registers, keeping one partial sum of every accumulator
// in the place of two. It needs as many additions as registers less one, where separate sums would need four
// each.
#include "templates/x64/blocks/lane_sums.h"

namespace ktc::x64 {

using Vec = Emitter::Vec;

static void sum16(Emitter &e, int first, const Vec &tmp) {
  auto v = [&](int i) { return Emitter::zmmOf(e.vec(first + i)); };
  auto t = Emitter::zmmOf(tmp);
  auto quarters = [&](int a, int b) { // q0+q2, q1+q3 of a, then of b
    e.vshuff64x2(t, v(a), v(b), 0xEE);
    e.vinsertf64x4(v(a), v(a), Emitter::ymmOf(v(b)), 1);
    e.vaddps(v(a), v(a), t);
  };
  auto halves = [&](int a, int b) { // one 128-bit lane for each of four accumulators
    e.vshuff32x4(t, v(a), v(b), 0xDD);
    e.vshuff32x4(v(a), v(a), v(b), 0x88);
    e.vaddps(v(a), v(a), t);
  };
  // Accumulators i, 4 + i, 8 + i, 12 + i end up in the four 128-bit lanes of register i.
  for (int i = 0; i < 4; ++i) {
    quarters(i, 4 + i);
    quarters(8 + i, 12 + i);
    halves(i, 8 + i);
  }
  for (int i : {0, 2}) {
    e.vunpckhps(t, v(i), v(i + 1));
    e.vunpcklps(v(i), v(i), v(i + 1));
    e.vaddps(v(i), v(i), t);
  }
  e.vunpckhpd(t, v(0), v(2));
  e.vunpcklpd(v(0), v(0), v(2));
  e.vaddps(v(0), v(0), t);
}

static void sum8(Emitter &e, int first, const Vec &tmp) {
  auto v = [&](int i) { return e.vec(first + i); };
  for (int i : {0, 2, 4, 6})
    e.vhaddps(v(i), v(i), v(i + 1));
  for (int i : {0, 4})
    e.vhaddps(v(i), v(i), v(i + 2));
  e.vperm2f128(tmp, v(0), v(4), 0x31);
  e.vperm2f128(v(0), v(0), v(4), 0x20);
  e.vaddps(v(0), v(0), tmp);
}

void emitLaneSums(Emitter &e, int first, const Vec &tmp) {
  e.wide() ? sum16(e, first, tmp) : sum8(e, first, tmp);
}

} // namespace ktc::x64
