// Family `gate_up`: h[slot][n] = act(Wg . x[t] + bg) * (Wu . x[t] + bu) for the experts of each token.
//
// Gate and up are computed for the same rows and tokens one after the other, so that h is written once.
#include "templates/x64/blocks/exp.h"
#include "templates/x64/matrix/expert_kernel.h"

#include <span>

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
    GateBias = XQ8k + 8,
    UpBias = GateBias + 8,
    FrameEnd = UpBias + 8
  };

  void emitTile(int tokens, int rows);
  void emitMatrix(const MatrixWeights &weights, size_t base, int64_t expertRows, int tokens, int rows,
                  size_t results);
  void emitTileBias(const Vec &dst, size_t base, int rows);
  void emitPanelBiases();
  void emitGated(const std::function<Vec(int)> &v);
  void emitActivation(int tokens, int rows);
  void emitStores(int tokens, int rows);
  PanelPass panelPass();

  MatrixWeights gate, up;
  enum class Act { Silu, GeluTanh, SwigluOai };

  int64_t gateRows, upRows, xStep;
  Act act;
  bool bias;
};

GateUpKernel::GateUpKernel(const Params &params, const Target &target) : ExpertKernel(params, target) {
  const int64_t k = needInt(params, "k", 1, maxRowElements);
  gate = makeWeights(needFormat(params, "format_gate"), k);
  up = makeWeights(needFormat(params, "format_up"), k);
  gateRows = optionalInt(params, "gate_expert_rows", n);
  upRows = optionalInt(params, "up_expert_rows", n);
  xStep = 4 * optionalInt(params, "x_stride", k);
  static constexpr std::string_view kinds[] = {"silu", "gelu_tanh", "swiglu_oai"};
  act = static_cast<Act>(needChoice(params, "act", kinds));
  bias = flag(params, "bias");
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
  emitActivation(tokens, rows);
  emitStores(tokens, rows);
}

// dst = the biases of the unit's rows, repeated in every four lanes.
void GateUpKernel::emitTileBias(const Vec &dst, size_t base, int rows) {
  imul(rax, qword[frame(Expert)], immediate(n, "rows of an expert"));
  mov(rdx, qword[frame(Unit)]);
  lea(rax, ptr[rax + rdx * rowsPerUnit]);
  mov(rdx, ptr[frame(base)]);
  loadRows(Xmm(dst.getIdx()), rdx + rax * 4, rows);
  if (dst.isZMM())
    vshuff32x4(dst, dst, dst, 0);
  else
    vinsertf128(dst, dst, Xmm(dst.getIdx()), 1);
}

// The biases of a panel's rows, to r9.
void GateUpKernel::emitPanelBiases() {
  imul(rax, ptr[frame(Expert)], immediate(4 * n, "rows of an expert"));
  add(rax, r12);
  for (auto [base, offset] : {std::pair{GateBias, 0}, {UpBias, 64}}) {
    mov(rdx, ptr[frame(base)]);
    vmovups(vec(0) | k1 | T_z, ptr[rdx + rax]);
    vmovups(ptr[r9 + offset], vec(0));
  }
}

// v(0) = act(v(0) + v(5)) * (v(4) + v(6)), the biases v(5) and v(6) only if there are any. Clobbers v(1)..v(4).
void GateUpKernel::emitGated(const std::function<Vec(int)> &v) {
  if (bias) {
    vaddps(v(0), v(0), v(5));
    vaddps(v(4), v(4), v(6));
  }
  if (act == Act::SwigluOai) {
    emitSwigluOai(*this, v(0), v(4), v(1), v(2), v(3));
    return;
  }
  act == Act::Silu ? emitSilu(*this, v(0), v(1), v(2), v(3)) : emitGeluTanh(*this, v(0), v(1), v(2), v(3));
  vmulps(v(0), v(0), v(4));
}

// results = act(results) * second results, on whole vectors: lanes of absent rows hold anything and are not
// stored.
void GateUpKernel::emitActivation(int tokens, int rows) {
  const bool useWide = wide() && tokens >= 4;
  auto v = [&](int index) { return useWide ? vec(index) : Vec(index); };
  const int tokensPerVector = useWide ? 4 : 2;
  if (bias) {
    emitTileBias(v(5), GateBias, rows);
    emitTileBias(v(6), UpBias, rows);
  }
  for (int t = 0; t < tokens; t += tokensPerVector) {
    const size_t offset = size_t(t) * 16;
    vmovups(v(0), ptr[frame(resultSlots + offset)]);
    vmovups(v(4), ptr[frame(secondResults + offset)]);
    emitGated(v);
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
  pass.matrices = {expertMatrix(WGate, gate, gateRows), expertMatrix(WUp, up, upRows)};
  pass.tokenRow = [this] {
    emitSlotNumber(rax);
    emitQuotient(topK);
    const size_t base = gate.takesF32 ? XFloat : gate.takesQ8k ? XQ8k : XQ8;
    imul(rax, rax, immediate(gate.takesF32 ? xStep : denseActivationBytes(gate), "an activation row"));
    add(rax, ptr[frame(base)]);
  };
  pass.resultRow = [this] {
    emitSlotNumber(rax);
    imul(rax, rax, immediate(4 * n, "a row of h"));
    add(rax, ptr[frame(H)]);
  };
  if (bias)
    pass.prepare = [this] { emitPanelBiases(); };
  pass.combine = [this](const Vec &gated, const Vec &second, int row) {
    // Registers in turn, so that the chains of several rows overlap.
    const Vec biases[] = {vec(26), vec(27)};
    auto v = [&](int i) {
      return i == 0 ? gated : i == 4 ? second : i > 4 ? biases[i - 5] : vec(15 + row % 3 * 3 + i);
    };
    for (int i = 0; bias && i < 2; ++i)
      vbroadcastss(biases[i], ptr[r9 + (i * 64 + row * 4)]);
    emitGated(v);
  };
  pass.store = [this](const Vec &value, int) { vmovups(ptr[rax] | k1, value); };
  return pass;
}

Kernel GateUpKernel::build() {
  const bool panels = dynamic && usesPanels(m, {&gate, &up});
  const PanelPass pass = panelPass();
  prologue(FrameEnd);
  const std::pair<size_t, int> operands[] = {{XFloat, 0}, {XQ8, 1},  {WGate, 2},    {WUp, 3},
                                             {H, 4},      {XQ8k, 6}, {GateBias, 7}, {UpBias, 8}};
  for (auto [slot, operand] : std::span(operands).first(bias ? 8 : 6)) {
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
  return finish(scratchFor(panels, gate, 2));
}

Kernel generateGateUp(const Params &params, const Target &target) {
  return GateUpKernel(params, target).build();
}

} // namespace

const Family gateUpFamily = {"gate_up", generateGateUp};

} // namespace ktc::x64
