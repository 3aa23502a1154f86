// Units of decode attention: which token, head and positions a unit is, and where its operands lie. The base of
// the kernel in decode.cpp.
#pragma once

#include "templates/x64/attention/attention.h"
#include "templates/x64/blocks/units.h"

namespace ktc::x64 {

class DecodeUnits : public Emitter {
public:
  DecodeUnits(const Target &target, const AttentionShape &shape)
      : Emitter(target), shape(shape), keyRowBytes(bytesOf(shape.keys.rowElements)),
        valueRowBytes(bytesOf(shape.values.rowElements)), step(quantised() ? 32 : lanes()), group(groupSize()) {
  }

  bool quantised() const { return shape.type == KT_TYPE_Q8_0; }
  // Bytes of `elements` elements of the cache; whole blocks if it is quantised.
  int bytesOf(int64_t elements) const { return static_cast<int>(cacheBytes(shape.type, elements)); }
  // Without Avx512 four heads leave registers for 16 columns of values only, which is less than a q8_0 block.
  int groupSize() const {
    if (shape.headsPerKv >= 4 && (wide() || !quantised()))
      return 4;
    return shape.headsPerKv >= 2 ? 2 : 1;
  }

  bool splits() const { return shape.splits > 1; }

  // ---- Frame: per head of a group a vector each of scores, maxima, sums and corrections; then the operands,
  // and with splits the unit's row, its split, and the units of a group of heads
  enum : int { Row = 7, Split, GroupUnits, FrameSlots };
  int vectorBytes() const { return lanes() * 4; }
  Xbyak::RegExp scores(int head) const { return frame(head * vectorBytes()); }
  Xbyak::RegExp maxima(int head) const { return frame((group + head) * vectorBytes()); }
  Xbyak::RegExp sums(int head) const { return frame((2 * group + head) * vectorBytes()); }
  Xbyak::RegExp corrections(int head) const { return frame((3 * group + head) * vectorBytes()); }
  size_t operandSlot(int index) const { return 4 * group * vectorBytes() + index * 8; }
  Address operandBase(int index) const { return ptr[frame(operandSlot(index))]; }

  // rdi = the first position that the unit's token sees, `remaining` = how many it sees.
  void emitRange(UnitLoop &units) {
    mov(rax, operandBase(4));
    movsxd(remaining, dword[rax + units.token * 4]);
    inc(remaining);
    xor_(edi, edi);
    if (shape.window > 0) {
      mov(rax, remaining);
      sub(rax, static_cast<uint32_t>(shape.window));
      cmovg(rdi, rax);
      sub(remaining, rdi);
    }
  }

  // rax = KV head of the head `head`, rdx = the head's index within it.
  void emitKvHead(const Reg64 &head) {
    mov(eax, head.cvt32());
    xor_(edx, edx);
    mov(ecx, static_cast<uint32_t>(shape.headsPerKv));
    div(ecx);
  }

  // A token has heads * splits units, and heads * 2^n items of work, n by its position: item i starts at unit
  // i << shift, so every range of units has its share of the items, be they many or few. Items are ordered by
  // KV head, then split, then head. Narrows rdi and `remaining` to the split, sets units.row to the head and
  // leaves rax and rdx as emitKvHead(); jumps to `skip` if no item starts at this unit.
  void emitSplit(UnitLoop &units, Label &skip) {
    int most = 0;
    while ((int64_t(1) << most) < shape.splits)
      ++most;
    const int lanesLog = wide() ? 4 : 3;
    emitSplitCount(*this, ecx, remaining.cvt32(), eax, shape.splits);
    mov(edx, most);
    sub(edx, ecx); // shift
    mov(eax, 1);
    shlx(eax, eax, edx);
    dec(eax);
    test(units.row, rax);
    jnz(skip);
    mov(operandBase(Row), units.row);
    mov(eax, group);
    shlx(eax, eax, edx);
    mov(operandBase(GroupUnits), rax);
    shrx(eax, units.row.cvt32(), edx); // item
    mov(esi, static_cast<uint32_t>(shape.headsPerKv));
    shlx(esi, esi, ecx);
    xor_(edx, edx);
    div(esi);
    mov(units.row.cvt32(), eax); // KV head
    mov(eax, edx);
    xor_(edx, edx);
    mov(esi, static_cast<uint32_t>(shape.headsPerKv));
    div(esi); // eax: split, edx: head within the KV head
    mov(operandBase(Split), rax);
    // Splits are whole vectors of positions.
    mov(esi, lanes());
    shlx(esi, esi, ecx);
    lea(rsi, ptr[rsi + remaining - 1]);
    add(ecx, lanesLog);
    shrx(rsi, rsi, rcx);
    shl(rsi, lanesLog);
    imul(rax, rsi);
    add(rdi, rax);
    sub(remaining, rax);
    cmp(remaining, rsi);
    cmovg(remaining, rsi);
    mov(eax, units.row.cvt32());
    imul(units.row, units.row, static_cast<int>(shape.headsPerKv));
    add(units.row, rdx);
  }

  // Pointers of one unit: token and head are those of `units`, rax and rdx are kept.
  void emitPointers(UnitLoop &units) {
    emitCachePointer(keys, shape.keys);
    emitCachePointer(values, shape.values);
    for (size_t i = 0; i < shape.query.size(); ++i) {
      mov(rcx, operandBase(shape.query[i].operand));
      units.address(query[i], rcx, shape.query[i].tokenStride, shape.query[i].headStride);
    }
    if (splits()) {
      mov(rcx, operandBase(6));
      units.address(result, rcx, shape.heads * resultFloats(), resultFloats());
      imul(rcx, operandBase(Split), static_cast<int>(partialFloats(shape.valueLength) * 4));
      add(result, rcx);
    } else {
      mov(rcx, operandBase(3));
      units.address(result, rcx, shape.resultStride, shape.valueLength);
    }
  }

  // dst = first row (index rdi) of the KV head in eax.
  void emitCachePointer(const Reg64 &dst, const CacheSide &side) {
    imul(dst, rdi, bytesOf(side.rowElements));
    add(dst, operandBase(side.operand));
    imul(rcx, rax, bytesOf(side.headElements));
    add(dst, rcx);
  }

  // From one head's result to the next.
  int64_t resultFloats() const {
    return splits() ? shape.splits * partialFloats(shape.valueLength) : shape.valueLength;
  }
  int resultOffset(int head) const { return static_cast<int>(head * resultFloats() * 4); }

  const AttentionShape shape;
  const int64_t keyRowBytes, valueRowBytes;
  const int step;  // elements of a key that are multiplied at a time
  const int group; // heads computed together where possible

  // Per unit. `keys` and `values` move on with the blocks; `remaining` counts positions, `count` those of the
  // block.
  const Reg64 query[2] = {rbx, rbp}, keys = rsi, values = r12, result = r13, remaining = r14, count = r15;
  // Within a block. r11 is the unit loop's `unit`, which nothing here needs.
  const Reg64 cursor = rdx, keyCursor = rdi, rowCursor = r11, resultCursor = r11, row = rax;
  const Reg32 steps = ecx;
};

} // namespace ktc::x64
