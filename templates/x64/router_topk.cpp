// router_topk: the experts of a token and their weights, from the router's logits.
//
// The probabilities and the values that experts are chosen by lie in the thread's scratch, padded to whole
// vectors with -inf. Choosing is `top_k` times a search for the maximum: two sweeps over a few cache lines,
// exact, and with the lowest index first among equals. Every real candidate is at least -FLT_MAX (NaN
// included), so that there is always one to choose and its index is valid.
#include "templates/specs.h"
#include "templates/x64/blocks/exp.h"
#include "templates/x64/blocks/units.h"

#include <cfloat>
#include <limits>

namespace ktc::x64 {
namespace {

using namespace Xbyak::util;

constexpr float excluded = -std::numeric_limits<float>::infinity();
constexpr float smallestSum = 6.103515625e-5f;

class RouterKernel : public Emitter {
public:
  RouterKernel(const Target &target, const RouterSpec &spec)
      : Emitter(target), spec(spec), paddedBytes((spec.experts + lanes() - 1) / lanes() * lanes() * 4),
        chosenBytes(static_cast<int64_t>(ktRound16(spec.topK)) * 4),
        groupBytes(static_cast<int64_t>(ktRound16(spec.groups)) * 4) {}

  Kernel emit() {
    UnitLoop units(*this, 1);
    prologue(64);
    for (int i : {0, 2, 3}) {
      loadOperand(rax, i);
      mov(ptr[frame(i * 8)], rax);
    }
    loadOperand(bias, 1);
    loadScratch(p);
    lea(choice, ptr[p + static_cast<int>(paddedBytes)]);
    lea(chosen, ptr[choice + static_cast<int>(paddedBytes)]);
    lea(groupScores, ptr[chosen + static_cast<int>(chosenBytes)]);
    units.begin();
    emitTokenPointer(units, logits, 0, spec.experts);
    emitTokenPointer(units, ids, 2, spec.topK);
    emitTokenPointer(units, weights, 3, spec.topK);
    emitProbabilities();
    if (spec.groups > spec.groupsUsed)
      emitGroups();
    emitChoose();
    emitWeights();
    units.end();
    epilogue();
    return finish(static_cast<size_t>(2 * paddedBytes + chosenBytes + groupBytes));
  }

private:
  void emitTokenPointer(UnitLoop &units, const Reg64 &dst, int operand, int64_t stride) {
    mov(rax, ptr[frame(operand * 8)]);
    units.address(dst, rax, stride, 0);
  }

  // Calls body(elements) for `count` elements in vectors; `at` is the byte offset of the vector.
  template <typename Body> void overVectors(int64_t count, Body body) {
    int64_t whole = count / lanes() * lanes() * 4;
    xor_(at.cvt32(), at.cvt32());
    if (whole > 0) {
      Label loop;
      L(loop);
      body(lanes());
      add(at, lanes() * 4);
      cmp(at, static_cast<uint32_t>(whole));
      jb(loop);
    }
    if (count % lanes() != 0)
      body(static_cast<int>(count % lanes()));
  }

  // Lanes from `elements` on become `value`.
  void pad(const Vec &v, int elements, float value) {
    if (elements == lanes())
      return;
    if (wide()) {
      kmovw(k1, splat(static_cast<uint16_t>(0xffffu << elements)));
      vmovups(v | k1, splat(value));
    } else {
      vblendps(v, v, splat(value), static_cast<uint8_t>(0xffu << elements));
    }
  }

  // Broadcasts the maximum or the sum of the lanes of `v`. Clobbers vec(7).
  void broadcastMax(const Vec &v) {
    horizontalMax(v, vec(7));
    vbroadcastss(v, xmmOf(v));
  }
  void broadcastSum(const Vec &v) {
    horizontalSum(v, vec(7));
    vbroadcastss(v, xmmOf(v));
  }

