// Vector exp: exp(x) = 2^n * exp(r) with n = round(x / ln 2) and |r| <= ln 2 / 2.
//
// r is computed with ln 2 split in two parts, exp(r) by a polynomial of degree 6 in Horner form, and 2^n is
// added to the exponent field. The clamp keeps n within the exponents of normal numbers.
#include "templates/x64/blocks/exp.h"

namespace ktc::x64 {

using Vec = Emitter::Vec;

static constexpr float lowest = -87.3f, highest = 88.3762626647949f;
static constexpr float log2e = 1.44269504088896341f;
static constexpr float ln2High = 0.693359375f, ln2Low = -2.12194440e-4f;
// Taylor coefficients refined for the interval: 1/6! .. 1/2! nearly.
static constexpr float c6 = 1.9875691500e-4f, c5 = 1.3981999507e-3f, c4 = 8.3334519073e-3f,
                       c3 = 4.1665795894e-2f, c2 = 1.6666665459e-1f, c1 = 5.0000001201e-1f;

static void roundToInt(Emitter &e, const Vec &dst, const Vec &src) {
  if (src.isZMM())
    e.vrndscaleps(dst, src, 0);
  else
    e.vroundps(dst, src, 0);
}

void emitExp(Emitter &e, const Vec &v, const Vec &t0, const Vec &t1) {
  // min and max return their second source when one is NaN: v stays the second, so that NaN survives.
  e.vmovups(t0, e.splat(lowest));
  e.vmaxps(v, t0, v);
  e.vmovups(t0, e.splat(highest));
  e.vminps(v, t0, v);
  e.vmulps(t0, v, e.splat(log2e));
  roundToInt(e, t0, t0);
  e.vfnmadd231ps(v, t0, e.splat(ln2High));
  e.vfnmadd231ps(v, t0, e.splat(ln2Low));
  e.vcvtps2dq(t0, t0);
  e.vpslld(t0, t0, 23);
  e.vmovups(t1, e.splat(c6));
  for (float c : {c5, c4, c3, c2, c1})
    e.vfmadd213ps(t1, v, e.splat(c));
  // 1 + r + r^2 p(r)
  e.vmulps(t1, t1, v);
  e.vfmadd213ps(t1, v, v);
  e.vaddps(v, t1, e.splat(1.0f));
  e.vpaddd(v, v, t0);
}

void emitPowerOfTwo(Emitter &e, const Vec &x, const Vec &t0, const Vec &t1, bool coarse) {
  static const std::vector<float> fineTerms = {0.6931513118060187f, 0.24016445014455556f, 0.055799913129825754f,
                                               0.009017030295935492f, 0.0018671300794108714f};
  static const std::vector<float> coarseTerms = {0.6930448448751833f, 0.24128020488002502f, 0.0522424740426437f,
                                                 0.01342668435172768f};
  const std::vector<float> &c = coarse ? coarseTerms : fineTerms;
  const Vec r = t0, p = t1;
  if (e.wide()) {
    e.vreduceps(r, x, 0x09); // x - floor(x)
  } else {
    e.vroundps(p, x, 0x09);
    e.vsubps(r, x, p);
  }
  e.vmovups(p, e.splat(c.back()));
  for (size_t i = c.size() - 1; i-- > 0;)
    e.vfmadd213ps(p, r, e.splat(c[i]));
  e.vfmadd213ps(p, r, e.splat(1.0f));
  if (e.wide()) {
    e.vscalefps(x, p, x); // p * 2^floor(x)
    return;
  }
  // Exponents below those of normal numbers become 0.
  e.vsubps(r, x, r);                    // floor(x)
  e.vcmpps(x, r, e.splat(-126.0f), 13); // >=
  e.vcvtps2dq(r, r);
  e.vpslld(r, r, 23);
  e.vpaddd(p, p, r);
  e.vandps(x, x, p);
}

void emitSigmoid(Emitter &e, const Vec &v, const Vec &t0, const Vec &t1) {
  e.bitXor(v, v, e.splat(0x80000000u));
  emitExp(e, v, t0, t1);
  e.vmovups(t0, e.splat(1.0f));
  e.vaddps(v, v, t0);
  e.vdivps(v, t0, v);
}

void emitSilu(Emitter &e, const Vec &v, const Vec &t0, const Vec &t1, const Vec &t2) {
  if (!e.wide()) {
    e.vmovaps(t2, v);
    e.bitXor(v, v, e.splat(0x80000000u));
    emitExp(e, v, t0, t1);
    e.vaddps(v, v, e.splat(1.0f));
    e.vdivps(v, t2, v);
    return;
  }
  // v / (1 + 2^t). The limit keeps the sum finite; min returns its second source when one is NaN.
  e.vmulps(t0, v, e.splat(-log2e));
  e.vmovups(t1, e.splat(126.0f));
  e.vminps(t0, t1, t0);
  emitPowerOfTwo(e, t0, t1, t2);
  e.vaddps(t0, t0, e.splat(1.0f));
  // A division of sixteen lanes takes sixteen cycles; one Newton step from an estimate is exact but for a bit.
  e.vrcp14ps(t1, t0);
  e.vfnmadd213ps(t0, t1, e.splat(2.0f));
  e.vmulps(t1, t1, v);
  e.vmulps(v, t0, t1);
}

void emitSwigluOai(Emitter &e, const Vec &gate, const Vec &up, const Vec &t0, const Vec &t1, const Vec &t2) {
  constexpr float limit = 7, steepness = 1.702f;
  // As in emitExp, the value is the second source, so that NaN survives.
  e.vmovups(t0, e.splat(limit));
  e.vminps(gate, t0, gate);
  e.vminps(up, t0, up);
  e.vmovups(t0, e.splat(-limit));
  e.vmaxps(up, t0, up);
  e.vaddps(up, up, e.splat(1.0f));
  e.vmulps(t2, gate, e.splat(-steepness));
  emitExp(e, t2, t0, t1);
  e.vaddps(t2, t2, e.splat(1.0f));
  e.vdivps(gate, gate, t2);
  e.vmulps(gate, gate, up);
}

void emitGeluTanh(Emitter &e, const Vec &v, const Vec &t0, const Vec &t1, const Vec &t2) {
  constexpr float twoSqrt2OverPi = 1.5957691216057308f;
  e.vmovaps(t2, v);
  e.vmulps(t0, v, v);
  e.vmulps(t0, t0, e.splat(-0.044715f * twoSqrt2OverPi));
  e.vsubps(t0, t0, e.splat(twoSqrt2OverPi));
  e.vmulps(v, v, t0); // -2 z
  emitExp(e, v, t0, t1);
  e.vaddps(v, v, e.splat(1.0f));
  e.vdivps(v, t2, v);
}

} // namespace ktc::x64
