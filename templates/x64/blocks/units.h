// The loop over a call's work units for families where a token has a fixed number of units ("rows").
//
// Emits the division of the first unit into (token, row) and the step to the next one, so that a kernel body
// only sees the two counters. Kernels that use it need no token count: units beyond the last token do not
// exist.
#pragma once

#include "templates/specs.h"
#include "templates/x64/emitter.h"

namespace ktc::x64 {

class UnitLoop {
public:
  // Counters of the loop. Kernel bodies keep `token`, `row` and `left`; only those with one unit per token may
  // clobber `row`, and only those that do not read `unit` may clobber it.
  const Xbyak::Reg64 token = Xbyak::util::r8, row = Xbyak::util::r9, left = Xbyak::util::r10,
                     unit = Xbyak::util::r11;

  UnitLoop(Emitter &e, int64_t rows) : e(e), rows(rows) {}

  // Opens the loop; `args` must still be valid. Clobbers rax and rdx.
  void begin();
  // Steps to the next unit or leaves the loop.
  void end();
  // dst = base + (token * stride + row * rowStride) * elementBytes. Clobbers rax.
  void address(const Xbyak::Reg64 &dst, const Xbyak::Reg64 &base, int64_t stride, int64_t rowStride,
               int64_t elementBytes = 4);
  void address(const Xbyak::Reg64 &dst, const Xbyak::Reg64 &base, const RowLayout &layout) {
    address(dst, base, layout.stride, layout.rowStride);
  }

private:
  Emitter &e;
  int64_t rows;
  Xbyak::Label next, done;
};

} // namespace ktc::x64
