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
    PackedX = BiasUnit + 8,
    ChunkSize = PackedX + 8, // packed tokens: those of a chunk, and the pieces of this call
    Piece = ChunkSize + 8,
    PieceEnd = Piece + 8,
    FrameEnd = PieceEnd + 8
  };

  void loadArguments();
  void emitUnitAddresses();
  void emitTile(int tokens, int rows);
  void emitEpilogue(int tokens, int rows);
  void emitUnits();
  void emitAllPanels();
  void emitTokenShare();
  void emitPieces(const PanelPass &pass);
  void emitPieceShare();

  // emitTokenShare(): most rows (twice as many of floats, of which packing takes longer), fewest tokens.
  static constexpr int64_t fewRows = 512;
  static constexpr uint32_t sharedTokens = 256;
  // emitPieces(): most blocks of tokens of a piece, and of a matrix with few rows, which has few pieces.
  static constexpr int64_t pieceBlocks = 16, fewRowBlocks = 8, fewPieceRows = 1024;

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
  readPackedTokens(params, n <= fewPieceRows ? fewRowBlocks : pieceBlocks);
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
  if (takesPacked()) {
    loadOperand(rax, 4);
    mov(ptr[frame(PackedX)], rax);
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
    // The unit after this one, and one further on; where this call ends, the unit that it has.
    const Reg64 ahead = address, none = rcx;
    for (auto [slot, distance] : {std::pair{aheadBytes, 1}, {fartherBytes, fartherUnits()}}) {
      mov(ahead.cvt32(), dword[frame(Unit)]);
      add(ahead.cvt32(), distance);
      cmp(ahead.cvt32(), dword[frame(UnitEnd)]);
      mov(ahead.cvt32(), static_cast<uint32_t>(immediate(distance * rowsPerUnit * weights.rowBytes, "units")));
      mov(none.cvt32(), 0);
      cmovae(ahead, none);
      mov(ptr[frame(slot)], ahead);
    }
    mov(ahead, ptr[frame(aheadBytes)]);
    sub(ptr[frame(fartherBytes)], ahead);
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
  if (takesPacked()) {
    pass.packed = [this] { mov(rax, ptr[frame(PackedX)]); };
    pass.packedAhead = [this] { imul(rax, ptr[frame(ChunkSize)], packedSpanBytes / packedRows); };
    emitPieces(pass);
    return;
  }
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

// With packed tokens nothing is lost by cutting the work along tokens, too. A piece is a block of rows and a
// chunk of tokens; all blocks of rows of a chunk follow each other, so that a call reads few chunks.
void LinearKernel::emitPieces(const PanelPass &pass) {
  const Reg64 row = rdx, chunk = rax, rowEnd = rcx;
  const uint32_t rowBlocks = static_cast<uint32_t>((n + panelRows - 1) / panelRows);
  Label loop, done;
  emitPieceShare();
  L(loop);
  mov(rax, ptr[frame(Piece)]);
  mov(r8, ptr[frame(PieceEnd)]);
  cmp(rax, r8);
  jae(done);
  sub(r8, rax); // pieces left
  xor_(edx, edx);
  mov(ecx, rowBlocks);
  div(rcx);
  // The rest of the blocks of rows of this chunk, or what is left.
  sub(rowEnd, row);
  cmp(rowEnd, r8);
  cmova(rowEnd, r8);
  add(ptr[frame(Piece)], rowEnd);
  add(rowEnd, row);
  shl(row, 5);
  mov(ptr[frame(RowBegin)], row);
  shl(rowEnd, 5);
  mov(edx, immediate(n, "n"));
  cmp(rowEnd, rdx);
  cmova(rowEnd, rdx);
  mov(ptr[frame(RowEnd)], rowEnd);
  imul(chunk, ptr[frame(ChunkSize)]);
  mov(ptr[frame(TokenBegin)], chunk);
  add(chunk, ptr[frame(ChunkSize)]);
  mov(edx, dword[frame(Tokens)]);
  cmp(chunk, rdx);
  cmova(chunk, rdx);
  mov(ptr[frame(TokenTotal)], chunk);
  emitPanels(pass, m);
  jmp(loop, T_NEAR);
  L(done);
}

// Chunks of equal size, of whole pairs of blocks, and the pieces [P u / N, P v / N) of P that the units [u, v)
// of N stand for.
void LinearKernel::emitPieceShare() {
  static_assert(panelRows == 32 && panelTokens == 16);
  const uint32_t most = static_cast<uint32_t>(chunkTokens(m, weights));
  const Reg64 pieces = r8;
  mov(eax, dword[frame(Tokens)]);
  mov(ptr[frame(PackedTotal)], rax);
  add(eax, most - 1);
  xor_(edx, edx);
  mov(ecx, most);
  div(ecx);
  mov(ecx, eax); // chunks
  imul(pieces, rax, immediate((n + panelRows - 1) / panelRows, "blocks of rows"));
  add(eax, dword[frame(Tokens)]);
  dec(eax);
  xor_(edx, edx);
  div(ecx);
  add(eax, 2 * panelTokens - 1);
  and_(eax, -2 * panelTokens);
  mov(ptr[frame(ChunkSize)], rax);
  mov(ecx, static_cast<uint32_t>(units));
  for (auto [slot, piece] : {std::pair{Unit, Piece}, {UnitEnd, PieceEnd}}) {
    mov(eax, dword[frame(slot)]);
    imul(rax, pieces);
    xor_(edx, edx);
    div(rcx);
    mov(ptr[frame(piece)], rax);
  }
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
