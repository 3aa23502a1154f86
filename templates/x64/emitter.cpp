// Base of all kernel generators: see emitter.h.
#include "templates/x64/emitter.h"

#include <cstring>

namespace ktc::x64 {

static constexpr size_t initialBytes = 16384;

// xbyak calls this size the limit for caller's buffers and the first allocation for growing ones.
Emitter::Emitter(const Target &target)
    : CodeGenerator(target.buffer ? target.bufferBytes : initialBytes,
                    target.buffer ? target.buffer : Xbyak::AutoGrow),
      isa(target.isa) {
  setDefaultJmpNEAR(true);
}

// Slot 0.. of the frame belong to the kernel; the caller's rsp is kept behind them.
void Emitter::prologue(size_t bytes) {
  frameBytes = (bytes + 63) / 64 * 64;
  for (const Reg64 &reg : {rbx, rbp, r12, r13, r14, r15})
    push(reg);
  mov(rax, rsp);
  sub(rsp, static_cast<uint32_t>(frameBytes + 64));
  and_(rsp, -64);
  mov(ptr[rsp + frameBytes], rax);
}

void Emitter::epilogue() {
  vzeroupper();
  mov(rsp, ptr[rsp + frameBytes]);
  for (const Reg64 &reg : {r15, r14, r13, r12, rbp, rbx})
    pop(reg);
  ret();
}

void Emitter::loadOperand(const Reg64 &dst, int index) {
  mov(dst, ptr[args + offsetof(KtKernelArgs, operands)]);
  mov(dst, ptr[dst + index * sizeof(void *)]);
}

void Emitter::loadTokenCount(const Reg32 &dst) {
  mov(dst.cvt64(), ptr[args + offsetof(KtKernelArgs, step)]);
  mov(dst, dword[dst.cvt64() + offsetof(KtStep, nTokens)]);
}

void Emitter::loadRowOffset(const Reg32 &dst) {
  mov(dst.cvt64(), ptr[args + offsetof(KtKernelArgs, step)]);
  mov(dst, dword[dst.cvt64() + offsetof(KtStep, rowOffset)]);
}

void Emitter::loadScratch(const Reg64 &dst) { mov(dst, ptr[args + offsetof(KtKernelArgs, scratch)]); }

void Emitter::loadUnits(const Reg32 &begin, const Reg32 &end) {
  mov(begin, dword[args + offsetof(KtKernelArgs, unitBegin)]);
  mov(end, dword[args + offsetof(KtKernelArgs, unitEnd)]);
}

Xbyak::Address Emitter::constant(const std::array<uint8_t, 64> &bytes) { return ptr[rip + constants[bytes]]; }

// zmm and the upper sixteen registers exist only in the EVEX forms, which have mnemonics of their own.
static bool needsEvex(const Xbyak::Xmm &v) { return v.isZMM() || v.getIdx() >= 16; }

void Emitter::bitAnd(const Xmm &dst, const Xmm &a, const Xbyak::Operand &b) {
  needsEvex(dst) ? vpandd(dst, a, b) : vpand(dst, a, b);
}
void Emitter::bitOr(const Xmm &dst, const Xmm &a, const Xbyak::Operand &b) {
  needsEvex(dst) ? vpord(dst, a, b) : vpor(dst, a, b);
}
void Emitter::bitXor(const Xmm &dst, const Xmm &a, const Xbyak::Operand &b) {
  needsEvex(dst) ? vpxord(dst, a, b) : vpxor(dst, a, b);
}

// The 128-bit form clears the whole register; registers above 15 need EVEX.
void Emitter::zero(const Xmm &dst) {
  if (dst.getIdx() < 16)
    vpxor(xmmOf(dst), xmmOf(dst), xmmOf(dst));
  else
    vpxord(xmmOf(dst), xmmOf(dst), xmmOf(dst));
}

void Emitter::moveInt(const Xmm &dst, const Xbyak::Operand &src) {
  needsEvex(dst) ? vmovdqu32(dst, src) : vmovdqu(dst, src);
}
void Emitter::moveInt(const Address &dst, const Xmm &src) {
  needsEvex(src) ? vmovdqu32(dst, src) : vmovdqu(dst, src);
}

void Emitter::dotBytes(const Xmm &acc, const Xmm &a, const Xbyak::Operand &b) {
  vpdpbusd(acc, a, b, wide() ? Xbyak::EvexEncoding : Xbyak::VexEncoding);
}

static std::array<uint32_t, 16> laneMask(int count) {
  std::array<uint32_t, 16> mask{};
  for (int i = 0; i < count; ++i)
    mask[i] = 0xffffffffu;
  return mask;
}

void Emitter::loadPartial(const Vec &dst, const Xbyak::RegExp &src, int count) {
  if (count >= lanes()) {
    vmovups(dst, ptr[src]);
  } else if (wide()) {
    kmovw(maskRegister, splat(static_cast<uint16_t>((1u << count) - 1)));
    vmovups(dst | maskRegister | T_z, ptr[src]);
  } else {
    vmovups(dst, table(laneMask(count)));
    vmaskmovps(dst, dst, ptr[src]);
  }
}

void Emitter::storePartial(const Xbyak::RegExp &dst, const Vec &src, int count, const Vec &scratchMask) {
  if (count >= lanes()) {
    vmovups(ptr[dst], src);
  } else if (wide()) {
    kmovw(maskRegister, splat(static_cast<uint16_t>((1u << count) - 1)));
    vmovups(ptr[dst] | maskRegister, src);
  } else {
    vmovups(scratchMask, table(laneMask(count)));
    vmaskmovps(ptr[dst], scratchMask, src);
  }
}

template <typename Combine> void Emitter::foldTo128(const Vec &v, const Vec &tmp, Combine combine) {
  if (wide()) {
    vextractf64x4(ymmOf(tmp), zmmOf(v), 1);
    combine(ymmOf(v), ymmOf(v), ymmOf(tmp));
  }
  if (v.getIdx() < 16)
    vextractf128(xmmOf(tmp), ymmOf(v), 1);
  else
    vextractf32x4(xmmOf(tmp), ymmOf(v), 1);
  combine(xmmOf(v), xmmOf(v), xmmOf(tmp));
}

void Emitter::horizontalSum(const Vec &v, const Vec &tmp) {
  auto add = [this](const Xmm &dst, const Xmm &a, const Xmm &b) { vaddps(dst, a, b); };
  foldTo128(v, tmp, add);
  vpermilps(xmmOf(tmp), xmmOf(v), 0b11110101); // lanes 1, 3
  add(xmmOf(v), xmmOf(v), xmmOf(tmp));         // 0+1, _, 2+3, _
  vpermilps(xmmOf(tmp), xmmOf(v), 0b10101010);
  add(xmmOf(v), xmmOf(v), xmmOf(tmp));
}

void Emitter::horizontalMax(const Vec &v, const Vec &tmp) {
  auto max = [this](const Xmm &dst, const Xmm &a, const Xmm &b) { vmaxps(dst, a, b); };
  foldTo128(v, tmp, max);
  vpermilps(xmmOf(tmp), xmmOf(v), 0b11110101);
  max(xmmOf(v), xmmOf(v), xmmOf(tmp));
  vpermilps(xmmOf(tmp), xmmOf(v), 0b10101010);
  max(xmmOf(v), xmmOf(v), xmmOf(tmp));
}

Kernel Emitter::finish(size_t scratchBytes) {
  Kernel kernel;
  kernel.codeBytes = getSize();
  // xbyak aligns by address; buffers are 64-byte aligned, and so is the place that runs the code.
  align(64);
  for (auto &[bytes, label] : constants) {
    L(label);
    db(bytes.data(), bytes.size());
  }
  ready(PROTECT_RW);
  kernel.code.assign(getCode(), getCode() + getSize());
  kernel.scratchBytes = scratchBytes;
  return kernel;
}

} // namespace ktc::x64
