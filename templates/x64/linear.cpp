// Family `linear`: y[t][b][n] = W[b][n] . x[t][b], optionally plus a bias or added to y.
#include "templates/x64/matrix/panel_kernel.h"

namespace ktc::x64 {

namespace {

class LinearKernel : public PanelKernel {
public:
  LinearKernel(const Params &params, const Target &target);
  Kernel build();

private:
  enum Slot : size_t {
    X = ownSlots,
    W = X + 8,
    Y = W + 8,
    Bias = Y + 8,
    Tokens = Bias + 8,
    Unit = Tokens + 8,
    UnitEnd = Unit + 8,
    XUnit = UnitEnd + 8,
    WUnit = XUnit + 8,
    YUnit = WUnit + 8,
    BiasUnit = YUnit + 8,
    FrameEnd = BiasUnit + 8
  };

  void loadArguments();
  void emitUnitAddresses();
  void emitTile(int tokens, int rows);
  void emitEpilogue(int tokens, int rows);
  void emitUnits();
  void emitAllPanels();
  void emitTokenShare();

  // emitTokenShare(): most rows (twice as many of floats, of which packing takes longer), fewest tokens.
  static constexpr int64_t fewRows = 512;
  static constexpr uint32_t sharedTokens = 256;

  MatrixWeights weights;
  int64_t n, m, batch, batchRows, units;
  int64_t xStep, xBatchStep; // bytes between tokens and between batches
  int64_t yStep, yBatchStep;
  bool dynamic, bias, accumulate;
};

LinearKernel::LinearKernel(const Params &params, const Target &target) : PanelKernel(target) {
  n = needInt(params, "n");
  m = needInt(params, "m", 1, maxTokensPerReplay);
  const int64_t k = needInt(params, "k", 1, maxRowElements);
  readPrefetch(params);
  readExact(params);
  weights = makeWeights(needFormat(params, "format"), k);
  dynamic = flag(params, "dynamic");
  bias = flag(params, "bias");
  accumulate = flag(params, "accumulate");
  batch = optionalInt(params, "batch", 1, 1, maxBatch);
  batchRows = optionalInt(params, "w_batch_rows", n);
  units = (n + rowsPerUnit - 1) / rowsPerUnit;
  immediate(batch * units, "the number of units");
  if (weights.takesF32) {
    xStep = 4 * optionalInt(params, "x_stride", batch * k);
    xBatchStep = 4 * optionalInt(params, "x_batch_stride", k);
  } else {
    xBatchStep = denseActivationBytes(weights);
    xStep = batch * xBatchStep;
  }
  yStep = 4 * optionalInt(params, "y_stride", batch * n);
  yBatchStep = 4 * optionalInt(params, "y_batch_stride", n);
}

void LinearKernel::loadArguments() {
  const size_t slots[] = {X, W, Y, Bias};
  for (int i = 0; i < (bias ? 4 : 3); ++i) {
    loadOperand(rax, i);
    mov(ptr[frame(slots[i])], rax);
  }
  if (dynamic)
    loadTokenCount(eax);
  else
    mov(eax, static_cast<uint32_t>(m));
  mov(dword[frame(Tokens)], eax);
  loadUnits(eax, edx);
  mov(dword[frame(Unit)], eax);
  mov(dword[frame(UnitEnd)], edx);
}

// Splits the unit number in eax into batch and row group; leaves the row group in edx.
void LinearKernel::emitUnitAddresses() {
  const Reg64 batchNumber = r8, rowGroup = rdx, address = r9;
  if (batch > 1) {
    xor_(edx, edx);
    mov(ecx, static_cast<uint32_t>(units));
    div(ecx);
    mov(batchNumber.cvt32(), eax);
  } else {
    mov(edx, eax);
    xor_(batchNumber.cvt32(), batchNumber.cvt32());
  }
  imul(address, batchNumber, immediate(xBatchStep, "x_batch_stride"));
  add(address, ptr[frame(X)]);
  mov(ptr[frame(XUnit)], address);

  imul(address, batchNumber, immediate(batchRows, "w_batch_rows"));
  lea(address, ptr[address + rowGroup * rowsPerUnit]);
  imul(address, address, immediate(weights.rowBytes, "a weight row"));
  add(address, ptr[frame(W)]);
  mov(ptr[frame(WUnit)], address);
  if (prefetches()) {
    // The unit after this one; the last one of this call prefetches what it has.
    const Reg64 ahead = address, none = rcx;
    mov(ahead.cvt32(), dword[frame(Unit)]);
    inc(ahead.cvt32());
    cmp(ahead.cvt32(), dword[frame(UnitEnd)]);
    mov(ahead.cvt32(), static_cast<uint32_t>(immediate(rowsPerUnit * weights.rowBytes, "a unit")));
    mov(none.cvt32(), 0);
    cmovae(ahead, none);
    mov(ptr[frame(aheadBytes)], ahead);
  }

  mov(rcx, rowGroup);
  shl(rcx, 4); // bytes of four floats
  imul(address, batchNumber, immediate(yBatchStep, "y_batch_stride"));
  add(address, rcx);
  add(address, ptr[frame(Y)]);
  mov(ptr[frame(YUnit)], address);
  if (bias) {
    imul(address, batchNumber, immediate(4 * n, "a bias row"));
    add(address, rcx);
    add(address, ptr[frame(Bias)]);
    mov(ptr[frame(BiasUnit)], address);
  }
}

void LinearKernel::emitTile(int tokens, int rows) {
  imul(token(0), tokenCursor, immediate(xStep, "x_stride"));
  add(token(0), ptr[frame(XUnit)]);
  for (int t = 1; t < tokens; ++t)
    lea(token(t), ptr[token(t - 1) + immediate(xStep, "x_stride")]);
  mov(weightRow, ptr[frame(WUnit)]);
  emitProducts(weights, tokens, rows, resultSlots);
  emitEpilogue(tokens, rows);
}

void LinearKernel::emitEpilogue(int tokens, int rows) {
  const Xmm value(0), other(1), biases(2), mask(3);
  if (bias) {
    mov(rax, ptr[frame(BiasUnit)]);
    loadRows(biases, rax, rows);
  }
  imul(rax, tokenCursor, immediate(yStep, "y_stride"));
  add(rax, ptr[frame(YUnit)]);
  for (int t = 0; t < tokens; ++t) {
    vmovups(value, ptr[frame(resultSlots + size_t(t) * 16)]);
    if (bias)
      vaddps(value, value, biases);
    if (accumulate) {
      loadRows(other, rax, rows);
      vaddps(value, value, other);
    }
    storeRows(rax, value, rows, mask);
    if (t + 1 < tokens)
      add(rax, immediate(yStep, "y_stride"));
  }
}

// The units of this call, tile by tile.
void LinearKernel::emitUnits() {
  const std::vector<int> sizes = tileSizes(m, !dynamic);
  const int lastRows = static_cast<int>(n - (units - 1) * rowsPerUnit);
  Label unitLoop, partial, next, done;
  L(unitLoop);
  mov(eax, dword[frame(Unit)]);
  cmp(eax, dword[frame(UnitEnd)]);
  jae(done);
  emitUnitAddresses();
  if (lastRows < rowsPerUnit) {
    cmp(edx, static_cast<uint32_t>(units - 1));
    je(partial);
  }
  emitTiles(Tokens, sizes, [&](int tokens) { emitTile(tokens, rowsPerUnit); });
  L(next);
  inc(dword[frame(Unit)]);
  jmp(unitLoop);
  if (lastRows < rowsPerUnit) {
    L(partial);
    emitTiles(Tokens, sizes, [&](int tokens) { emitTile(tokens, lastRows); });
    jmp(next);
  }
  L(done);
}

// The same by panels; only without batches.
void LinearKernel::emitAllPanels() {
  PanelPass pass;
  pass.matrices = {{&weights,
                    [this] {
                      imul(weightRow, ptr[frame(Row)], immediate(weights.rowBytes, "a weight row"));
                      add(weightRow, ptr[frame(W)]);
                    },
                    nullptr}};
  pass.tokenRow = [this] {
    imul(rax, rax, immediate(xStep, "x_stride"));
    add(rax, ptr[frame(X)]);
  };
  pass.resultRow = [this] {
    imul(rax, rax, immediate(yStep, "y_stride"));
    add(rax, ptr[frame(Y)]);
  };
  if (bias)
    pass.prepare = [this] {
      mov(rax, ptr[frame(Bias)]);
      vmovups(vec(0) | k1 | T_z, ptr[rax + r12]);
      vmovups(ptr[r9], vec(0));
    };
  pass.store = [this](const Vec &value, int) {
    if (bias)
      vaddps(value, value, ptr[r9]);
    if (accumulate)
      vaddps(value | k1, value, ptr[rax]);
    vmovups(ptr[rax] | k1, value);
  };
  mov(eax, dword[frame(Tokens)]);
  mov(ptr[frame(TokenTotal)], rax);
  emitPanelRows(Unit, UnitEnd, n);
  if (n <= (weights.takesF32 ? 2 * fewRows : fewRows))
    emitTokenShare();
  emitPanels(pass, m);
}

// With few rows (a router, keys and values) and many tokens threads share the tokens instead, which each of
// them would otherwise pack as a whole for a handful of rows: units [u, v) of N stand for all rows and tokens
// [m u / N, m v / N).
void LinearKernel::emitTokenShare() {
  const Reg64 count = rcx, begin = r8, end = r9;
  Label done;
  mov(eax, dword[frame(Tokens)]);
  cmp(eax, sharedTokens);
  jb(done);
  mov(count.cvt32(), static_cast<uint32_t>(units));
  for (auto [slot, token] : {std::pair{Unit, begin}, {UnitEnd, end}}) {
    mov(eax, dword[frame(slot)]);
    mov(edx, dword[frame(Tokens)]);
    imul(rax, rdx);
    xor_(edx, edx);
    div(count);
    mov(token, rax);
  }
  sub(end, begin);
  mov(ptr[frame(TokenTotal)], end);
  mov(qword[frame(RowBegin)], 0);
  mov(qword[frame(RowEnd)], immediate(n, "n"));
  imul(rax, begin, immediate(xStep, "x_stride"));
  add(ptr[frame(X)], rax);
  imul(rax, begin, immediate(yStep, "y_stride"));
  add(ptr[frame(Y)], rax);
  L(done);
}

Kernel LinearKernel::build() {
  const bool panels = dynamic && batch == 1 && usesPanels(m, {&weights});
  Label few, done;
  prologue(FrameEnd);
  if (panels)
    emitPanelPrologue();
  loadArguments();
  if (panels) {
    cmp(dword[frame(Tokens)], static_cast<uint32_t>(panelCrossover(isa)));
    jb(few);
    emitAllPanels();
    jmp(done);
    L(few);
  }
  emitUnits();
  if (panels) {
    L(done);
    emitPanelEpilogue();
  }
  epilogue();
  return finish(panels ? panelScratch(m, weights, 1) : 0);
}

Kernel generateLinear(const Params &params, const Target &target) {
  return LinearKernel(params, target).build();
}

} // namespace

const Family linearFamily = {"linear", generateLinear};

} // namespace ktc::x64
