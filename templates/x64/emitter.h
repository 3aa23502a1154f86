// Base of all kernel generators: a code buffer, the kernel's frame, constants, and width-neutral vector
// helpers.
//
// Everything that depends on the ISA level is decided from the `Isa` argument, never from the CPU that runs the
// generator. Code is position independent: constants follow the code and are addressed relative to rip.
//
// Register convention of kernels: `args` (rdi) holds the KtKernelArgs pointer on entry; after prologue() all 15
// other general registers and all vector registers are free.
#pragma once

#include "templates/x64/families.h"

#include <xbyak/xbyak.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <map>
#include <vector>

namespace ktc::x64 {

class Emitter : public Xbyak::CodeGenerator {
public:
  using Xmm = Xbyak::Xmm;
  using Ymm = Xbyak::Ymm;
  using Zmm = Xbyak::Zmm;
  using Reg64 = Xbyak::Reg64;
  using Reg32 = Xbyak::Reg32;
  using Address = Xbyak::Address;
  using Label = Xbyak::Label;
  // A vector of the kernel's own width. xbyak's Ymm carries the 512-bit kind too.
  using Vec = Xbyak::Ymm;

  explicit Emitter(const Target &target);

  const Isa isa;
  // ---- Width
  // --------------------------------------------------------------------------------------------------- True
  // when vectors are zmm and EVEX features (masks, 32 registers) may be used.
  bool wide() const { return isa >= Isa::Avx512; }
  bool hasVnni() const { return isa >= Isa::Avx2Vnni; }
  // vpermb on whole vectors, and affine maps of bits (every CPU with AMX has both).
  bool hasByteMaps() const { return isa >= Isa::Amx; }
  // Vector registers, and float32 lanes of a Vec.
  int vectorRegisters() const { return wide() ? 32 : 16; }
  int lanes() const { return wide() ? 16 : 8; }
  Vec vec(int index) const {
    return wide() ? Ymm(index, Xbyak::Operand::ZMM, 512) : Ymm(index, Xbyak::Operand::YMM, 256);
  }
  static Ymm ymmOf(const Xmm &v) { return Ymm(v.getIdx()); }
  static Xmm xmmOf(const Xmm &v) { return Xmm(v.getIdx()); }
  static Zmm zmmOf(const Xmm &v) { return Zmm(v.getIdx()); }

  // ---- Frame and arguments
  // ---------------------------------------------------------------------------------------
  const Reg64 args = rdi;
  // Saves the callee-saved registers and opens a 64-byte aligned frame of `frameBytes` at [rsp].
  void prologue(size_t frameBytes = 0);
  // vzeroupper, closes the frame, restores registers and returns. May be emitted several times.
  void epilogue();
  // Address of a slot of the frame opened by prologue().
  Xbyak::RegExp frame(size_t offset) const { return rsp + offset; }
  // Fields of KtKernelArgs. `args` must still hold the argument pointer.
  void loadOperand(const Reg64 &dst, int index);
  void loadTokenCount(const Reg32 &dst);
  void loadRowOffset(const Reg32 &dst);
  void loadScratch(const Reg64 &dst);
  void loadUnits(const Reg32 &begin, const Reg32 &end);

  // ---- Constants
  // -------------------------------------------------------------------------------------------------
  // rip-relative address of a 64-byte constant; equal constants share a place.
  Address constant(const std::array<uint8_t, 64> &bytes);
  // The same with one value repeated over 64 bytes.
  template <typename T> Address splat(T value) {
    std::array<T, 64 / sizeof(T)> values;
    values.fill(value);
    return table(values);
  }
  // Constant from typed lanes: fewer than 64 bytes are padded with zeros.
  template <typename T, size_t N> Address table(const std::array<T, N> &values) {
    static_assert(sizeof(T) * N <= 64);
    std::array<uint8_t, 64> bytes{};
    std::memcpy(bytes.data(), values.data(), sizeof(T) * N);
    return constant(bytes);
  }

  // ---- Width-neutral vector operations
  // ----------------------------------------------------------------------------- Bitwise operations, picking
  // the VEX or the EVEX mnemonic from the register.
  void bitAnd(const Xmm &dst, const Xmm &a, const Xbyak::Operand &b);
  void bitOr(const Xmm &dst, const Xmm &a, const Xbyak::Operand &b);
  void bitXor(const Xmm &dst, const Xmm &a, const Xbyak::Operand &b);
  void zero(const Xmm &dst);
  void moveInt(const Xmm &dst, const Xbyak::Operand &src);
  void moveInt(const Address &dst, const Xmm &src);
  // acc += u8(a) . s8(b) per group of four bytes. Needs hasVnni(). VEX encoded below Avx512.
  void dotBytes(const Xmm &acc, const Xmm &a, const Xbyak::Operand &b);
  // Loads the first `count` (1..lanes) floats at `src`, other lanes 0; touches no memory beyond them. Clobbers
  // `maskRegister` (wide: partial loads only; generators keep k7 for it).
  void loadPartial(const Vec &dst, const Xbyak::RegExp &src, int count);
  // Stores the first `count` (1..lanes) floats. Clobbers k7 when wide and partial, else `scratchMask` when
  // partial.
  void storePartial(const Xbyak::RegExp &dst, const Vec &src, int count, const Vec &scratchMask);
  // Sum of all float32 lanes of `v` in lane 0 of xmm `v`, in one fixed order. Clobbers `v` and `tmp`.
  void horizontalSum(const Vec &v, const Vec &tmp);
  // Largest float32 lane of `v` in lane 0 of xmm `v`. Clobbers `v` and `tmp`.
  void horizontalMax(const Vec &v, const Vec &tmp);

  // Places the constants, resolves labels and returns the finished code. Call once, last.
  Kernel finish(size_t scratchBytes = 0);

protected:
  const Xbyak::Opmask maskRegister = k7;

private:
  // Adds the upper half to the lower until 128 bits are left, in xmm `v`.
  template <typename Combine> void foldTo128(const Vec &v, const Vec &tmp, Combine combine);

  size_t frameBytes = 0;
  std::map<std::array<uint8_t, 64>, Label> constants;
};

} // namespace ktc::x64
