// attention_merge: results of attention whose positions were split over units (attention.h).
//
// Splits are added in their order, relative to the largest score of all, as one pass over all positions would
// have rescaled them.
#include "templates/x64/attention/attention.h"

#include "templates/specs.h"
#include "templates/x64/blocks/exp.h"
#include "templates/x64/blocks/units.h"

#include <cfloat>

namespace ktc::x64 {

using namespace Xbyak::util;

void emitSplitCount(Emitter &e, const Xbyak::Reg32 &dst, const Xbyak::Reg32 &length, const Xbyak::Reg32 &tmp,
                    int64_t splits) {
  int most = 0;
  while ((int64_t(1) << most) < splits)
    ++most;
  Emitter::Label done;
  e.xor_(dst, dst);
  e.lea(tmp, e.ptr[length.cvt64() - 1]);
  e.shr(tmp, 8);
  e.jz(done);
  e.bsr(dst, tmp);
  e.inc(dst);
  e.mov(tmp, most);
  e.cmp(dst, tmp);
  e.cmova(dst, tmp);
  e.L(done);
}

namespace {

class MergeKernel : public Emitter {
public:
  MergeKernel(const Target &target, const AttentionMergeSpec &spec)
      : Emitter(target), spec(spec), partialBytes(static_cast<int>(partialFloats(spec.vDim) * 4)) {}

  Kernel emit() {
    UnitLoop units(*this, spec.heads);
    prologue(static_cast<size_t>(spec.splits) * 4);
    loadOperand(partials, 0);
    loadOperand(y, 1);
    loadOperand(positions, 2);
    if (spec.sinks)
      loadOperand(sinks, 3);
    units.begin();
    units.address(from, partials, spec.heads * spec.splits * partialFloats(spec.vDim),
                  spec.splits * partialFloats(spec.vDim));
    units.address(to, y, spec.yStride, spec.vDim);
    emitCount(units);
    emitFactors(units);
    emitSum();
    units.end();
    epilogue();
    return finish();
  }

private:
  // count = splits of the unit's token.
  void emitCount(UnitLoop &units) {
    movsxd(rdx, dword[positions + units.token * 4]);
    inc(rdx);
    if (spec.window > 0) {
      mov(eax, static_cast<uint32_t>(spec.window));
      cmp(rdx, rax);
      cmovg(rdx, rax);
    }
    emitSplitCount(*this, ecx, edx, eax, spec.splits);
    mov(count, 1);
    shlx(count, count, ecx);
  }

  // Factors of the splits, divided by the whole sum, in the frame.
  void emitFactors(UnitLoop &units) {
    const Xmm largest(0), sum(1), factor(2), sink(6);
    Label maxima, factors, divide;
    vmovss(largest, splat(-FLT_MAX));
    if (spec.sinks) {
      vmovss(sink, ptr[sinks + units.row * 4]);
      vmaxss(largest, largest, sink);
    }
    mov(rdx, from);
    mov(ecx, count);
    L(maxima);
    vmaxss(largest, largest, ptr[rdx + static_cast<int>(spec.vDim * 4)]);
    add(rdx, partialBytes);
    dec(ecx);
    jnz(maxima);
    vxorps(sum, sum, sum);
    if (spec.sinks) {
      vsubss(sum, sink, largest);
      emitExp(*this, Vec(ymmOf(sum)), Vec(Ymm(3)), Vec(Ymm(4)));
    }
    mov(rdx, from);
    xor_(ecx, ecx);
    L(factors);
    vmovss(factor, ptr[rdx + static_cast<int>(spec.vDim * 4)]);
    vsubss(factor, factor, largest);
    emitExp(*this, Vec(ymmOf(factor)), Vec(Ymm(3)), Vec(Ymm(4)));
    vmovss(ptr[frame(0) + rcx * 4], factor);
    vfmadd231ss(sum, factor, ptr[rdx + static_cast<int>(spec.vDim * 4 + 4)]);
    add(rdx, partialBytes);
    inc(ecx);
    cmp(ecx, count);
    jb(factors);
    vmovss(factor, splat(1.0f));
    vdivss(sum, factor, sum);
    L(divide);
    dec(ecx);
    vmulss(factor, sum, ptr[frame(0) + rcx * 4]);
    vmovss(ptr[frame(0) + rcx * 4], factor);
    jnz(divide);
  }

  // y = the sum of factor * partial, a vector of elements at a time.
  void emitSum() {
    auto vectors = [&](int elements) {
      const Vec sum = elements < lanes() ? Vec(Ymm(0)) : vec(0),
                factor = elements < lanes() ? Vec(Ymm(1)) : vec(1);
      Label loop;
      zero(sum);
      mov(rdx, from);
      xor_(ecx, ecx);
      L(loop);
      vbroadcastss(factor, ptr[frame(0) + rcx * 4]);
      vfmadd231ps(sum, factor, ptr[rdx]);
      add(rdx, partialBytes);
      inc(ecx);
      cmp(ecx, count);
      jb(loop);
      vmovups(ptr[to], sum);
      add(from, elements * 4);
      add(to, elements * 4);
    };
    if (spec.vDim >= lanes()) {
      Label loop;
      mov(steps, static_cast<uint32_t>(spec.vDim / lanes()));
      L(loop);
      vectors(lanes());
      dec(steps);
      jnz(loop);
    }
    if (spec.vDim % lanes())
      vectors(static_cast<int>(spec.vDim % lanes()));
  }

  const AttentionMergeSpec spec;
  const int partialBytes; // from one split to the next
  const Reg64 partials = rbx, y = rbp, positions = r12, sinks = r13, from = rsi, to = rdi;
  const Reg32 count = r14d, steps = r15d;
};

Kernel generateMerge(const Params &params, const Target &target) {
  const AttentionMergeSpec spec = readAttentionMerge(params);
  needGpu("split_positions", spec.splitPositions != defaultSplitPositions);
  needGpu("y_type", spec.bfloatY);
  return MergeKernel(target, spec).emit();
}

} // namespace

const Family attentionMergeFamily = {"attention_merge", generateMerge};

} // namespace ktc::x64
