// add: y += x, or y += sigmoid(gate of the token) * x.
#include "templates/x64/blocks/exp.h"
#include "templates/x64/blocks/units.h"

namespace ktc::x64 {
namespace {

using namespace Xbyak::util;

class AddKernel : public Emitter {
public:
  AddKernel(const Target &target, const AddSpec &spec) : Emitter(target), spec(spec) {}

  Kernel emit() {
    UnitLoop units(*this, 1);
    prologue();
    loadOperand(x, 0);
    loadOperand(y, 1);
    loadOperand(gate, 2);
    units.begin();
    units.address(from, x, spec.xStride, 0);
    units.address(to, y, spec.yStride, 0);
    if (spec.sigmoidGate) {
      vbroadcastss(factor, ptr[gate + units.token * 4]);
      emitSigmoid(*this, factor, vec(1), vec(2));
    }
    emitRow();
    units.end();
    epilogue();
    return finish();
  }

private:
  void emitVector(int64_t offset, int elements) {
    loadPartial(vec(0), from + offset, elements);
    loadPartial(vec(1), to + offset, elements);
    if (spec.sigmoidGate)
      vfmadd231ps(vec(1), vec(0), factor);
    else
      vaddps(vec(1), vec(1), vec(0));
    storePartial(to + offset, vec(1), elements, vec(2));
  }

  void emitRow() {
    if (spec.k >= lanes()) {
      Label loop;
      mov(count, static_cast<uint32_t>(spec.k / lanes()));
      L(loop);
      emitVector(0, lanes());
      add(from, lanes() * 4);
      add(to, lanes() * 4);
      dec(count);
      jnz(loop);
    }
    if (spec.k % lanes() != 0)
      emitVector(0, static_cast<int>(spec.k % lanes()));
  }

  const AddSpec spec;
  const Reg64 x = rbx, y = rbp, gate = r12, from = rsi, to = r13;
  const Reg32 count = ecx;
  const Vec factor = vec(3);
};

Kernel generateAdd(const Params &params, const Target &target) {
  return AddKernel(target, readAdd(params)).emit();
}

} // namespace

const Family addFamily = {"add", generateAdd};

} // namespace ktc::x64
