// rms_norm: a row divided by its root mean square, as float32, as a q8 or q8k row, or both in the same pass.
//
// The row is read twice, for the sum of squares and for the result; it is in the L1 cache the second time.
// Which operands are absent is known only at the call, and costs a predictable branch per 32 elements. For q8k
// rows the elements pass through the frame until the 256 that share a scale are there.
#include "templates/x64/blocks/quantize_block.h"
#include "templates/x64/blocks/units.h"

#include <algorithm>

namespace ktc::x64 {
namespace {

using namespace Xbyak::util;

class RmsNormKernel : public Emitter {
public:
  RmsNormKernel(const Target &target, const RmsNormSpec &spec) : Emitter(target), spec(spec) {}

  Kernel emit() {
    UnitLoop units(*this, spec.x.rows);
    prologue(spec.group == 32 ? 16 : Elements + 1024);
    loadOperand(x, 0);
    loadOperand(w, 1);
    loadOperand(rax, 2);
    mov(ptr[y], rax);
    loadOperand(rax, 3);
    mov(ptr[rows], rax);
    if (spec.useRowOffset) {
      loadRowOffset(eax);
      imul(rax, rax, static_cast<int>(spec.x.stride * 4));
      add(x, rax);
    }
    units.begin();
    units.address(from, x, spec.x);
    emitFactor();
    emitOutputPointers(units);
    emitBlocks();
    emitTail();
    units.end();
    epilogue();
    return finish();
  }

private:
  // factor = 1 / sqrt(mean(x²) + eps) in all lanes.
  void emitFactor() {
    const int unroll = 4;
    int64_t chunk = unroll * lanes();
    for (int i = 0; i < unroll; ++i)
      zero(vec(i));
    mov(at, from);
    if (spec.k >= chunk) {
      Label loop;
      mov(count, static_cast<uint32_t>(spec.k / chunk));
      L(loop);
      for (int i = 0; i < unroll; ++i) {
        vmovups(vec(4 + i), ptr[at + i * lanes() * 4]);
        vfmadd231ps(vec(i), vec(4 + i), vec(4 + i));
      }
      add(at, static_cast<uint32_t>(chunk * 4));
      dec(count);
      jnz(loop);
    }
    int64_t rest = spec.k % chunk;
    for (int i = 0; i * lanes() < rest; ++i) {
      loadPartial(vec(4 + i), at + i * lanes() * 4,
                  static_cast<int>(std::min<int64_t>(rest - i * lanes(), lanes())));
      vfmadd231ps(vec(i), vec(4 + i), vec(4 + i));
    }
    vaddps(vec(0), vec(0), vec(1));
    vaddps(vec(2), vec(2), vec(3));
    vaddps(vec(0), vec(0), vec(2));
    horizontalSum(vec(0), vec(1));
    vdivss(xmm0, xmm0, splat(static_cast<float>(spec.k)));
    vaddss(xmm0, xmm0, splat(spec.eps));
    vsqrtss(xmm0, xmm0, xmm0);
    vmovss(xmm1, splat(1.0f));
    vdivss(xmm0, xmm1, xmm0);
    vbroadcastss(factor, xmm0);
  }

  // The outputs of this unit; absent ones stay NULL.
  void emitOutputPointers(UnitLoop &units) {
    Label noFloat, noQ8;
    mov(weight, w);
    mov(result, ptr[y]);
    test(result, result);
    jz(noFloat);
    mov(to.q, result);
    units.address(result, to.q, spec.y);
    L(noFloat);
    mov(to.q, ptr[rows]);
    test(to.q, to.q);
    jz(noQ8);
    imul(rax, units.unit, static_cast<int>(quantizedRowBytes(spec.k, spec.group)));
    add(to.q, rax);
    emitQ8Parts(*this, spec.k, spec.group, to);
    if (spec.group == 256)
      lea(fill, ptr[frame(Elements)]);
    L(noQ8);
  }

  // `count` vectors (the last one with `lastLanes` elements) from `from`, normalised, into vec(0)...
  void emitNormalize(int vectors, int lastLanes) {
    auto elements = [&](int i) { return i + 1 == vectors ? lastLanes : lanes(); };
    for (int i = 0; i < vectors; ++i) {
      loadPartial(vec(i), from + i * lanes() * 4, elements(i));
      vmulps(vec(i), vec(i), factor);
    }
    Label noWeight, noFloat;
    test(weight, weight);
    jz(noWeight);
    for (int i = 0; i < vectors; ++i) {
      loadPartial(vec(4), weight + i * lanes() * 4, elements(i));
      vmulps(vec(i), vec(i), vec(4));
    }
    add(weight, 128);
    L(noWeight);
    test(result, result);
    jz(noFloat);
    for (int i = 0; i < vectors; ++i)
      storePartial(result + i * lanes() * 4, vec(i), elements(i), vec(4));
    add(result, 128);
    L(noFloat);
  }

  void emitBlocks() {
    if (spec.k < 32)
      return;
    Label block, noQ8;
    mov(count, static_cast<uint32_t>(spec.k / 32));
    L(block);
    emitNormalize(32 / lanes(), lanes());
    if (spec.k % 32 == 0) {
      test(to.q, to.q);
      jz(noQ8);
      spec.group == 32 ? emitQuantizeBlock(*this, 0, 4, to) : emitCollect();
      L(noQ8);
    }
    add(from, 128);
    dec(count);
    jnz(block);
  }

  // Appends the 32 elements in registers to those in the frame; quantises them when they are 256.
  void emitCollect() {
    Label more;
    for (int i = 0; i < 32 / lanes(); ++i)
      vmovups(ptr[fill + i * lanes() * 4], vec(i));
    add(fill, 128);
    lea(rax, ptr[frame(Elements + 1024)]);
    cmp(fill, rax);
    jb(more);
    lea(fill, ptr[frame(Elements)]);
    emitQuantizeGroup(*this, fill, eax, to);
    lea(fill, ptr[frame(Elements)]);
    L(more);
  }

  void emitTail() {
    int rest = static_cast<int>(spec.k % 32);
    if (rest == 0)
      return;
    int vectors = (rest + lanes() - 1) / lanes();
    emitNormalize(vectors, rest - (vectors - 1) * lanes());
  }

  const RmsNormSpec spec;
  const Reg64 x = rbx, w = rbp, from = rsi, weight = r15, at = weight;
  const Reg64 result = rdi; // the arguments are not needed any more
  const Xbyak::RegExp y = frame(0), rows = frame(8);
  static constexpr size_t Elements = 64;
  const Reg64 fill = rdx; // where the next 32 elements go
  const Reg32 count = ecx;
  const Q8Output to = {r12, r13, r14};
  const Vec factor = vec(8);
};

Kernel generateRmsNorm(const Params &params, const Target &target) {
  const RmsNormSpec spec = readRmsNorm(params);
  needGpu("adds", spec.adds > 0);
  needGpu("products", spec.products > 0);
  return RmsNormKernel(target, spec).emit();
}

} // namespace

const Family rmsNormFamily = {"rms_norm", generateRmsNorm};

} // namespace ktc::x64
