// Family `down`: y[t][n] (+)= sum over the slots of t of w[slot] * (Wd[expert] . h[slot] + b[expert]), experts
// ascending. With `quantize` the kernel makes the quantised rows of h itself.
#include "templates/specs.h"
#include "templates/x64/blocks/quantize_block.h"
#include "templates/x64/matrix/expert_kernel.h"

namespace ktc::x64 {

namespace {

class DownKernel : public ExpertKernel {
public:
  DownKernel(const Params &params, const Target &target);
  Kernel build();

private:
  enum OwnSlot : size_t {
    HFloat = ExpertSlots,
    HQ8 = HFloat + 8,
    W = HQ8 + 8,
    Y = W + 8,
    SlotWeights = Y + 8,
    Bias = SlotWeights + 8,
    PackedH = Bias + 8,
    FrameEnd = PackedH + 8
  };

  int64_t group() const { return weights.takesQ8k ? 256 : 32; }
  int64_t quantizedBytes() const { return m * topK * denseActivationBytes(weights); }
  void emitQuantize();
  void emitClear();
  void emitTile(int tokens, int rows);
  PanelPass panelPass();

  static constexpr int64_t downBlocks = 16; // that come packed, multiplied before the next ones

  MatrixWeights weights;
  int64_t expertRows, yStep;
  bool accumulate, bias, quantizes;
};

DownKernel::DownKernel(const Params &params, const Target &target) : ExpertKernel(params, target) {
  weights = makeWeights(needFormat(params, "format"), needInt(params, "k", 1, maxRowElements));
  expertRows = optionalInt(params, "expert_rows", n);
  yStep = 4 * optionalInt(params, "y_stride", n);
  accumulate = flag(params, "accumulate");
  bias = flag(params, "bias");
  quantizes = readDownQuantize(params);
  readPackedTokens(params, downBlocks);
}

// The float32 rows of all slots as quantised rows in the scratch, where HQ8 points. Every thread makes all of
// them, because its weight rows meet every slot; that saves the meeting after which they could be shared.
// `args` must be intact and is clobbered.
void DownKernel::emitQuantize() {
  const Reg64 from = rsi, row = rbp, rowsLeft = rbx;
  const Reg32 blocks = ecx, counter = edi;
  const Q8Output to = {r12, r13, r14};
  Label rowLoop, blockLoop;
  loadScratch(row);
  mov(ptr[frame(HQ8)], row);
  mov(from, ptr[frame(HFloat)]);
  mov(rowsLeft, immediate(m * topK, "slots"));
  L(rowLoop);
  mov(to.q, row);
  emitQ8Parts(*this, weights.k, group(), to);
  mov(blocks, immediate(weights.k / group(), "blocks"));
  L(blockLoop);
  if (weights.takesQ8k) {
    emitQuantizeGroup(*this, from, counter, to);
  } else {
    for (int i = 0; i < 32 / lanes(); ++i)
      vmovups(vec(i), ptr[from + i * lanes() * 4]);
    emitQuantizeBlock(*this, 0, 4, to);
    add(from, 128);
  }
  dec(blocks);
  jnz(blockLoop);
  add(row, immediate(denseActivationBytes(weights), "an activation row"));
  dec(rowsLeft);
  jnz(rowLoop);
}

// y = 0 in the rows of this thread, for every token: experts then only add.
void DownKernel::emitClear() {
  const Reg64 row = rax, rowEnd = rcx, tokensLeft = r8, base = r9;
  Label tokenLoop, rowLoop, nextToken, done;
  vxorps(xmm0, xmm0, xmm0);
  mov(tokensLeft.cvt32(), dword[frame(Tokens)]);
  mov(base, ptr[frame(Y)]);
  mov(edx, dword[frame(UnitEnd)]);
  shl(rdx, 2);
  mov(ecx, immediate(n, "n"));
  cmp(rdx, rowEnd);
  cmovb(rowEnd, rdx);
  L(tokenLoop);
  test(tokensLeft, tokensLeft);
  jz(done);
  mov(eax, dword[frame(UnitBegin)]);
  shl(row, 2);
  L(rowLoop);
  cmp(row, rowEnd);
  jae(nextToken);
  vmovss(ptr[base + row * 4], xmm0);
  inc(row);
  jmp(rowLoop);
  L(nextToken);
  add(base, immediate(yStep, "y_stride"));
  dec(tokensLeft);
  jmp(tokenLoop);
  L(done);
}

void DownKernel::emitTile(int tokens, int rows) {
  emitActivations(weights.takesF32 ? HFloat : HQ8, tokens, denseActivationBytes(weights), 1);
  emitWeightAddress(weightRow, W, weights, expertRows);
  emitProducts(weights, tokens, rows, resultSlots);
  const Xmm value(0), factor(1), sum(2), mask(3), biases(4);
  const Reg64 unitOffset = r8, slotWeights = r9, slot = r10;
  if (bias) {
    imul(rax, qword[frame(Expert)], immediate(n, "rows of an expert"));
    mov(rdx, qword[frame(Unit)]);
    lea(rax, ptr[rax + rdx * rowsPerUnit]);
    mov(rdx, ptr[frame(Bias)]);
    loadRows(biases, rdx + rax * 4, rows);
  }
  mov(unitOffset, qword[frame(Unit)]);
  shl(unitOffset, 4);
  add(unitOffset, ptr[frame(Y)]);
  mov(slotWeights, ptr[frame(SlotWeights)]);
  for (int t = 0; t < tokens; ++t) {
    Label unweighted;
    mov(slot, qword[frame(slotNumbers + size_t(t) * 8)]);
    vmovups(factor, splat(1.0f));
    test(slotWeights, slotWeights);
    jz(unweighted);
    vbroadcastss(factor, dword[slotWeights + slot * 4]);
    L(unweighted);
    emitSlotQuotient(t, topK);
    imul(rax, rax, immediate(yStep, "y_stride"));
    add(rax, unitOffset);
    vmovups(value, ptr[frame(resultSlots + size_t(t) * 16)]);
    if (bias)
      vaddps(value, value, biases);
    loadRows(sum, rax, rows);
    vfmadd231ps(sum, value, factor);
    storeRows(rax, sum, rows, mask);
  }
}

DownKernel::PanelPass DownKernel::panelPass() {
  PanelPass pass;
  pass.matrices = {expertMatrix(W, weights, expertRows)};
  pass.tokenRow = [this] {
    emitSlotNumber(rax);
    imul(rax, rax, immediate(denseActivationBytes(weights), "an activation row"));
    add(rax, ptr[frame(weights.takesF32 ? HFloat : HQ8)]);
  };
  if (takesPacked()) {
    pass.packed = [this] { emitPacked(PackedH, weights.k); };
    // The next expert. A chunk that is not the expert's last meets its own next one there or nothing useful.
    pass.packedAhead = [this] { imul(rax, ptr[frame(SpanStep)], immediate((weights.k + 255) / 256, "spans")); };
  }
  pass.resultRow = [this] {
    emitSlotNumber(rax);
    emitQuotient(topK);
    imul(rax, rax, immediate(yStep, "y_stride"));
    add(rax, ptr[frame(Y)]);
  };
  if (bias)
    pass.prepare = [this] {
      imul(rax, ptr[frame(Expert)], immediate(4 * n, "rows of an expert"));
      add(rax, r12);
      mov(rdx, ptr[frame(Bias)]);
      vmovups(vec(0) | k1 | T_z, ptr[rdx + rax]);
      vmovups(ptr[r9], vec(0));
    };
  pass.store = [this](const Vec &value, int token) {
    const Vec factor = vec(16 + token % 8);
    Label unweighted;
    mov(rcx, rax);
    lea(rax, ptr[tokenCursor + token]);
    emitSlotNumber(rax);
    vmovups(factor, splat(1.0f));
    mov(r8, ptr[frame(SlotWeights)]);
    test(r8, r8);
    jz(unweighted);
    vbroadcastss(factor, dword[r8 + rax * 4]);
    L(unweighted);
    if (bias)
      vaddps(value, value, ptr[r9]);
    vfmadd213ps(value | k1, factor, ptr[rcx]);
    vmovups(ptr[rcx] | k1, value);
  };
  return pass;
}

Kernel DownKernel::build() {
  const bool panels = dynamic && usesPanels(m, {&weights});
  const PanelPass pass = panelPass();
  Label idle;
  prologue(FrameEnd);
  const std::pair<size_t, int> operands[] = {{HFloat, 0}, {HQ8, 1}, {W, 2}, {Y, 3}, {SlotWeights, 5}};
  for (auto [slot, operand] : operands) {
    loadOperand(rax, operand);
    mov(ptr[frame(slot)], rax);
  }
  if (bias) {
    loadOperand(rax, 6);
    mov(ptr[frame(Bias)], rax);
  }
  if (takesPacked()) {
    loadOperand(rax, 7);
    mov(ptr[frame(PackedH)], rax);
  }
  if (panels)
    emitPanelPrologue();
  loadCommonArguments(4);
  if (quantizes) {
    mov(eax, dword[frame(UnitBegin)]);
    cmp(eax, dword[frame(UnitEnd)]);
    jae(idle);
    emitQuantize();
  }
  if (!accumulate)
    emitClear();
  emitExperts([this](int tokens, int rows) { emitTile(tokens, rows); }, panels ? &pass : nullptr);
  if (panels)
    emitPanelEpilogue();
  L(idle);
  epilogue();
  if (quantizes) // never together with panels, which are for dynamic kernels
    return finish((immediate(quantizedBytes(), "quantised rows") + size_t(63)) / 64 * 64);
  return finish(scratchFor(panels, weights, 1));
}

Kernel generateDown(const Params &params, const Target &target) { return DownKernel(params, target).build(); }

} // namespace

const Family downFamily = {"down", generateDown};

} // namespace ktc::x64
