// Parameters and kernel shapes of the matrix families: see matrix.h.
#include "templates/cuda/matrix.h"

#include "templates/cuda/kernels/layout.cuh"
#include "templates/specs.h"

#include <algorithm>

namespace ktc::cuda {

MatrixSpec readMatrix(const Params &params) {
  MatrixSpec spec;
  spec.n = needInt(params, "n");
  spec.k = needInt(params, "k", 1, maxRowElements);
  spec.m = needInt(params, "m", 1, maxTokensPerReplay);
  spec.dynamic = flag(params, "dynamic");
  spec.bias = flag(params, "bias");
  spec.xBfloat = isBfloat(params, "x_type");
  spec.yBfloat = isBfloat(params, "y_type");
  return spec;
}

ExpertsSpec readExperts(const Params &params) {
  ExpertsSpec spec;
  spec.dense = flag(params, "dense");
  if (!spec.dense) {
    spec.experts = needInt(params, "experts", 1, maxExperts);
    spec.topK = needInt(params, "top_k", 1, spec.experts);
  }
  return spec;
}

const KtTypeInfo &readFormat(const Params &params, std::string_view name, int64_t k) {
  const KtTypeInfo &format = needFormat(params, name);
  needWholeBlocks(format, k);
  return format;
}

int64_t commonAlignment(std::initializer_list<int64_t> bytes) {
  int64_t alignment = 16;
  for (int64_t count : bytes)
    while (count % alignment != 0)
      alignment /= 2;
  return alignment;
}

int64_t mostSharedBytes(Sm sm) {
  if (sm.number >= 90 && sm.number < 120)
    return 227 << 10;
  return sm.number == 80 ? 163 << 10 : 99 << 10;
}

static int64_t unitElements(const KtTypeInfo &format) { return format.blockElements == 256 ? 256 : 128; }

int64_t unitsOf(const KtTypeInfo &format, int64_t k) {
  return (k + unitElements(format) - 1) / unitElements(format);
}

int64_t streamStage(const KtTypeInfo &format, const MatrixSpec &spec, int64_t tiles) {
  const int64_t unitBytes = rowBytes(format, unitElements(format));
  const bool aligned = rowBytes(format, spec.k) % 16 == 0 && unitBytes % 16 == 0;
  const int slot = kt::streamSlotBytes(static_cast<int>(unitBytes), aligned);
  const int token = kt::streamTokenBytes(static_cast<int>(unitElements(format)), spec.xBfloat ? 2 : 4);
  return kt::streamStageBytes(static_cast<int>(tiles), slot, static_cast<int>(spec.m), token);
}

StreamShape chooseStream(Sm sm, int64_t stage, int64_t units, uint32_t mostWarps) {
  const int64_t budget = mostSharedBytes(sm) / 2 - 1024; // the driver keeps 1 KiB per block
  StreamShape best;
  for (uint32_t warps = mostWarps; warps >= 1; warps /= 2) {
    if (warps > 1 && warps > units)
      continue;
    const int64_t wanted = std::clamp<int64_t>((units + warps - 1) / warps + 1, 2, 5);
    const int64_t fitting = budget / (stage * warps);
    best = {warps, static_cast<uint32_t>(std::clamp<int64_t>(fitting, 2, wanted))};
    // Fewer warps with deeper rings are better than many that cannot look ahead.
    if (fitting >= std::min<int64_t>(wanted, 3))
      break;
  }
  return best;
}

} // namespace ktc::cuda
