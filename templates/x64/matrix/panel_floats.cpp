// The panel path of float32, float16 and bfloat16 weights with bfloat16 tiles (Amx).
//
// A number is the sum of two bfloat16 parts, high = bf16(x) and low = bf16(x - high), up to 2^-17 of its size
// (float16 and bfloat16 exactly; bfloat16 has no low part). A product of numbers is the sum of the products of
// their parts without low * low, so that results are as good as those of float32 sums: nothing is rounded to
// eight bits of mantissa, and the router may choose experts by them.
//
// A *span* is 128 weights of k. The panel of 32 rows is bf16 [part][row tile][4 groups][16 rows][32 weights];
// sixteen packed tokens are bf16 [part][4 groups][16 pairs of k][16 tokens][2]. Unlike integer sums nothing has
// to be scaled: the products (panel_layout.h) are the tiles themselves, stored and loaded once per span.
#include "templates/x64/blocks/tile_gap.h"
#include "templates/x64/matrix/panel_kernel.h"
#include "templates/x64/matrix/panel_layout.h"

#include <algorithm>

namespace ktc::x64 {

namespace {

constexpr int floatSpan = 128, groupWeights = 32, groupsPerSpan = floatSpan / groupWeights;
constexpr int groupBytes = 1024, rowTileBytes = groupsPerSpan * groupBytes;
constexpr int weightPartBytes = 2 * rowTileBytes, tokenPartBytes = groupsPerSpan * groupBytes;
constexpr int packedFloats = 2 * tokenPartBytes;
// Scratch: results (panel_layout.h), the panel, products, packed tokens. Tokens are split in place of the
// panel.
constexpr int floatPanel = panelHeader, floatProducts = floatPanel + 2 * weightPartBytes;
// More than packed bytes get: each of them takes part in more tile products.
constexpr int64_t floatBudget = 1 << 20;

int64_t elementBytes(const MatrixWeights &weights) { return weights.format->blockBytes; }
bool hasLowPart(const MatrixWeights &weights) { return weights.format->id != KT_TYPE_BF16; }

} // namespace

bool PanelKernel::usesFloatPanels(const std::vector<const MatrixWeights *> &matrices) const {
  return usesTiles() && std::all_of(matrices.begin(), matrices.end(), [](const MatrixWeights *w) {
           const int format = w->format->id;
           return (format == KT_TYPE_F32 || format == KT_TYPE_F16 || format == KT_TYPE_BF16) &&
                  w->k % groupWeights == 0;
         });
}

PanelKernel::Layout PanelKernel::floatLayout(int64_t m, int64_t k, size_t matrices) const {
  return makeLayout(m, {(k + floatSpan - 1) / floatSpan, packedFloats, floatBudget, floatProducts}, matrices);
}

void PanelKernel::emitFloatMatrix(const PanelMatrix &matrix, const Layout &place, size_t index) {
  const MatrixWeights &weights = *matrix.weights;
  const int tail = static_cast<int>(weights.k % floatSpan / groupWeights);
  Label spanLoop, last, converted;
  matrix.address();
  mov(ptr[frame(SpanRow)], weightRow);
  emitScratch(rax, place.packed);
  mov(ptr[frame(Packed)], rax);
  mov(qword[frame(SpansLeft)], immediate(place.spans, "spans"));
  L(spanLoop);
  mov(r12d, groupsPerSpan);
  if (tail > 0) {
    cmp(qword[frame(SpansLeft)], 1);
    je(last);
  }
  emitFloatPanel(weights, groupsPerSpan);
  if (tail > 0) {
    jmp(converted);
    L(last);
    mov(r12d, tail);
    emitFloatPanel(weights, tail);
    L(converted);
  }
  emitFloatProducts(weights, place, index);
  add(qword[frame(Packed)], immediate(place.blocks * packedFloats, "packed tokens"));
  add(qword[frame(SpanRow)], immediate(floatSpan * elementBytes(weights), "a span"));
  dec(qword[frame(SpansLeft)]);
  jnz(spanLoop);
}

// zmm2 = high and zmm3 = low parts of the 32 floats in zmm0 and zmm1.
void PanelKernel::emitSplit() {
  vcvtne2ps2bf16(zmm2, zmm1, zmm0);
  vpmovzxwd(zmm4, ymm2);
  vextracti64x4(ymm5, zmm2, 1);
  vpmovzxwd(zmm5, ymm5);
  vpslld(zmm4, zmm4, 16);
  vpslld(zmm5, zmm5, 16);
  vsubps(zmm0, zmm0, zmm4);
  vsubps(zmm1, zmm1, zmm5);
  vcvtne2ps2bf16(zmm3, zmm1, zmm0);
}

// The parts of `groups` groups of 32 rows from SpanRow on; rows behind the last repeat it.
void PanelKernel::emitFloatPanel(const MatrixWeights &weights, int groups) {
  Label loop;
  const Reg64 row = r13, from = rsi, to = rdi;
  xor_(row.cvt32(), row.cvt32());
  L(loop);
  mov(rax, ptr[frame(RowCount)]);
  dec(rax);
  cmp(rax, row);
  cmova(rax, row);
  imul(from, rax, immediate(weights.rowBytes, "a weight row"));
  add(from, ptr[frame(SpanRow)]);
  mov(eax, row.cvt32()); // tile of the row, and row in it
  shr(eax, 4);
  imul(eax, eax, rowTileBytes);
  mov(edx, row.cvt32());
  and_(edx, panelTileRows - 1);
  shl(edx, 6);
  add(rax, rdx);
  add(rax, ptr[frame(Scratch)]);
  lea(to, ptr[rax + floatPanel]);
  for (int g = 0; g < groups; ++g) {
    const Xbyak::RegExp source = from + g * groupWeights * static_cast<int>(elementBytes(weights));
    if (!hasLowPart(weights)) {
      vmovups(zmm2, ptr[source]);
    } else {
      for (int half = 0; half < 2; ++half)
        weights.format->id == KT_TYPE_F16 ? vcvtph2ps(vec(half), ptr[source + half * 32])
                                          : vmovups(vec(half), ptr[source + half * 64]);
      emitSplit();
      vmovups(ptr[to + (weightPartBytes + g * groupBytes)], zmm3);
    }
    vmovups(ptr[to + g * groupBytes], zmm2);
  }
  inc(row.cvt32());
  cmp(row.cvt32(), panelRows);
  jb(loop);
}

// Adds r12 groups of the span to the products of all packed tokens, 32 at a time; at the first span they begin.
void PanelKernel::emitFloatProducts(const MatrixWeights &weights, const Layout &place, size_t index) {
  using Xbyak::Tmm;
  Label blockLoop, load, begun, groupLoop;
  auto product = [&](int row, int token) {
    return ptr[rbx + r8 + (row * productTileBytes + token * productBytes)];
  };
  auto weightTiles = [&](int part) {
    for (int row = 0; row < 2; ++row, emitTileGap(*this))
      tileloadd(Tmm(4 + row), ptr[r10 + r8 + (part * weightPartBytes + row * rowTileBytes)]);
  };
  auto tokenTiles = [&](int part) {
    for (int token = 0; token < 2; ++token, emitTileGap(*this))
      tileloadd(Tmm(6 + token), ptr[r11 + r8 + (part * tokenPartBytes + token * packedFloats)]);
  };
  auto multiply = [&] {
    for (int token = 0; token < 2; ++token)
      for (int row = 0; row < 2; ++row, emitTileGap(*this))
        tdpbf16ps(Tmm(row + 2 * token), Tmm(4 + row), Tmm(6 + token));
  };
  mov(r8d, 64); // stride of all tiles
  mov(rsi, ptr[frame(Packed)]);
  emitScratch(rbx, place.products(index));
  mov(r9, ptr[frame(ChunkBlocks)]);
  L(blockLoop);
  cmp(qword[frame(SpansLeft)], immediate(place.spans, "spans"));
  jne(load);
  for (int tile = 0; tile < 4; ++tile)
    tilezero(Tmm(tile));
  jmp(begun);
  L(load);
  for (int tile = 0; tile < 4; ++tile)
    tileloadd(Tmm(tile), product(tile % 2, tile / 2));
  L(begun);
  emitScratch(r10, floatPanel);
  mov(r11, rsi);
  mov(edx, r12d);
  L(groupLoop);
  // Small parts first; each pair of tiles is loaded as rarely as two registers for it allow.
  if (hasLowPart(weights)) {
    weightTiles(1);
    tokenTiles(0);
    multiply();
    weightTiles(0);
    multiply();
    tokenTiles(1);
  } else {
    weightTiles(0);
    tokenTiles(1);
    multiply();
    tokenTiles(0);
  }
  multiply();
  add(r10, groupBytes);
  add(r11, groupBytes);
  dec(edx);
  jnz(groupLoop);
  for (int tile = 0; tile < 4; ++tile)
    tilestored(product(tile % 2, tile / 2), Tmm(tile));
  add(rsi, 2 * packedFloats);
  add(rbx, 2 * productBytes);
  sub(r9, 2);
  ja(blockLoop);
}

// Packs the sixteen rows of TokenRows to Packed, span after span; r15 is the offset of the span in a row.
void PanelKernel::emitPackFloats(int64_t k, const Layout &place) {
  const int tail = static_cast<int>(k % floatSpan / groupWeights);
  mov(rsi, ptr[frame(Packed)]);
  xor_(r15d, r15d);
  if (k >= floatSpan) {
    Label loop;
    L(loop);
    emitPackFloatSpan(groupsPerSpan);
    add(rsi, immediate(place.blocks * packedFloats, "packed tokens"));
    add(r15, 4 * floatSpan);
    cmp(r15, immediate(k / floatSpan * floatSpan * 4, "k"));
    jb(loop);
  }
  if (tail > 0)
    emitPackFloatSpan(tail);
}

// `groups` groups of sixteen rows: split into parts, 64 bytes of a row to a kilobyte, then transposed.
void PanelKernel::emitPackFloatSpan(int groups) {
  Label tokens;
  emitScratch(rdi, floatPanel);
  xor_(ebp, ebp);
  L(tokens);
  mov(rax, ptr[frame(TokenRows) + rbp * 8]);
  add(rax, r15);
  for (int g = 0; g < groups; ++g) {
    vmovups(zmm0, ptr[rax + g * 128]);
    vmovups(zmm1, ptr[rax + (g * 128 + 64)]);
    emitSplit();
    vmovups(ptr[rdi + g * groupBytes], zmm2);
    vmovups(ptr[rdi + (weightPartBytes + g * groupBytes)], zmm3);
  }
  add(rdi, 64);
  inc(ebp);
  cmp(ebp, panelTokens);
  jb(tokens);
  for (int part = 0; part < 2; ++part) {
    Label transposed;
    emitScratch(rdi, floatPanel + part * weightPartBytes);
    lea(rcx, ptr[rsi + part * tokenPartBytes]);
    mov(ebp, groups);
    L(transposed);
    emitTransposedGroup([this](int t) { return rdi + t * 64; });
    add(rdi, groupBytes);
    add(rcx, groupBytes);
    dec(ebp);
    jnz(transposed);
  }
}

} // namespace ktc::x64
