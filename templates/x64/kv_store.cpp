// kv_store: rounds the rows of new tokens to the type of the KV cache, at the rows of their positions.
//
// Rounding is to nearest even. bfloat16 is rounded by integer arithmetic on every ISA: the conversion
// instruction of AVX512-BF16 flushes denormals, and the cache must not depend on the ISA. Rows of q8_0 are
// quantised by the block that q8 activations use; its scales and sums go to the frame, and the scale from there
// into the row as float16.
#include "templates/x64/attention/attention.h"
#include "templates/x64/blocks/quantize_block.h"
#include "templates/x64/blocks/units.h"

namespace ktc::x64 {
namespace {

using namespace Xbyak::util;

class KvStoreKernel : public Emitter {
public:
  KvStoreKernel(const Target &target, const KvStoreSpec &spec)
      : Emitter(target), spec(spec), elementBytes(spec.type == KT_TYPE_F32 ? 4 : 2) {}

  Kernel emit() {
    UnitLoop units(*this, 1);
    prologue(64);
    loadOperand(x, 0);
    loadOperand(cache, 1);
    loadOperand(positions, 2);
    units.begin();
    units.address(from, x, spec.stride, 0);
    movsxd(to, dword[positions + units.token * 4]);
    imul(to, to, static_cast<int>(cacheBytes(spec.type, spec.cacheStride)));
    add(to, cache);
    spec.type == KT_TYPE_Q8_0 ? emitQuantisedRow() : emitRow();
    units.end();
    epilogue();
    return finish();
  }

private:
  void emitRow() {
    if (spec.width >= lanes()) {
      Label loop;
      mov(count, static_cast<uint32_t>(spec.width / lanes()));
      L(loop);
      vmovups(value, ptr[from]);
      emitStore(lanes());
      add(from, lanes() * 4);
      add(to, lanes() * elementBytes);
      dec(count);
      jnz(loop);
    }
    if (int rest = static_cast<int>(spec.width % lanes())) {
      loadPartial(value, from, rest);
      emitStore(rest);
    }
  }

  void emitQuantisedRow() {
    constexpr int block = 32, blockBytes = 34;
    const Q8Output parts = {rdx, r14, r15};
    Label loop;
    mov(count, static_cast<uint32_t>(spec.width / block));
    L(loop);
    for (int i = 0; i < block / lanes(); ++i)
      vmovups(vec(i), ptr[from + i * lanes() * 4]);
    lea(parts.q, ptr[to + 2]);
    lea(parts.scales, ptr[frame(0)]);
    lea(parts.sums, ptr[frame(8)]);
    emitQuantizeBlock(*this, 0, 4, parts);
    vmovss(xmm0, ptr[frame(0)]);
    vcvtps2ph(xmm0, xmm0, 0);
    vpextrw(word[to], xmm0, 0);
    add(from, block * 4);
    add(to, blockBytes);
    dec(count);
    jnz(loop);
  }

  // Converts `value` and stores its first `elements` lanes.
  void emitStore(int elements) {
    if (spec.type == KT_TYPE_F32)
      return storePartial(to, value, elements, vec(1));
    if (spec.type == KT_TYPE_BF16)
      emitRoundToBf16();
    if (elements == lanes()) {
      storeHalf(ptr[to]);
      return;
    }
    // Few elements, once per row: through the stack, so that nothing beyond the row is touched.
    storeHalf(ptr[frame(0)]);
    for (int i = 0; i < elements; ++i) {
      mov(ax, word[frame(2 * i)]);
      mov(word[to + 2 * i], ax);
    }
  }

  void storeHalf(const Address &at) {
    if (spec.type == KT_TYPE_F16) {
      vcvtps2ph(at, value, 0);
    } else if (wide()) {
      vpmovdw(at, value);
    } else {
      vpackusdw(value, value, value);
      vpermq(value, value, 0b11011000);
      vmovdqu(at, xmm0);
    }
  }

  // Each 32-bit lane of `value` becomes the 16 bits of its bfloat16; a NaN keeps its top bits and becomes
  // quiet.
  void emitRoundToBf16() {
    Vec top = vec(1), rounded = vec(2), nan = vec(3);
    vpsrld(top, value, 16);
    bitAnd(rounded, top, splat(1u));
    vpaddd(rounded, rounded, splat(0x7fffu));
    vpaddd(rounded, rounded, value);
    vpsrld(rounded, rounded, 16);
    bitOr(top, top, splat(0x40u));
    if (wide()) {
      vcmpunordps(k1, value, value);
      vpblendmd(value | k1, rounded, top);
    } else {
      vcmpunordps(nan, value, value);
      vblendvps(value, rounded, top, nan);
    }
  }

  const KvStoreSpec spec;
  const int elementBytes; // not of q8_0
  const Reg64 x = rbx, cache = rbp, positions = r12, from = rsi, to = r13;
  const Reg32 count = ecx;
  const Vec value = vec(0);
};

Kernel generateKvStore(const Params &params, const Target &target) {
  return KvStoreKernel(target, readKvStore(params)).emit();
}

} // namespace

const Family kvStoreFamily = {"kv_store", generateKvStore};

} // namespace ktc::x64
