// References of `gate_up` and `down`: matrices chosen per token by the expert lists, or expert 0 for all.
#include "templates/param_check.h"
#include "templates/reference/families.h"
#include "templates/reference/matrix.h"
#include "templates/reference/panel.h"
#include "templates/reference/quantize_row.h"
#include "templates/specs.h"

#include <algorithm>
#include <cmath>

namespace ktc::reference {

namespace {

// One expert that is active in a call, and the slots it serves.
struct ActiveExpert {
  int64_t id;
  std::vector<int64_t> slots;
};

// What a call works on: the lists of kt_abi.h, or expert 0 with one slot per token.
std::vector<ActiveExpert> activeExperts(const int32_t *lists, int64_t experts, uint32_t tokens) {
  std::vector<ActiveExpert> active;
  if (!lists) {
    active.push_back({0, {}});
    for (uint32_t t = 0; t < tokens; ++t)
      active.back().slots.push_back(t);
    return active;
  }
  const int32_t *start = lists + ktExpertListStart(experts), *slots = lists + ktExpertListSlots(experts);
  for (int32_t a = 0; a < lists[0]; ++a)
    active.push_back({lists[ktExpertListIds() + a], {slots + start[a], slots + start[a + 1]}});
  return active;
}

// The gated activation of index `kind` in `gatedKinds`.
constexpr std::string_view gatedKinds[] = {"silu", "gelu_tanh", "swiglu_oai"};

double gated(size_t kind, double gate, double up) {
  if (kind == 0)
    return gate / (1 + std::exp(-gate)) * up;
  if (kind == 1)
    return 0.5 * gate * (1 + std::tanh(std::sqrt(2 / M_PI) * (gate + 0.044715 * gate * gate * gate))) * up;
  gate = std::min(gate, 7.0);
  up = std::clamp(up, -7.0, 7.0);
  return gate / (1 + std::exp(-1.702 * gate)) * (up + 1);
}

struct Range {
  int64_t begin, end;
};

Range rowsOf(const KtKernelArgs *args, int64_t n) {
  return {int64_t(args->unitBegin) * KT_ROWS_PER_UNIT,
          std::min<int64_t>(int64_t(args->unitEnd) * KT_ROWS_PER_UNIT, n)};
}

// Rows of each active expert that the shares of this call stand for (kt_abi.h).
std::vector<Range> sharesOf(const KtKernelArgs *args, const std::vector<ActiveExpert> &active, int64_t n) {
  const int64_t blocks = (n + KT_SHARE_ROWS - 1) / KT_SHARE_ROWS;
  auto costOf = [](const ActiveExpert &expert) { return int64_t(KT_SHARE_BASE + expert.slots.size()); };
  int64_t total = 0, spent = 0;
  for (const ActiveExpert &expert : active)
    total += costOf(expert) * blocks;
  const int64_t begin = total * args->unitBegin / KT_SHARES, end = total * args->unitEnd / KT_SHARES;
  std::vector<Range> rows;
  for (const ActiveExpert &expert : active) {
    Range own{n, 0};
    for (int64_t block = 0; block < blocks; ++block)
      if (int64_t at = spent + block * costOf(expert); at >= begin && at < end) {
        own.begin = std::min<int64_t>(own.begin, block * KT_SHARE_ROWS);
        own.end = std::min<int64_t>((block + 1) * KT_SHARE_ROWS, n);
      }
    rows.push_back(own);
    spent += blocks * costOf(expert);
  }
  return rows;
}

} // namespace

static KernelFn bindGateUp(const Params &params) {
  const KtTypeInfo *gate = &needFormat(params, "format_gate"), *up = &needFormat(params, "format_up");
  const int64_t n = needInt(params, "n"), k = needInt(params, "k", 1, maxRowElements);
  needWholeBlocks(*gate, k);
  needWholeBlocks(*up, k);
  needInt(params, "m", 1, maxTokensPerReplay);
  flag(params, "prefetch");
  flag(params, "exact");
  const bool dense = flag(params, "dense");
  const int64_t experts = dense ? 1 : needInt(params, "experts", 1, maxExperts),
                topK = dense ? 1 : needInt(params, "top_k", 1, experts);
  const int64_t xStride = optionalInt(params, "x_stride", k);
  const int64_t gateRows = optionalInt(params, "gate_expert_rows", n);
  const int64_t upRows = optionalInt(params, "up_expert_rows", n);
  const size_t kind = needChoice(params, "act", gatedKinds);
  const bool bias = flag(params, "bias");
  const int64_t panels = optionalInt(params, "panels", 0, 0);
  const bool byCost = !dense && flag(params, "by_cost");
  const GpuTypes types = readGpuTypes(params);
  return [=](const KtKernelArgs *args) {
    const int32_t *lists = dense ? nullptr : static_cast<const int32_t *>(args->operands[5]);
    const auto active = activeExperts(lists, experts, args->step->nTokens);
    // Activations as the format of the matrix wants them.
    auto product = [&](const KtTypeInfo *format, int operand, int64_t row, int64_t token, bool asPanel) {
      if (types.isUsed)
        return gpuDot(types, {format, k}, gpuRow(types, {format, k}, args->operands[operand], row),
                      args->operands[0], token * xStride);
      std::vector<float> weights = matrixRow({format, k}, args->operands[operand], row, asPanel);
      if (ktTypeTakesF32Activations(format->id))
        return dot(weights, static_cast<const float *>(args->operands[0]) + token * xStride);
      const void *rows = args->operands[ktTypeTakesQ8k(format->id) ? 6 : 1];
      return dot(weights, activationRow(*format, rows, k, token, asPanel).data());
    };
    auto biasOf = [&](int operand, int64_t expert, int64_t row) {
      return bias ? static_cast<const float *>(args->operands[operand])[expert * n + row] : 0.0f;
    };
    std::vector<Range> shares = byCost ? sharesOf(args, active, n) : std::vector<Range>();
    for (const ActiveExpert &expert : active) {
      const Range rows = byCost ? shares[size_t(&expert - active.data())] : rowsOf(args, n);
      const int64_t count = static_cast<int64_t>(expert.slots.size());
      const bool asPanel = usesPanels(*gate, panels, count) && usesPanels(*up, panels, count) &&
                           ktTypeTakesQ8k(gate->id) == ktTypeTakesQ8k(up->id);
      for (int64_t slot : expert.slots)
        for (int64_t row = rows.begin; row < rows.end; ++row)
          storeResult(types, args->operands[4], slot * n + row,
                      gated(kind,
                            product(gate, 2, expert.id * gateRows + row, slot / topK, asPanel) +
                                biasOf(7, expert.id, row),
                            product(up, 3, expert.id * upRows + row, slot / topK, asPanel) +
                                biasOf(8, expert.id, row)));
    }
  };
}

// The quantised rows that a matrix of `format` takes, of `count` float32 rows of k elements.
static std::vector<uint8_t> quantizedRows(const KtTypeInfo &format, const float *rows, int64_t count,
                                          int64_t k) {
  const int64_t group = ktTypeTakesQ8k(format.id) ? 256 : 32;
  const size_t bytes = quantizedRowBytes(k, group);
  std::vector<uint8_t> quantized(count * bytes);
  for (int64_t i = 0; i < count; ++i)
    quantizeRow(rows + i * k, k, group, &quantized[i * bytes]);
  return quantized;
}

static KernelFn bindDown(const Params &params) {
  const KtTypeInfo *format = &needFormat(params, "format");
  const int64_t n = needInt(params, "n"), k = needInt(params, "k", 1, maxRowElements);
  needWholeBlocks(*format, k);
  const int64_t m = needInt(params, "m", 1, maxTokensPerReplay);
  flag(params, "prefetch");
  flag(params, "exact");
  const bool dense = flag(params, "dense"), accumulate = flag(params, "accumulate"),
             bias = flag(params, "bias"), quantizes = readDownQuantize(params);
  const int64_t experts = dense ? 1 : needInt(params, "experts", 1, maxExperts),
                topK = dense ? 1 : needInt(params, "top_k", 1, experts);
  const int64_t yStride = optionalInt(params, "y_stride", n),
                expertRows = optionalInt(params, "expert_rows", n),
                panels = optionalInt(params, "panels", 0, 0);
  GpuTypes types = readGpuTypes(params);
  types.keepsFloat = dense;
  return [=](const KtKernelArgs *args) {
    float *y = static_cast<float *>(args->operands[3]);
    const int32_t *lists = dense ? nullptr : static_cast<const int32_t *>(args->operands[4]);
    const float *slotWeights = static_cast<const float *>(args->operands[5]);
    const auto active = activeExperts(lists, experts, args->step->nTokens);
    const Range rows = rowsOf(args, n);
    const float *floats = static_cast<const float *>(args->operands[0]);
    const std::vector<uint8_t> own =
        quantizes ? quantizedRows(*format, floats, m * topK, k) : std::vector<uint8_t>();
    const void *quantized = quantizes ? own.data() : args->operands[1];
    if (!accumulate)
      for (int64_t t = 0; t < args->step->nTokens; ++t)
        for (int64_t row = rows.begin; row < rows.end; ++row)
          y[t * yStride + row] = 0;
    for (const ActiveExpert &expert : active) {
      const bool asPanel = usesPanels(*format, panels, static_cast<int64_t>(expert.slots.size()));
      for (int64_t slot : expert.slots)
        for (int64_t row = rows.begin; row < rows.end; ++row) {
          const int64_t weightRow = expert.id * expertRows + row;
          double value;
          if (types.isUsed) {
            value = gpuDot(types, {format, k}, gpuRow(types, {format, k}, args->operands[2], weightRow), floats,
                           slot * k);
          } else {
            std::vector<float> weights = matrixRow({format, k}, args->operands[2], weightRow, asPanel);
            value = ktTypeTakesF32Activations(format->id)
                        ? dot(weights, floats + slot * k)
                        : dot(weights, activationRow(*format, quantized, k, slot, asPanel).data());
          }
          if (bias)
            value += static_cast<const float *>(args->operands[6])[expert.id * n + row];
          float &out = y[slot / topK * yStride + row];
          out = static_cast<float>(out + (slotWeights ? slotWeights[slot] : 1.0f) * value);
        }
    }
  };
}

static KernelFn bindDownSlots(const Params &params) {
  const KtTypeInfo *format = &needFormat(params, "format");
  const int64_t n = needInt(params, "n"), k = needInt(params, "k", 1, maxRowElements);
  needWholeBlocks(*format, k);
  needInt(params, "m", 1, maxTokensPerReplay);
  const bool bias = flag(params, "bias");
  const int64_t experts = needInt(params, "experts", 1, maxExperts),
                expertRows = optionalInt(params, "expert_rows", n);
  needInt(params, "top_k", 1, experts);
  GpuTypes types = readGpuTypes(params);
  types.keepsIntegers = false;
  return [=](const KtKernelArgs *args) {
    float *z = static_cast<float *>(args->operands[3]);
    const float *biases = bias ? static_cast<const float *>(args->operands[6]) : nullptr;
    const Range rows = rowsOf(args, n);
    for (const ActiveExpert &expert :
         activeExperts(static_cast<const int32_t *>(args->operands[4]), experts, args->step->nTokens))
      for (int64_t slot : expert.slots)
        for (int64_t row = rows.begin; row < rows.end; ++row) {
          const Matrix matrix{format, k};
          const double value =
              gpuDot(types, matrix, gpuRow(types, matrix, args->operands[2], expert.id * expertRows + row),
                     args->operands[0], slot * k);
          z[slot * n + row] = static_cast<float>(value + (biases ? biases[expert.id * n + row] : 0));
        }
  };
}

static KernelFn bindSlotSum(const Params &params) {
  const int64_t n = needInt(params, "n"), topK = needInt(params, "top_k", 1, maxExperts);
  needInt(params, "m", 1, maxTokensPerReplay);
  const bool accumulate = flag(params, "accumulate");
  const int64_t yStride = optionalInt(params, "y_stride", n);
  return [=](const KtKernelArgs *args) {
    const float *z = static_cast<const float *>(args->operands[0]),
                *weights = static_cast<const float *>(args->operands[1]);
    float *y = static_cast<float *>(args->operands[2]);
    const Range rows = rowsOf(args, n);
    for (int64_t t = 0; t < args->step->nTokens; ++t)
      for (int64_t row = rows.begin; row < rows.end; ++row) {
        float &out = y[t * yStride + row];
        double sum = accumulate ? out : 0;
        for (int64_t slot = t * topK; slot < (t + 1) * topK; ++slot)
          sum += double(weights ? weights[slot] : 1.0f) * z[slot * n + row];
        out = static_cast<float>(sum);
      }
  };
}

const Family gateUpFamily = {"gate_up", bindGateUp};
const Family downFamily = {"down", bindDown};
const Family downSlotsFamily = {"down_slots", bindDownSlots};
const Family slotSumFamily = {"slot_sum", bindSlotSum};

} // namespace ktc::reference
