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

StreamNeed streamNeed(const KtTypeInfo &format, const MatrixSpec &spec, int64_t tiles) {
  const int elements = static_cast<int>(unitElements(format));
  const int64_t unitBytes = rowBytes(format, elements);
  const bool aligned = rowBytes(format, spec.k) % 16 == 0 && unitBytes % 16 == 0;
  const int slot = kt::streamSlotBytes(static_cast<int>(unitBytes), aligned);
  const int token = kt::streamTokenBytes(elements, spec.xBfloat ? 2 : 4);
  StreamNeed need;
  need.stage = kt::streamStageBytes(static_cast<int>(tiles), slot, static_cast<int>(spec.m), token);
  if (const int64_t groups = groupsPerScale(format.id))
    need.scales = kt::streamScaleBytes(static_cast<int>(tiles), static_cast<int>(elements / 16 / groups));
  return need;
}

StreamNeed larger(const StreamNeed &a, const StreamNeed &b) {
  return {std::max(a.stage, b.stage), std::max(a.scales, b.scales)};
}

// Large GPUs have about as many.
static constexpr int64_t kSms = 132;

static int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Stages of a warp for which `bytes` of shared memory suffice, at most `units`: with all units in the ring of
// an early kernel each has its scales.
static int64_t fittingStages(const StreamNeed &need, const StreamWork &work, int64_t units, int64_t bytes) {
  if (work.early && bytes / (need.stage + need.scales) >= units)
    return units;
  const int64_t stages = (bytes - need.scales) / need.stage;
  return work.early && stages >= units ? std::max<int64_t>(units - 1, 2) : std::min(stages, units);
}

StreamShape chooseStream(Sm sm, const StreamNeed &need, const StreamWork &work) {
  const int64_t whole = mostSharedBytes(sm);
  const int64_t budget = whole / 2 - 1024; // the driver keeps 1 KiB per block
  StreamShape best;
  // Blocks that have an SM alone need twice as many warps to hide what each of them waits for.
  for (uint32_t warps = work.early && work.blocks != 0 && work.blocks <= kSms ? 16 : 8; warps >= 1;
       warps /= 2) {
    if (warps > 1 && warps > work.units)
      continue;
    const int64_t units = ceilDiv(work.units, warps), wanted = std::min<int64_t>(units, 5);
    const int64_t fitting = fittingStages(need, work, units, budget / warps);
    const int64_t stages = std::clamp<int64_t>(fitting, std::min<int64_t>(wanted, 2), wanted);
    const int64_t scales = work.early && ceilDiv(work.fewestUnits, warps) <= stages ? stages : 1;
    best = {warps, static_cast<uint32_t>(stages), warps * (stages * need.stage + scales * need.scales), 2};
    // Enough bytes must be under way; where they are, more warps are better than deeper rings.
    const bool looksAhead = fitting >= std::min<int64_t>(wanted, 3);
    if (looksAhead || (fitting == 2 && warps * need.stage >= int64_t(20) << 10))
      break;
  }
  if (best.warps > 8)
    best.blocksPerSm = 1;
  else if (work.blocks > 2 * kSms && work.blocks <= 3 * kSms && 3 * (best.ringBytes + 1024) <= whole)
    best.blocksPerSm = 3;
  return best;
}

} // namespace ktc::cuda
