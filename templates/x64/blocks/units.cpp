// The loop over work units: see units.h.
#include "templates/x64/blocks/units.h"

namespace ktc::x64 {

using namespace Xbyak::util;

void UnitLoop::begin() {
  e.loadUnits(unit.cvt32(), left.cvt32());
  e.sub(left, unit);
  e.jle(done, Xbyak::CodeGenerator::T_NEAR);
  if (rows == 1) {
    e.mov(token, unit);
    e.xor_(row.cvt32(), row.cvt32());
  } else {
    e.mov(eax, unit.cvt32());
    e.xor_(edx, edx);
    e.mov(token.cvt32(), static_cast<uint32_t>(rows));
    e.div(token.cvt32());
    e.mov(token.cvt32(), eax);
    e.mov(row.cvt32(), edx);
  }
  e.L(next);
}

void UnitLoop::end() {
  e.inc(unit);
  if (rows == 1) {
    e.inc(token);
  } else {
    // Past the last row: row = 0 and the next token.
    e.xor_(eax, eax);
    e.inc(row);
    e.lea(rdx, ptr[token + 1]);
    e.cmp(row, static_cast<uint32_t>(rows));
    e.cmove(row, rax);
    e.cmove(token, rdx);
  }
  e.dec(left);
  e.jnz(next, Xbyak::CodeGenerator::T_NEAR);
  e.L(done);
}

void UnitLoop::address(const Xbyak::Reg64 &dst, const Xbyak::Reg64 &base, int64_t stride, int64_t rowStride,
                       int64_t elementBytes) {
  e.imul(dst, token, static_cast<int>(stride * elementBytes));
  e.add(dst, base);
  if (rows > 1) {
    e.imul(rax, row, static_cast<int>(rowStride * elementBytes));
    e.add(dst, rax);
  }
}

} // namespace ktc::x64