  // ---- Probabilities and choices
  void emitProbabilities() {
    Vec v = vec(0), largest = vec(4), sum = vec(5);
    if (spec.gating == Gating::Softmax) {
      vmovups(largest, splat(-FLT_MAX));
      overVectors(spec.experts, [&](int elements) {
        loadPartial(v, logits + at, elements);
        pad(v, elements, -FLT_MAX);
        vmaxps(largest, v, largest); // a NaN loses: it is the first source
      });
      broadcastMax(largest);
      zero(sum);
      overVectors(spec.experts, [&](int elements) {
        loadPartial(v, logits + at, elements);
        vsubps(v, v, largest);
        emitExp(*this, v, vec(1), vec(2));
        pad(v, elements, 0.0f);
        vaddps(sum, sum, v);
        vmovups(ptr[p + at], v);
      });
      broadcastSum(sum);
    }
    overVectors(spec.experts, [&](int elements) {
      if (spec.gating == Gating::Softmax) {
        vmovups(v, ptr[p + at]);
        vdivps(v, v, sum);
      } else {
        loadPartial(v, logits + at, elements);
        if (spec.gating == Gating::Sigmoid)
          emitSigmoid(*this, v, vec(1), vec(2));
      }
      vmovups(ptr[p + at], v);
      if (spec.bias) {
        loadPartial(vec(1), bias + at, elements);
        vaddps(v, v, vec(1));
      }
      vmovups(vec(1), splat(-FLT_MAX));
      vmaxps(v, v, vec(1)); // NaN becomes the second source
      pad(v, elements, excluded);
      vmovups(ptr[choice + at], v);
    });
  }

  // ---- Groups
  // Excludes the experts outside the best groups.
  void emitGroups() {
    int64_t size = spec.experts / spec.groups;
    emitGroupScores(size);
    emitRepeat(spec.groupsUsed, [&] {
      emitArgmax(groupScores, groupBytes);
      mov(dword[groupScores + rax * 4], excludedBits);
    });
    // A group that is still in the running was not used.
    Label loop, used;
    mov(cursor, choice);
    xor_(index.cvt32(), index.cvt32());
    vmovups(vec(0), splat(excluded));
    L(loop);
    cmp(dword[groupScores + index * 4], excludedBits);
    je(used);
    overVectors(size, [&](int elements) { storePartial(cursor + at, vec(0), elements, vec(1)); });
    L(used);
    add(cursor, static_cast<uint32_t>(size * 4));
    inc(index);
    cmp(index, static_cast<uint32_t>(spec.groups));
    jb(loop);
  }

  // groupScores[g] = sum of the two largest choices of group g; the padding is excluded.
  void emitGroupScores(int64_t size) {
    Vec first = vec(4), second = vec(5), v = vec(0), smaller = vec(1);
    vmovups(v, splat(excluded));
    for (int64_t offset = 0; offset < groupBytes; offset += lanes() * 4)
      vmovups(ptr[groupScores + static_cast<int>(offset)], v);
    Label loop;
    mov(cursor, choice);
    xor_(index.cvt32(), index.cvt32());
    L(loop);
    vmovups(first, splat(excluded));
    vmovaps(second, first);
    overVectors(size, [&](int elements) {
      loadPartial(v, cursor + at, elements);
      pad(v, elements, excluded);
      vminps(smaller, first, v);
      vmaxps(second, second, smaller);
      vmaxps(first, first, v);
    });
    emitMergeTopTwo(first, second);
    if (size > 1)
      vaddss(xmmOf(first), xmmOf(first), xmmOf(second));
    vmaxss(xmmOf(first), xmmOf(first), splat(-FLT_MAX));
    vmovss(ptr[groupScores + index * 4], xmmOf(first));
    add(cursor, static_cast<uint32_t>(size * 4));
    inc(index);
    cmp(index, static_cast<uint32_t>(spec.groups));
    jb(loop);
  }

  // The two largest of all lanes, from the two largest per lane, in lane 0. Clobbers vec(0..2).
  void emitMergeTopTwo(const Vec &first, const Vec &second) {
    auto merge = [&](auto move, auto width) {
      auto a = width(first), b = width(second), otherA = width(vec(0)), otherB = width(vec(1)),
           smaller = width(vec(2));
      move(otherA, first);
      move(otherB, second);
      vminps(smaller, a, otherA);
      vmaxps(a, a, otherA);
      vmaxps(b, b, otherB);
      vmaxps(b, b, smaller);
    };
    auto toYmm = [](const Vec &v) { return ymmOf(v); };
    auto toXmm = [](const Vec &v) { return xmmOf(v); };
    if (wide())
      merge([&](const Ymm &dst, const Vec &src) { vextractf64x4(dst, zmmOf(src), 1); }, toYmm);
    merge([&](const Xmm &dst, const Vec &src) { vextractf128(dst, ymmOf(src), 1); }, toXmm);
    merge([&](const Xmm &dst, const Vec &src) { vpermilps(dst, xmmOf(src), 0b01001110); }, toXmm);
    merge([&](const Xmm &dst, const Vec &src) { vpermilps(dst, xmmOf(src), 0b10110001); }, toXmm);
  }

