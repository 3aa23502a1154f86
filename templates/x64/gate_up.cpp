// Family `gate_up`: h[slot][n] = act(Wg . x[t]) * (Wu . x[t]) for the experts of each token.
//
// Gate and up are computed for the same rows and tokens one after the other, so that h is written once.
#include "templates/x64/blocks/exp.h"
#include "templates/x64/matrix/expert_kernel.h"

namespace ktc::x64 {

namespace {

class GateUpKernel : public ExpertKernel {
public:
  GateUpKernel(const Params &params, const Target &target);
  Kernel build();

private:
  enum OwnSlot : size_t {
    XFloat = ExpertSlots,
    XQ8 = XFloat + 8,
    WGate = XQ8 + 8,
    WUp = WGate + 8,
    H = WUp + 8,
    XQ8k = H + 8,
    FrameEnd = XQ8k + 8
  };

  void emitTile(int tokens, int rows);
  void emitMatrix(const MatrixWeights &weights, size_t base, int64_t expertRows, int tokens, int rows,
                  size_t results);
  void emitActivation(int tokens);
  void emitStores(int tokens, int rows);
  PanelPass panelPass();

  MatrixWeights gate, up;
  int64_t gateRows, upRows, xStep;
  bool isSilu;
};

GateUpKernel::GateUpKernel(const Params &params, const Target &target) : ExpertKernel(params, target) {
  const int64_t k = needInt(params, "k", 1, maxRowElements);
  gate = makeWeights(needFormat(params, "format_gate"), k);
  up = makeWeights(needFormat(params, "format_up"), k);
  gateRows = optionalInt(params, "gate_expert_rows", n);
  upRows = optionalInt(params, "up_expert_rows", n);
  xStep = 4 * optionalInt(params, "x_stride", k);
  static constexpr std::string_view kinds[] = {"silu", "gelu_tanh"};
  isSilu = needChoice(params, "act", kinds) == 0;
}

void GateUpKernel::emitMatrix(const MatrixWeights &weights, size_t base, int64_t expertRows, int tokens,
                              int rows, size_t results) {
  emitActivations(weights.takesF32   ? XFloat
                  : weights.takesQ8k ? XQ8k
                                     : XQ8,
                  tokens, weights.takesF32 ? xStep : denseActivationBytes(weights), topK);
  emitWeightAddress(weightRow, base, weights, expertRows);
  emitProducts(weights, tokens, rows, results);
}

void GateUpKernel::emitTile(int tokens, int rows) {
  emitMatrix(gate, WGate, gateRows, tokens, rows, resultSlots);
  emitMatrix(up, WUp, upRows, tokens, rows, secondResults);
  emitActivation(tokens);
  emitStores(tokens, rows);
}

// results = act(results) * second results, on whole vectors: lanes of absent rows hold anything and are not
// stored.
void GateUpKernel::emitActivation(int tokens) {
  const bool useWide = wide() && tokens >= 4;
  auto v = [&](int index) { return useWide ? vec(index) : Vec(index); };
  const int tokensPerVector = useWide ? 4 : 2;
  for (int t = 0; t < tokens; t += tokensPerVector) {
    const size_t offset = size_t(t) * 16;
    vmovups(v(0), ptr[frame(resultSlots + offset)]);
    isSilu ? emitSilu(*this, v(0), v(1), v(2), v(3)) : emitGeluTanh(*this, v(0), v(1), v(2), v(3));
    vmulps(v(0), v(0), ptr[frame(secondResults + offset)]);
    vmovups(ptr[frame(resultSlots + offset)], v(0));
  }
}

void GateUpKernel::emitStores(int tokens, int rows) {
  const Xmm value(0), mask(1);
  mov(rdx, qword[frame(Unit)]);
  shl(rdx, 4); // bytes of four floats
  add(rdx, ptr[frame(H)]);
  for (int t = 0; t < tokens; ++t) {
    imul(rax, qword[frame(slotNumbers + size_t(t) * 8)], immediate(4 * n, "a row of h"));
    add(rax, rdx);
    vmovups(value, ptr[frame(resultSlots + size_t(t) * 16)]);
    storeRows(rax, value, rows, mask);
  }
}

GateUpKernel::PanelPass GateUpKernel::panelPass() {
  PanelPass pass;
  pass.matrices = {{&gate, [this] { emitRowAddress(WGate, gate, gateRows); }},
                   {&up, [this] { emitRowAddress(WUp, up, upRows); }}};
  pass.tokenRow = [this] {
    emitSlotNumber(rax);
    emitQuotient(topK);
    imul(rax, rax, immediate(denseActivationBytes(gate), "an activation row"));
    add(rax, ptr[frame(XQ8)]);
  };
  pass.store = [this] {
    emitSlotNumber(tokenCursor);
    imul(rax, rax, immediate(4 * n, "a row of h"));
    add(rax, ptr[frame(H)]);
    mov(rdx, ptr[frame(Row)]);
    vmovups(vec(0), ptr[r10]);
    isSilu ? emitSilu(*this, vec(0), vec(1), vec(2), vec(3))
           : emitGeluTanh(*this, vec(0), vec(1), vec(2), vec(3));
    vmulps(vec(0), vec(0), ptr[r10 + resultBytes]);
    vmovups(ptr[rax + rdx * 4] | k1, vec(0));
  };
  return pass;
}

Kernel GateUpKernel::build() {
  const bool panels = dynamic && usesPanels(m, {&gate, &up});
  const PanelPass pass = panelPass();
  prologue(FrameEnd);
  const std::pair<int, size_t> slots[] = {{0, XFloat}, {1, XQ8}, {2, WGate}, {3, WUp}, {4, H}, {6, XQ8k}};
  for (auto [operand, slot] : slots) {
    loadOperand(rax, operand);
    mov(ptr[frame(slot)], rax);
  }
  if (panels)
    emitPanelPrologue();
  loadCommonArguments(5);
  emitExperts([this](int tokens, int rows) { emitTile(tokens, rows); }, panels ? &pass : nullptr);
  if (panels)
    emitPanelEpilogue();
  epilogue();
  return finish(scratchFor(panels, gate.k, 2));
}

Kernel generateGateUp(const Params &params, const Target &target) {
  return GateUpKernel(params, target).build();
}

} // namespace

const Family gateUpFamily = {"gate_up", generateGateUp};

} // namespace ktc::x64
