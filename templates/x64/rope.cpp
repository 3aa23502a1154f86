// rope: rotates pairs of a head in place with the cosines and sines of the token's position.
//
// The table interleaves cosine and sine, which is the order of the "norm" pairs: there the two are duplicated
// within the pair. For "neox" the pairs are half a head apart, and the table is taken apart instead.
#include "templates/x64/blocks/units.h"

#include <algorithm>

namespace ktc::x64 {
namespace {

using namespace Xbyak::util;

class RopeKernel : public Emitter {
public:
  RopeKernel(const Target &target, const RopeSpec &spec) : Emitter(target), spec(spec) {}

  Kernel emit() {
    UnitLoop units(*this, spec.x.rows);
    prologue();
    loadOperand(x, 0);
    loadOperand(angleTable, 1);
    loadOperand(positions, 2);
    units.begin();
    units.address(at, x, spec.x);
    movsxd(angles, dword[positions + units.token * 4]);
    imul(angles, angles, static_cast<int>(spec.dims * 4));
    add(angles, angleTable);
    spec.neox ? emitNeox() : emitNorm();
    units.end();
    epilogue();
    return finish();
  }

private:
  // Calls body(elements) for `total` elements in vectors: a loop over whole ones, then the rest.
  template <typename Body> void vectors(int64_t total, Body body) {
    if (total >= lanes()) {
      Label loop;
      mov(count, static_cast<uint32_t>(total / lanes()));
      L(loop);
      body(lanes());
      dec(count);
      jnz(loop);
    }
    if (total % lanes() != 0)
      body(static_cast<int>(total % lanes()));
  }

  // Pairs 2i, 2i+1: even lanes a c - b s, odd lanes b c + a s.
  void emitNorm() {
    vectors(spec.dims, [this](int elements) {
      Vec pairs = vec(0), swapped = vec(1), cosines = vec(2), sines = vec(3), angle = vec(4);
      loadPartial(pairs, at, elements);
      loadPartial(angle, angles, elements);
      vmovsldup(cosines, angle);
      vmovshdup(sines, angle);
      vpermilps(swapped, pairs, 0b10110001);
      vmulps(swapped, swapped, sines);
      vfmaddsub213ps(pairs, cosines, swapped);
      storePartial(at, pairs, elements, vec(5));
      add(at, lanes() * 4);
      add(angles, lanes() * 4);
    });
  }

  // Pairs i, i + dims/2.
  void emitNeox() {
    int64_t half = spec.dims / 2 * 4;
    vectors(spec.dims / 2, [this, half](int elements) {
      Vec first = vec(0), second = vec(1), cosines = vec(2), sines = vec(3), tmp = vec(4);
      emitSplitAngles(cosines, sines, tmp, elements);
      loadPartial(first, at, elements);
      loadPartial(second, at + static_cast<size_t>(half), elements);
      vmulps(tmp, second, sines);
      vfmsub231ps(tmp, first, cosines);
      vmulps(second, second, cosines);
      vfmadd231ps(second, first, sines);
      storePartial(at, tmp, elements, vec(5));
      storePartial(at + static_cast<size_t>(half), second, elements, vec(5));
      add(at, lanes() * 4);
      add(angles, lanes() * 8);
    });
  }

  // Takes `elements` interleaved pairs of the table apart.
  void emitSplitAngles(const Vec &cosines, const Vec &sines, const Vec &tmp, int elements) {
    int low = std::min(2 * elements, lanes()), high = 2 * elements - low;
    loadPartial(tmp, angles, low);
    if (high > 0)
      loadPartial(sines, angles + lanes() * 4, high);
    else
      zero(sines);
    if (wide()) {
      std::array<uint32_t, 16> even, odd;
      for (uint32_t i = 0; i < 16; ++i)
        odd[i] = (even[i] = 2 * i) + 1;
      vmovups(cosines, table(even));
      vpermi2ps(cosines, tmp, sines);
      vmovups(vec(5), table(odd));
      vpermi2ps(vec(5), tmp, sines);
      vmovaps(sines, vec(5));
      return;
    }
    // The shuffles work within halves; vpermpd puts the four pairs of lanes in order.
    vshufps(cosines, tmp, sines, 0b10001000);
    vshufps(sines, tmp, sines, 0b11011101);
    vpermpd(cosines, cosines, 0b11011000);
    vpermpd(sines, sines, 0b11011000);
  }

  const RopeSpec spec;
  const Reg64 x = rbx, angleTable = rbp, positions = r12, at = rsi, angles = r13;
  const Reg32 count = ecx;
};

Kernel generateRope(const Params &params, const Target &target) {
  return RopeKernel(target, readRope(params)).emit();
}

} // namespace

const Family ropeFamily = {"rope", generateRope};

} // namespace ktc::x64
