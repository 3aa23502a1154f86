// References of `linear` and `embed`.
#include "templates/param_check.h"
#include "templates/reference/families.h"
#include "templates/reference/matrix.h"
#include "templates/reference/panel.h"

#include <algorithm>

namespace ktc::reference {

static KernelFn bindLinear(const Params &params) {
  const KtTypeInfo &format = needFormat(params, "format");
  const int64_t n = needInt(params, "n"), k = needInt(params, "k", 1, maxRowElements);
  needWholeBlocks(format, k);
  needInt(params, "m", 1, maxTokensPerReplay);
  flag(params, "prefetch");
  flag(params, "exact");
  const int64_t batch = optionalInt(params, "batch", 1, 1, maxBatch),
                batchRows = optionalInt(params, "w_batch_rows", n);
  const int64_t xStride = optionalInt(params, "x_stride", batch * k);
  const int64_t xBatchStride = optionalInt(params, "x_batch_stride", k);
  const int64_t yStride = optionalInt(params, "y_stride", batch * n);
  const int64_t yBatchStride = optionalInt(params, "y_batch_stride", n);
  const int64_t panels = optionalInt(params, "panels", 0, 0);
  const bool bias = flag(params, "bias"), accumulate = flag(params, "accumulate");
  GpuTypes types = readGpuTypes(params);
  types.keepsFloat = true;
  return [=, format = &format](const KtKernelArgs *args) {
    const Matrix matrix{format, k};
    float *y = static_cast<float *>(args->operands[2]);
    const bool asPanel = usesPanels(*format, panels, args->step->nTokens);
    const float *biases = bias ? static_cast<const float *>(args->operands[3]) : nullptr;
    for (int64_t unit = args->unitBegin; unit < args->unitEnd; ++unit) {
      int64_t b = unit / unitsOf(n), first = unit % unitsOf(n) * KT_ROWS_PER_UNIT;
      for (int64_t row = first; row < std::min<int64_t>(first + KT_ROWS_PER_UNIT, n); ++row) {
        const int64_t weightRow = b * batchRows + row;
        std::vector<float> weights = types.isUsed ? gpuRow(types, matrix, args->operands[1], weightRow)
                                                  : matrixRow(matrix, args->operands[1], weightRow, asPanel);
        for (int64_t t = 0; t < args->step->nTokens; ++t) {
          const int64_t x = t * xStride + b * xBatchStride, at = t * yStride + b * yBatchStride + row;
          double value = 0;
          if (types.isUsed)
            value = gpuDot(types, matrix, weights, args->operands[0], x);
          else if (ktTypeTakesF32Activations(format->id))
            value = dot(weights, static_cast<const float *>(args->operands[0]) + x);
          else
            value = dot(weights, activationRow(*format, args->operands[0], k, t * batch + b, asPanel).data());
          value += (biases ? biases[b * n + row] : 0) + (accumulate ? y[at] : 0);
          storeResult(types, y, at, value);
        }
      }
    }
  };
}

// The products one after the other.
static KernelFn bindLinearGroup(const Params &params) {
  std::vector<std::pair<KernelFn, int64_t>> parts; // with units
  for (const Params &part : linearParts(params))
    parts.push_back({bindLinear(part), unitsOf(needInt(part, "n"))});
  if (parts.size() < 2)
    throw ParamError("a group has at least 2 parts, found " + std::to_string(parts.size()));
  return [parts](const KtKernelArgs *args) {
    int64_t first = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      void *operands[4] = {args->operands[0]};
      std::copy_n(args->operands + 1 + 3 * i, 3, operands + 1);
      KtKernelArgs one = *args;
      one.operands = operands;
      const auto [run, units] = parts[i];
      one.unitBegin = std::clamp<int64_t>(int64_t(args->unitBegin) - first, 0, units);
      one.unitEnd = std::clamp<int64_t>(int64_t(args->unitEnd) - first, 0, units);
      run(&one);
      first += units;
    }
  };
}

static KernelFn bindEmbed(const Params &params) {
  const KtTypeInfo &format = needFormat(params, "format");
  const int64_t k = needInt(params, "k", 1, maxRowElements);
  needInt(params, "vocab");
  needInt(params, "m", 1, maxTokensPerReplay);
  needWholeBlocks(format, k);
  const int64_t yStride = optionalInt(params, "y_stride", k);
  return [=, format = &format](const KtKernelArgs *args) {
    const int32_t *tokens = static_cast<const int32_t *>(args->operands[0]);
    for (int64_t t = args->unitBegin; t < args->unitEnd; ++t) {
      std::vector<float> row = dequantizedRow(Matrix{format, k}, args->operands[1], tokens[t]);
      std::copy(row.begin(), row.end(), static_cast<float *>(args->operands[2]) + t * yStride);
    }
  };
}

const Family linearFamily = {"linear", bindLinear};
const Family linearGroupFamily = {"linear_group", bindLinearGroup};
const Family embedFamily = {"embed", bindEmbed};

} // namespace ktc::reference
