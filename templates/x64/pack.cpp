// Family `pack`: quantised rows in the layout of the panel path (matrix/panel_layout.h), made once for all
// threads and matrices that multiply them.
//
// A block is sixteen rows; all blocks of a span lie side by side, span after span. Slots are packed expert by
// expert, each by itself and from a new block on. What readers multiply by tiles instead (fewer than
// panelCrossover) is left out.
#include "templates/specs.h"
#include "templates/x64/matrix/panel_kernel.h"
#include "templates/x64/matrix/panel_layout.h"

namespace ktc::x64 {

namespace {

class PackKernel : public PanelKernel {
public:
  PackKernel(const Target &target, const PackSpec &spec) : PanelKernel(target), spec(spec) {}
  Kernel build();

private:
  enum Slot : size_t {
    Rows = ownSlots,
    Lists = Rows + 8,
    To = Lists + 8,
    Begin = To + 8, // rows of this call, in the order of packing
    End = Begin + 8,
    Active = End + 8, // position of the expert, its slots, where they start and how many they are
    SlotList = Active + 8,
    Start = SlotList + 8,
    Total = Start + 8,
    FirstBlock = Total + 8, // of the expert
    FrameEnd = FirstBlock + 8
  };

  void emitExperts();
  void emitRun();
  void emitBlocks();

  const PackSpec spec;
};

// The part of this call of the Total rows from position Start on: the blocks whose first row is its own.
void PackKernel::emitRun() {
  const Reg64 zero = rdx;
  Label done;
  mov(rax, ptr[frame(Total)]);
  cmp(rax, static_cast<uint32_t>(panelCrossover(isa)));
  jb(done, T_NEAR);
  xor_(edx, edx);
  for (auto [slot, row] : {std::pair{Begin, FirstToken}, {End, ChunkEnd}}) {
    // min(max(roundUp(slot - Start, 16), 0), Total)
    mov(rax, ptr[frame(slot)]);
    sub(rax, ptr[frame(Start)]);
    cmovs(rax, zero);
    add(rax, panelTokens - 1);
    and_(rax, -panelTokens);
    emitLimit(Total);
    mov(ptr[frame(row)], rax);
  }
  cmp(rax, ptr[frame(FirstToken)]);
  jbe(done, T_NEAR);
  emitBlocks();
  L(done);
}

// Packs the rows FirstToken..ChunkEnd of the run.
void PackKernel::emitBlocks() {
  const int64_t rowBytes = static_cast<int64_t>(quantizedRowBytes(spec.k, spec.group));
  Label loop;
  auto nextRows = [&](int ahead) {
    emitNextRows(
        ahead,
        [&] {
          if (spec.experts > 0) {
            mov(rdx, ptr[frame(SlotList)]);
            mov(eax, dword[rdx + rax * 4]);
          }
          imul(rax, rax, immediate(rowBytes, "an activation row"));
          add(rax, ptr[frame(Rows)]);
        },
        [&] {
          const size_t scales = spec.group == 32 ? ktQ8ScaleOffset(spec.k) : ktQ8kScaleOffset(spec.k);
          prefetcht1(ptr[rax + immediate(static_cast<int64_t>(scales), "a row")]);
        });
  };
  mov(rax, ptr[frame(Total)]);
  emitSpanStep();
  mov(rax, ptr[frame(FirstToken)]);
  shr(rax, 4);
  imul(rax, rax, packedBytes);
  imul(rdx, ptr[frame(FirstBlock)], immediate(packedBlockBytes(spec.k), "a packed block"));
  add(rax, rdx);
  add(rax, ptr[frame(To)]);
  mov(ptr[frame(Packed)], rax);
  nextRows(0);
  L(loop);
  emitTakeNextRows();
  nextRows(panelTokens);
  emitPackBytes(spec.k, spec.group == 256);
  add(qword[frame(Packed)], packedBytes);
  mov(rax, ptr[frame(FirstToken)]);
  add(rax, panelTokens);
  mov(ptr[frame(FirstToken)], rax);
  cmp(rax, ptr[frame(ChunkEnd)]);
  jb(loop, T_NEAR);
}

void PackKernel::emitExperts() {
  const size_t start = 4 * ktExpertListStart(spec.experts);
  const Reg64 lists = r8, position = rax;
  Label loop, done;
  mov(qword[frame(Active)], 0);
  L(loop);
  mov(lists, ptr[frame(Lists)]);
  mov(position, ptr[frame(Active)]);
  cmp(position.cvt32(), dword[lists]);
  jge(done, T_NEAR);
  mov(edx, dword[lists + position * 4 + start]);
  mov(ecx, dword[lists + position * 4 + (start + 4)]);
  sub(ecx, edx);
  mov(ptr[frame(Start)], rdx);
  mov(ptr[frame(Total)], rcx);
  lea(rdx, ptr[lists + rdx * 4 + 4 * ktExpertListSlots(spec.experts)]);
  mov(ptr[frame(SlotList)], rdx);
  emitRun();
  mov(rax, ptr[frame(Total)]);
  add(rax, panelTokens - 1);
  shr(rax, 4);
  add(ptr[frame(FirstBlock)], rax);
  inc(qword[frame(Active)]);
  jmp(loop, T_NEAR);
  L(done);
}

Kernel PackKernel::build() {
  const bool panels = wide() && spec.dynamic && spec.m * spec.topK >= panelCrossover(isa);
  prologue(FrameEnd);
  if (!panels) { // nobody reads it
    epilogue();
    return finish(0);
  }
  const std::pair<size_t, int> operands[] = {{Rows, 0}, {To, 1}, {Lists, 2}};
  for (auto [slot, operand] : std::span(operands).first(spec.experts > 0 ? 3 : 2)) {
    loadOperand(rax, operand);
    mov(ptr[frame(slot)], rax);
  }
  loadScratch(rax);
  mov(ptr[frame(Scratch)], rax);
  loadUnits(eax, edx);
  mov(ptr[frame(Begin)], rax);
  mov(ptr[frame(End)], rdx);
  mov(qword[frame(FirstBlock)], 0);
  if (spec.experts > 0) {
    emitExperts();
  } else {
    loadTokenCount(eax);
    mov(ptr[frame(Total)], rax);
    mov(qword[frame(Start)], 0);
    emitRun();
  }
  epilogue();
  return finish(panelProducts);
}

Kernel generatePack(const Params &params, const Target &target) {
  return PackKernel(target, readPack(params)).build();
}

} // namespace

const Family packFamily = {"pack", generatePack};

} // namespace ktc::x64