  // ---- Choice
  // Runs body() `times` times; `index` counts. Body must keep it.
  template <typename Body> void emitRepeat(int64_t times, Body body) {
    Label loop;
    xor_(index.cvt32(), index.cvt32());
    L(loop);
    body();
    inc(index);
    cmp(index, static_cast<uint32_t>(times));
    jb(loop);
  }

  // rax = index of the largest of the floats in `bytes` bytes (whole vectors, no NaN), the lowest among equals.
  void emitArgmax(const Reg64 &values, int64_t bytes) {
    Vec largest = vec(4);
    Label find, found;
    vmovups(largest, ptr[values]);
    overVectors(bytes / 4, [&](int) { vmaxps(largest, largest, ptr[values + at]); });
    broadcastMax(largest);
    mov(at, -lanes() * 4);
    L(find);
    add(at, lanes() * 4);
    if (wide()) {
      vcmpeqps(k1, largest, ptr[values + at]);
      kmovw(eax, k1);
    } else {
      vcmpeqps(vec(0), largest, ptr[values + at]);
      vmovmskps(eax, vec(0));
    }
    test(eax, eax);
    jz(find);
    tzcnt(eax, eax);
    shr(at, 2);
    add(rax, at);
  }

  void emitChoose() {
    // The padding of the chosen must not count in their softmax or sum.
    vmovups(vec(0), splat(spec.gating == Gating::TopkSoftmax ? -FLT_MAX : 0.0f));
    for (int64_t offset = 0; offset < chosenBytes; offset += lanes() * 4)
      vmovups(ptr[chosen + static_cast<int>(offset)], vec(0));
    emitRepeat(spec.topK, [&] {
      emitArgmax(choice, paddedBytes);
      mov(dword[choice + rax * 4], excludedBits);
      mov(dword[ids + index * 4], eax);
      mov(ecx, dword[p + rax * 4]);
      mov(dword[chosen + index * 4], ecx);
    });
  }

  // ---- Weights
  void emitWeights() {
    Vec v = vec(0), largest = vec(4), sum = vec(5), divisor = vec(6);
    int64_t padded = chosenBytes / 4;
    if (spec.gating == Gating::TopkSoftmax) {
      vmovups(largest, splat(-FLT_MAX));
      overVectors(padded, [&](int) {
        vmovups(v, ptr[chosen + at]);
        vmaxps(largest, v, largest);
      });
      broadcastMax(largest);
      zero(sum);
      overVectors(padded, [&](int) {
        vmovups(v, ptr[chosen + at]);
        vsubps(v, v, largest);
        emitExp(*this, v, vec(1), vec(2));
        vmovups(ptr[chosen + at], v);
        vaddps(sum, sum, v);
      });
      broadcastSum(sum);
      overVectors(padded, [&](int) {
        vmovups(v, ptr[chosen + at]);
        vdivps(v, v, sum);
        vmovups(ptr[chosen + at], v);
      });
    }
    if (spec.norm) {
      zero(divisor);
      overVectors(padded, [&](int) { vaddps(divisor, divisor, ptr[chosen + at]); });
      broadcastSum(divisor);
      vmaxps(divisor, divisor, splat(smallestSum));
    }
    overVectors(spec.topK, [&](int elements) {
      vmovups(v, ptr[chosen + at]);
      if (spec.norm)
        vdivps(v, v, divisor);
      vmulps(v, v, splat(spec.scale));
      storePartial(weights + at, v, elements, vec(1));
    });
  }

  static constexpr uint32_t excludedBits = 0xff800000u;

  const RouterSpec spec;
  const int64_t paddedBytes, chosenBytes, groupBytes;
  // Scratch: probabilities, values to choose by, probabilities of the chosen, scores of groups.
  const Reg64 p = rbx, choice = rbp, chosen = r12, groupScores = r13;
  // Operands; the argument register is free once the loop runs. r11 is the unit loop's `unit`, not needed here.
  const Reg64 logits = rsi, bias = r14, ids = r15, weights = rdi;
  const Reg64 at = rdx, index = r9, cursor = r11;
};

Kernel generateRouter(const Params &params, const Target &target) {
  const RouterSpec spec = readRouter(params);
  needGpu("lists", spec.lists);
  return RouterKernel(target, spec).emit();
}

} // namespace

const Family routerTopkFamily = {"router_topk", generateRouter};

} // namespace ktc::x64
