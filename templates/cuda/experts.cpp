// Instances of `gate_up`, `down`, `down_slots` and `slot_sum`: kernels/gate_up.cuh, down.cuh, experts_tile.cuh.
#include "templates/cuda/kernels/layout.cuh"
#include "templates/cuda/linear.h"
#include "templates/specs.h"

#include <algorithm>

namespace ktc::cuda {

namespace {

uint32_t ceilDiv(int64_t a, int64_t b) { return static_cast<uint32_t>((a + b - 1) / b); }

// Tiles of `tokens` slots that all active experts can have together.
uint32_t mostTiles(const ExpertsSpec &experts, int64_t m, int64_t tokens) {
  const int64_t slots = m * experts.topK;
  const int64_t active = std::min(experts.experts, slots);
  // Each expert but for whole tiles has at most one more.
  const int64_t tiles = experts.dense ? ceilDiv(m, tokens) : (slots - active) / tokens + active;
  if (tiles > 65535)
    throw ParamError("parameter 'm' must be smaller: " + std::to_string(tiles) +
                     " tiles of slots are more than the 65535 of a grid");
  return static_cast<uint32_t>(tiles);
}

struct GateUpSpec {
  MatrixSpec matrix;
  ExpertsSpec experts;
  const KtTypeInfo *gate = nullptr, *up = nullptr;
  int64_t act = 0, xStride = 0, gateRows = 0, upRows = 0;
  int64_t xAlign() const {
    const int64_t bytes = matrix.xBfloat ? 2 : 4;
    return commonAlignment({matrix.m > 1 ? xStride * bytes : 0, matrix.k * bytes});
  }
};

GateUpSpec readGateUp(const Params &params) {
  GateUpSpec spec;
  spec.matrix = readMatrix(params);
  spec.experts = readExperts(params);
  spec.gate = &readFormat(params, "format_gate", spec.matrix.k);
  spec.up = &readFormat(params, "format_up", spec.matrix.k);
  constexpr std::string_view acts[] = {"silu", "gelu_tanh", "swiglu_oai"};
  spec.act = static_cast<int64_t>(needChoice(params, "act", acts));
  spec.xStride = optionalInt(params, "x_stride", spec.matrix.k);
  spec.gateRows = optionalInt(params, "gate_expert_rows", spec.matrix.n);
  spec.upRows = optionalInt(params, "up_expert_rows", spec.matrix.n);
  return spec;
}

Instance gateUpStream(const GateUpSpec &spec, Sm sm) {
  const MatrixSpec &m = spec.matrix;
  const ExpertsSpec &e = spec.experts;
  const bool together = spec.gate == spec.up;
  const StreamNeed need = together ? streamNeed(*spec.gate, m, 2)
                                   : larger(streamNeed(*spec.gate, m, 1), streamNeed(*spec.up, m, 1));
  const int64_t gateUnits = unitsOf(*spec.gate, m.k), upUnits = unitsOf(*spec.up, m.k);
  StreamWork work = {std::max(gateUnits, upUnits), std::min(gateUnits, upUnits), 0, e.dense};
  if (e.dense)
    work.blocks = ceilDiv(m.n, 16);
  const StreamShape shape = chooseStream(sm, need, work);
  const int64_t sums = kt::streamSumBytes(static_cast<int>(shape.warps), 2, m.m > 8 ? 2 : 1);
  TemplateText body("GateUpStream");
  body << spec.gate->id << spec.up->id << m.n << m.k << m.m << e.experts << e.topK << e.dense << spec.act
       << m.bias << spec.xStride << spec.gateRows << spec.upRows << m.xBfloat << spec.xAlign() << m.yBfloat
       << shape.warps << shape.stages;
  return {kernelSource("gate_up.cuh", body.str(), shape.warps * 32, shape.blocksPerSm),
          {ceilDiv(m.n, 16), static_cast<uint32_t>(std::min(e.experts, m.m * e.topK)), 1, shape.warps * 32,
           static_cast<uint32_t>(std::max(shape.ringBytes, sums))}};
}

Instance gateUpTile(const GateUpSpec &spec) {
  const MatrixSpec &m = spec.matrix;
  const ExpertsSpec &e = spec.experts;
  constexpr int tokens = 64; // sums of both matrices are in registers
  TemplateText body("GateUpTile");
  body << spec.gate->id << spec.up->id << m.n << m.k << m.m << m.dynamic << e.experts << e.topK << e.dense
       << spec.act << m.bias << spec.xStride << spec.gateRows << spec.upRows << m.xBfloat << spec.xAlign()
       << m.yBfloat << tokens;
  return {kernelSource("experts_tile.cuh", body.str(), 256, 2),
          {ceilDiv(m.n, kt::tileRows), mostTiles(e, m.m, tokens), 1, 256,
           static_cast<uint32_t>(kt::tileBytes(tokens))}};
}

Instance makeGateUp(const Params &params, Sm sm) {
  const GateUpSpec spec = readGateUp(params);
  return spec.matrix.streams() ? gateUpStream(spec, sm) : gateUpTile(spec);
}

int64_t rowAlignment(const MatrixSpec &m) { return commonAlignment({m.k * (m.xBfloat ? 2 : 4)}); }

Instance denseDown(const Params &params, const MatrixSpec &m, Sm sm) {
  LinearSpec spec;
  spec.matrix = m;
  spec.format = &readFormat(params, "format", m.k);
  spec.wBatchRows = m.n;
  spec.xStride = spec.xBatchStride = m.k;
  spec.yStride = optionalInt(params, "y_stride", m.n);
  spec.accumulate = flag(params, "accumulate");
  return makeProduct(spec, true, sm);
}

Instance makeDown(const Params &params, Sm sm) {
  MatrixSpec m = readMatrix(params);
  m.yBfloat = false; // y is float32
  const ExpertsSpec e = readExperts(params);
  if (e.dense)
    return denseDown(params, m, sm);
  if (!m.streams())
    throw ParamError("routed 'down' is for exactly 1 to 16 tokens, found m = " + std::to_string(m.m) +
                     (m.dynamic ? ", dynamic" : "") + "; use down_slots and slot_sum");
  const KtTypeInfo &format = readFormat(params, "format", m.k);
  const int64_t shared = unitsOf(format, m.k) * std::min(e.experts, m.m * e.topK);
  const StreamShape shape = chooseStream(sm, streamNeed(format, m, 1), {shared, shared, 0, false});
  // As many experts at a time as there are, then warps that share k.
  uint32_t teams = shape.warps;
  while (teams > 1 && teams > std::min(e.experts, m.m * e.topK))
    teams /= 2;
  const int64_t sums = kt::streamSumBytes(static_cast<int>(shape.warps), 1, m.m > 8 ? 2 : 1);
  TemplateText body("DownStream");
  body << format.id << m.n << m.k << m.m << e.experts << e.topK << flag(params, "accumulate") << m.bias
       << optionalInt(params, "y_stride", m.n) << optionalInt(params, "expert_rows", m.n) << m.xBfloat
       << rowAlignment(m) << teams << shape.warps / teams << shape.stages;
  return {kernelSource("down.cuh", body.str(), shape.warps * 32, 2),
          {ceilDiv(m.n, 16), 1, 1, shape.warps * 32, static_cast<uint32_t>(shape.ringBytes + sums + m.m * 64)}};
}

Instance makeDownSlots(const Params &params, Sm) {
  const MatrixSpec m = readMatrix(params);
  const ExpertsSpec e = readExperts(params);
  if (e.dense)
    throw ParamError("parameter 'dense' must be 0: dense 'down' is one kernel");
  const KtTypeInfo &format = readFormat(params, "format", m.k);
  const int tokens = m.m * e.topK / e.experts >= 96 ? 128 : 64;
  TemplateText body("DownSlots");
  body << format.id << m.n << m.k << m.m << m.dynamic << e.experts << m.bias
       << optionalInt(params, "expert_rows", m.n) << m.xBfloat << rowAlignment(m) << tokens;
  return {kernelSource("experts_tile.cuh", body.str(), 256, 2),
          {ceilDiv(m.n, kt::tileRows), mostTiles(e, m.m, tokens), 1, 256,
           static_cast<uint32_t>(kt::tileBytes(tokens))}};
}

Instance makeSlotSum(const Params &params, Sm) {
  const int64_t n = needInt(params, "n"), m = needInt(params, "m", 1, 65535);
  TemplateText body("SlotSum");
  body << n << m << flag(params, "dynamic") << needInt(params, "top_k", 1, maxExperts)
       << flag(params, "accumulate") << optionalInt(params, "y_stride", n);
  return {kernelSource("experts_tile.cuh", body.str(), 256, 4),
          {ceilDiv(n, 256), static_cast<uint32_t>(m), 1, 256, 0}};
}

} // namespace

const Family gateUpFamily = {"gate_up", makeGateUp};
const Family downFamily = {"down", makeDown};
const Family downSlotsFamily = {"down_slots", makeDownSlots};
const Family slotSumFamily = {"slot_sum", makeSlotSum};

} // namespace ktc::cuda
