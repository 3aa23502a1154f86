// quantize: float32 rows to q8 or q8k rows, one block of 32 or 256 at a time.
#include "templates/x64/blocks/quantize_block.h"
#include "templates/x64/blocks/units.h"

namespace ktc::x64 {
namespace {

using namespace Xbyak::util;

class QuantizeKernel : public Emitter {
public:
  QuantizeKernel(const Target &target, const QuantizeSpec &spec) : Emitter(target), spec(spec) {}

  Kernel emit() {
    UnitLoop units(*this, spec.x.rows);
    prologue();
    loadOperand(x, 0);
    loadOperand(rows, 1);
    units.begin();
    units.address(from, x, spec.x);
    imul(to.q, units.unit, static_cast<int>(quantizedRowBytes(spec.k, spec.group)));
    add(to.q, rows);
    emitQ8Parts(*this, spec.k, spec.group, to);
    mov(blocks, static_cast<uint32_t>(spec.k / spec.group));
    Label block;
    L(block);
    if (spec.group == 32) {
      for (int i = 0; i < 32 / lanes(); ++i)
        vmovups(vec(i), ptr[from + i * lanes() * 4]);
      emitQuantizeBlock(*this, 0, 4, to);
      add(from, 128);
    } else {
      emitQuantizeGroup(*this, from, edi, to);
    }
    dec(blocks);
    jnz(block);
    units.end();
    epilogue();
    return finish();
  }

private:
  const QuantizeSpec spec;
  const Reg64 x = rbx, rows = rbp, from = rsi;
  const Reg32 blocks = ecx;
  const Q8Output to = {r12, r13, r14};
};

Kernel generateQuantize(const Params &params, const Target &target) {
  return QuantizeKernel(target, readQuantize(params)).emit();
}

} // namespace

const Family quantizeFamily = {"quantize", generateQuantize};

} // namespace ktc::x64
