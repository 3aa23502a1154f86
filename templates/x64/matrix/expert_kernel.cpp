// Loops over active experts, row groups and slots: see expert_kernel.h.
#include "templates/x64/matrix/expert_kernel.h"

namespace ktc::x64 {

ExpertKernel::ExpertKernel(const Params &params, const Target &target) : PanelKernel(target) {
  n = needInt(params, "n");
  m = needInt(params, "m", 1, maxTokensPerReplay);
  dynamic = flag(params, "dynamic");
  readPrefetch(params);
  readExact(params);
  dense = flag(params, "dense");
  experts = dense ? 1 : needInt(params, "experts", 1, maxExperts);
  topK = dense ? 1 : needInt(params, "top_k", 1, experts);
  units = (n + rowsPerUnit - 1) / rowsPerUnit;
  byCost = !dense && flag(params, "by_cost");
}

void ExpertKernel::loadCommonArguments(int listsOperand) {
  if (dynamic)
    loadTokenCount(eax);
  else
    mov(eax, static_cast<uint32_t>(m));
  mov(dword[frame(Tokens)], eax);
  loadUnits(eax, edx);
  mov(dword[frame(UnitBegin)], eax);
  mov(dword[frame(UnitEnd)], edx);
  if (!dense) {
    loadOperand(rax, listsOperand);
    mov(ptr[frame(Lists)], rax);
  }
}

void ExpertKernel::emitExperts(const std::function<void(int, int)> &tile, const PanelPass *panels) {
  if (takesPacked()) {
    mov(qword[frame(FirstBlock)], 0);
    mov(qword[frame(TokenBegin)], 0);
  }
  if (dense) {
    mov(qword[frame(Expert)], 0);
    mov(eax, dword[frame(Tokens)]);
    mov(dword[frame(SlotCount)], eax);
    emitExpert(tile, panels);
    return;
  }
  Label expertLoop, next, done;
  if (byCost)
    emitShares();
  mov(qword[frame(Active)], 0);
  L(expertLoop);
  const Reg64 lists = r8, position = rax;
  mov(lists, ptr[frame(Lists)]);
  mov(position, qword[frame(Active)]);
  cmp(position.cvt32(), dword[lists]);
  jge(done);
  mov(edx, dword[lists + position * 4 + 4 * ktExpertListIds()]);
  mov(qword[frame(Expert)], rdx);
  const size_t start = 4 * ktExpertListStart(experts);
  movsxd(rdx, dword[lists + position * 4 + start]);
  mov(ecx, dword[lists + position * 4 + (start + 4)]);
  sub(ecx, edx);
  mov(dword[frame(SlotCount)], ecx);
  lea(rdx, ptr[lists + rdx * 4 + 4 * ktExpertListSlots(experts)]);
  mov(ptr[frame(SlotList)], rdx);
  if (byCost) {
    emitOwnBlocks();
    mov(eax, dword[frame(UnitBegin)]);
    cmp(eax, dword[frame(UnitEnd)]);
    jae(next, T_NEAR);
  }
  emitExpert(tile, panels);
  L(next);
  if (takesPacked()) {
    mov(eax, dword[frame(SlotCount)]);
    add(eax, panelTokens - 1);
    shr(eax, 4);
    add(ptr[frame(FirstBlock)], rax);
  }
  inc(qword[frame(Active)]);
  jmp(expertLoop);
  L(done);
}

// Turns the units of this call, which are shares (kt_abi.h), into the part of the work that they stand for.
void ExpertKernel::emitShares() {
  const Reg64 lists = r8, position = rcx, total = r9, cost = rax;
  const size_t start = 4 * ktExpertListStart(experts);
  Label loop, counted;
  mov(lists, ptr[frame(Lists)]);
  xor_(total.cvt32(), total.cvt32());
  xor_(position.cvt32(), position.cvt32());
  L(loop);
  cmp(position.cvt32(), dword[lists]);
  jge(counted);
  mov(cost.cvt32(), dword[lists + position * 4 + (start + 4)]);
  sub(cost.cvt32(), dword[lists + position * 4 + start]);
  lea(total, ptr[total + cost + KT_SHARE_BASE]);
  inc(position);
  jmp(loop);
  L(counted);
  imul(total, total, static_cast<int>(shareBlocks()));
  const std::pair<size_t, size_t> ends[] = {{UnitBegin, ShareBegin}, {UnitEnd, ShareEnd}};
  for (auto [share, end] : ends) {
    mov(eax, dword[frame(share)]);
    imul(rax, total);
    shr(rax, __builtin_ctz(KT_SHARES));
    mov(ptr[frame(end)], rax);
  }
  mov(qword[frame(Spent)], 0);
}

// The units of the current expert whose blocks begin in this call's part of the work.
void ExpertKernel::emitOwnBlocks() {
  const Reg64 cost = rcx;
  mov(cost.cvt32(), dword[frame(SlotCount)]);
  add(cost, KT_SHARE_BASE);
  const std::pair<size_t, size_t> ends[] = {{ShareBegin, UnitBegin}, {ShareEnd, UnitEnd}};
  for (auto [share, unit] : ends) {
    // min(ceil(max(share - spent, 0) / cost), blocks), as units
    xor_(edx, edx);
    mov(rax, ptr[frame(share)]);
    sub(rax, ptr[frame(Spent)]);
    cmovs(rax, rdx);
    lea(rax, ptr[rax + cost - 1]);
    div(cost);
    mov(edx, static_cast<uint32_t>(shareBlocks()));
    cmp(rax, rdx);
    cmova(rax, rdx);
    imul(rax, rax, KT_SHARE_ROWS / rowsPerUnit);
    mov(edx, static_cast<uint32_t>(units));
    cmp(rax, rdx);
    cmova(rax, rdx);
    mov(dword[frame(unit)], eax);
  }
  imul(cost, cost, static_cast<int>(shareBlocks()));
  add(ptr[frame(Spent)], cost);
}

// One expert, by panels or by tiles.
void ExpertKernel::emitExpert(const std::function<void(int, int)> &tile, const PanelPass *panels) {
  if (!panels) {
    emitUnits(tile);
    return;
  }
  Label few, done;
  mov(eax, dword[frame(SlotCount)]);
  cmp(eax, static_cast<uint32_t>(panelCrossover(isa)));
  jb(few);
  mov(ptr[frame(TokenTotal)], rax);
  if (takesPacked())
    mov(ptr[frame(PackedTotal)], rax);
  emitPanelRows(UnitBegin, UnitEnd, n);
  emitPanels(*panels, m);
  jmp(done);
  L(few);
  emitUnits(tile);
  L(done);
}

void ExpertKernel::emitPacked(size_t base, int64_t k) {
  imul(rax, ptr[frame(FirstBlock)], immediate(packedBlockBytes(k), "a packed block"));
  add(rax, ptr[frame(base)]);
}

void ExpertKernel::emitSlotNumber(const Reg64 &position) {
  if (dense) {
    mov(rax, position);
    return;
  }
  mov(rdx, ptr[frame(SlotList)]);
  mov(eax, dword[rdx + position * 4]);
}

ExpertKernel::PanelMatrix ExpertKernel::expertMatrix(size_t base, const MatrixWeights &weights,
                                                     int64_t expertRows) {
  PanelMatrix matrix;
  matrix.weights = &weights;
  matrix.address = [this, base, &weights, expertRows] {
    imul(weightRow, ptr[frame(Expert)], immediate(expertRows, "rows of an expert"));
    add(weightRow, ptr[frame(Row)]);
    imul(weightRow, weightRow, immediate(weights.rowBytes, "a weight row"));
    add(weightRow, ptr[frame(base)]);
  };
  if (!dense)
    matrix.ahead = [this, &weights, expertRows] { emitNextExpert(weights, expertRows); };
  return matrix;
}

// `ahead` = experts from this one to the next active one; jumps to `last` if there is none. Changes rcx and
// rdx.
void ExpertKernel::emitExpertsAhead(const Reg64 &ahead, const Label &last) {
  mov(rdx, ptr[frame(Lists)]);
  mov(rcx, qword[frame(Active)]);
  inc(rcx);
  cmp(ecx, dword[rdx]);
  jge(last);
  mov(ahead.cvt32(), dword[rdx + rcx * 4 + 4 * ktExpertListIds()]);
  sub(ahead, qword[frame(Expert)]);
}

// rax = bytes from row Row of this expert to the first row of this call in the next active one; 0 behind the
// last. A share by cost that reaches the next expert begins there at row 0.
void ExpertKernel::emitNextExpert(const MatrixWeights &weights, int64_t expertRows) {
  Label done;
  xor_(eax, eax);
  emitExpertsAhead(rax, done);
  imul(rax, rax, immediate(expertRows, "rows of an expert"));
  if (!byCost)
    add(rax, ptr[frame(RowBegin)]);
  sub(rax, ptr[frame(Row)]);
  imul(rax, rax, immediate(weights.rowBytes, "a weight row"));
  L(done);
}

size_t ExpertKernel::scratchFor(bool panels, const MatrixWeights &weights, size_t matrices) const {
  return panels ? panelScratch(m, weights, matrices) : 0;
}

void ExpertKernel::emitUnits(const std::function<void(int, int)> &tile) {
  const int lastRows = static_cast<int>(n - (units - 1) * rowsPerUnit);
  Label unitLoop, partial, next, done;
  mov(eax, dword[frame(UnitBegin)]);
  mov(qword[frame(Unit)], rax);
  L(unitLoop);
  mov(rax, qword[frame(Unit)]);
  cmp(eax, dword[frame(UnitEnd)]);
  jae(done);
  if (prefetches()) {
    emitUnitAhead(Ahead, 1);
    emitUnitAhead(Farther, fartherUnits());
    mov(eax, dword[frame(Unit)]);
  }
  if (lastRows < rowsPerUnit) {
    cmp(eax, static_cast<uint32_t>(units - 1));
    je(partial);
  }
  emitSlotTiles(rowsPerUnit, tile);
  L(next);
  inc(qword[frame(Unit)]);
  jmp(unitLoop);
  if (lastRows < rowsPerUnit) {
    L(partial);
    emitSlotTiles(lastRows, tile);
    jmp(next);
  }
  L(done);
}

// Where the unit lies that this thread multiplies `distance` units from now: rows to `slot`, experts behind it.
// Behind the last unit of an expert come those of the next active one, behind the last expert this unit again.
void ExpertKernel::emitUnitAhead(size_t slot, int distance) {
  const Reg64 rows = rax, ahead = rcx;
  Label known;
  mov(qword[frame(slot + 8)], 0);
  mov(eax, dword[frame(Unit)]);
  add(eax, distance);
  sub(eax, dword[frame(UnitEnd)]); // units behind the last one
  mov(r8d, eax);
  mov(eax, distance * rowsPerUnit);
  jb(known);
  mov(eax, 0);
  if (!dense) {
    emitExpertsAhead(ahead, known);
    mov(ptr[frame(slot + 8)], ahead);
    mov(eax, dword[frame(UnitBegin)]);
    add(rax, r8);
    sub(rax, qword[frame(Unit)]);
    imul(rax, rax, rowsPerUnit);
  }
  L(known);
  mov(ptr[frame(slot)], rows);
}

void ExpertKernel::emitSlotTiles(int rows, const std::function<void(int, int)> &tile) {
  emitTiles(SlotCount, tileSizes(m, dense && !dynamic), [&](int tokens) {
    if (!dense)
      mov(rdx, ptr[frame(SlotList)]);
    for (int t = 0; t < tokens; ++t) {
      if (dense)
        lea(rax, ptr[tokenCursor + t]);
      else
        mov(eax, dword[rdx + tokenCursor * 4 + 4 * t]);
      mov(qword[frame(slotNumbers + size_t(t) * 8)], rax);
    }
    tile(tokens, rows);
  });
}

// rax = bytes to the unit of `slot`.
void ExpertKernel::emitBytesAhead(size_t slot, const MatrixWeights &weights, int64_t expertRows) {
  imul(rax, ptr[frame(slot + 8)], immediate(expertRows, "rows of an expert"));
  add(rax, ptr[frame(slot)]);
  imul(rax, rax, immediate(weights.rowBytes, "a weight row"));
}

void ExpertKernel::emitWeightAddress(const Reg64 &dst, size_t base, const MatrixWeights &weights,
                                     int64_t expertRows) {
  if (prefetches()) {
    emitBytesAhead(Ahead, weights, expertRows);
    mov(ptr[frame(aheadBytes)], rax);
    emitBytesAhead(Farther, weights, expertRows);
    sub(rax, ptr[frame(aheadBytes)]);
    mov(ptr[frame(fartherBytes)], rax);
  }
  imul(dst, ptr[frame(Expert)], immediate(expertRows, "rows of an expert"));
  mov(rax, qword[frame(Unit)]);
  lea(dst, ptr[dst + rax * rowsPerUnit]);
  imul(dst, dst, immediate(weights.rowBytes, "a weight row"));
  add(dst, ptr[frame(base)]);
}

void ExpertKernel::emitSlotQuotient(int t, int64_t divisor) {
  mov(rax, qword[frame(slotNumbers + size_t(t) * 8)]);
  emitQuotient(divisor);
}

void ExpertKernel::emitQuotient(int64_t divisor) {
  if (divisor == 1)
    return;
  if ((divisor & (divisor - 1)) == 0) {
    shr(rax, __builtin_ctzll(divisor));
    return;
  }
  xor_(edx, edx);
  mov(ecx, static_cast<uint32_t>(divisor));
  div(ecx);
}

void ExpertKernel::emitActivations(size_t base, int tokens, int64_t bytes, int64_t divisor) {
  for (int t = 0; t < tokens; ++t) {
    emitSlotQuotient(t, divisor);
    imul(token(t), rax, immediate(bytes, "an activation row"));
    add(token(t), ptr[frame(base)]);
  }
}

} // namespace ktc::x64
