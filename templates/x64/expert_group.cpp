// expert_group: sorts the (token, choice) slots by expert and lists the active experts, as kt_abi.h describes.
//
// A counting sort in one unit. A bitmap of used experts beside the counters keeps the middle step proportional
// to the active experts, which for one token are few of hundreds. Ids out of range are skipped, never used as
// an index.
#include "templates/specs.h"
#include "templates/x64/emitter.h"

namespace ktc::x64 {
namespace {

using namespace Xbyak::util;

class ExpertGroupKernel : public Emitter {
public:
  ExpertGroupKernel(const Target &target, const ExpertGroupSpec &spec)
      : Emitter(target), spec(spec), countBytes((spec.experts * 4 + 63) / 64 * 64),
        mapBytes(((spec.experts + 63) / 64 * 8 + 63) / 64 * 64) {}

  Kernel emit() {
    Label done;
    prologue();
    loadUnits(eax, edx);
    cmp(eax, edx);
    jae(done);
    loadOperand(ids, 0);
    loadOperand(lists, 1);
    loadScratch(counts);
    lea(map, ptr[counts + static_cast<int>(countBytes)]);
    if (spec.dynamic) {
      loadTokenCount(slots);
      imul(slots, slots, static_cast<int>(spec.topK));
    } else {
      mov(slots, static_cast<uint32_t>(spec.m * spec.topK));
    }
    emitClear();
    emitCount();
    emitActive();
    emitSlots();
    L(done);
    epilogue();
    return finish(static_cast<size_t>(countBytes + mapBytes));
  }

private:
  void emitClear() {
    zero(ymm0);
    vmovups(ptr[lists], ymm0);
    vmovups(ptr[lists + 32], ymm0);
    Label loop;
    xor_(eax, eax);
    L(loop);
    vmovups(ptr[counts + rax], ymm0);
    vmovups(ptr[counts + rax + 32], ymm0);
    add(rax, 64);
    cmp(rax, static_cast<uint32_t>(countBytes + mapBytes));
    jb(loop);
  }

  // Calls body() for every slot (index in rsi) with a valid expert (in rax).
  template <typename Body> void overSlots(Body body) {
    Label loop, skip, end;
    xor_(slot, slot);
    if (!spec.listsAll())
      xor_(choice, choice);
    test(slots, slots);
    jz(end);
    L(loop);
    if (!spec.listsAll()) {
      lea(eax, ptr[choice.cvt64() - static_cast<int>(spec.first)]);
      cmp(eax, static_cast<uint32_t>(spec.count)); // unsigned: those before the first are large
      jae(skip);
    }
    mov(eax, dword[ids + rsi * 4]);
    cmp(eax, static_cast<uint32_t>(spec.experts));
    jae(skip);
    body();
    L(skip);
    inc(slot);
    if (!spec.listsAll()) {
      inc(choice);
      xor_(eax, eax);
      cmp(choice, static_cast<uint32_t>(spec.topK));
      cmovae(choice, eax);
    }
    cmp(slot, slots);
    jb(loop);
    L(end);
  }

  // Slots per expert, and the bitmap of experts that have any.
  void emitCount() {
    overSlots([&] {
      inc(dword[counts + rax * 4]);
      mov(ecx, eax);
      shr(ecx, 6);
      mov(rdx, ptr[map + rcx * 8]);
      bts(rdx, rax);
      mov(ptr[map + rcx * 8], rdx);
    });
  }

  // Walks the bitmap: ids and starts of active experts. A counter becomes its expert's next free position.
  void emitActive() {
    Label nextWord, nextBit, wordDone;
    xor_(active.cvt32(), active.cvt32());
    xor_(total, total);
    xor_(wordIndex.cvt32(), wordIndex.cvt32());
    L(nextWord);
    mov(bits, ptr[map + wordIndex * 8]);
    L(nextBit);
    test(bits, bits);
    jz(wordDone);
    tzcnt(rax, bits);
    blsr(bits, bits);
    mov(ecx, wordIndex.cvt32());
    shl(ecx, 6);
    add(eax, ecx);
    mov(dword[lists + active * 4 + 4 * ktExpertListIds()], eax);
    mov(dword[lists + active * 4 + 4 * ktExpertListStart(spec.experts)], total);
    mov(ecx, dword[counts + rax * 4]);
    mov(dword[counts + rax * 4], total);
    add(total, ecx);
    inc(active);
    jmp(nextBit);
    L(wordDone);
    inc(wordIndex);
    cmp(wordIndex, static_cast<uint32_t>((spec.experts + 63) / 64));
    jb(nextWord);
    mov(dword[lists + active * 4 + 4 * ktExpertListStart(spec.experts)], total);
    mov(dword[lists], active.cvt32());
  }

  void emitSlots() {
    overSlots([&] {
      mov(ecx, dword[counts + rax * 4]);
      inc(dword[counts + rax * 4]);
      mov(dword[lists + rcx * 4 + 4 * ktExpertListSlots(spec.experts)], slot);
    });
  }

  const ExpertGroupSpec spec;
  const int64_t countBytes, mapBytes;
  const Reg64 ids = rbx, lists = rbp, counts = r12, map = r13, active = r8, wordIndex = r10, bits = r11;
  const Reg32 slots = r14d, slot = esi, total = r9d;
  const Reg32 choice = r11d; // of the slot's token; where emitActive has `bits`
};

Kernel generateExpertGroup(const Params &params, const Target &target) {
  return ExpertGroupKernel(target, readExpertGroup(params)).emit();
}

} // namespace

const Family expertGroupFamily = {"expert_group", generateExpertGroup};

} // namespace ktc::x64
