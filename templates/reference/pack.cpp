// Reference of family `pack`: quantised rows, sixteen side by side (templates/x64/matrix/panel_layout.h).
#include "templates/reference/families.h"
#include "templates/reference/panel.h"
#include "templates/specs.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace ktc::reference {

namespace {

// One row of a block: its bytes four by four, its scale and its sum of every span.
void packRow(const PackSpec &spec, const void *rows, int64_t row, int64_t lane, uint8_t *block,
             int64_t spanStep) {
  const uint8_t *source =
      static_cast<const uint8_t *>(rows) + static_cast<size_t>(row) * quantizedRowBytes(spec.k, spec.group);
  std::vector<int8_t> q(source, source + spec.k);
  std::vector<float> scales;
  if (spec.group == 32) {
    panelActivationBytes(rows, spec.k, row, q, scales);
  } else {
    scales.resize(static_cast<size_t>(spec.k) / 256);
    std::memcpy(scales.data(), source + ktQ8kScaleOffset(static_cast<size_t>(spec.k)), 4 * scales.size());
  }
  q.resize((q.size() + 255) / 256 * 256);
  for (size_t span = 0; span < scales.size(); ++span, block += spanStep) {
    const int8_t *from = q.data() + 256 * span;
    for (int64_t quad = 0; quad < 64; ++quad)
      std::memcpy(block + quad * 64 + lane * 4, from + quad * 4, 4);
    std::memcpy(block + 4096 + lane * 4, &scales[span], 4);
    const int32_t sum = -128 * std::accumulate(from, from + 256, int32_t(0));
    std::memcpy(block + 4160 + lane * 4, &sum, 4);
  }
}

// `count` rows from block `block` on; lanes without a row repeat the last one.
void packRun(const PackSpec &spec, const KtKernelArgs *args, const int32_t *slots, int64_t count,
             int64_t block) {
  uint8_t *to = static_cast<uint8_t *>(args->operands[1]) + block * packedBlockBytes(spec.k);
  const int64_t blocks = (count + packedRows - 1) / packedRows;
  for (int64_t i = 0; i < blocks * packedRows; ++i) {
    const int64_t position = std::min(i, count - 1), row = slots ? slots[position] : position;
    packRow(spec, args->operands[0], row, i % packedRows, to + i / packedRows * packedSpanBytes,
            blocks * packedSpanBytes);
  }
}

} // namespace

// Packs everything, whatever the units: the runs that kernels leave out are nobody's.
static KernelFn makePack(const Params &params) {
  return [spec = readPack(params)](const KtKernelArgs *args) {
    if (spec.experts == 0) {
      packRun(spec, args, nullptr, spec.dynamic ? args->step->nTokens : spec.m, 0);
      return;
    }
    const int32_t *lists = static_cast<const int32_t *>(args->operands[2]);
    const int32_t *start = lists + ktExpertListStart(static_cast<size_t>(spec.experts));
    const int32_t *slots = lists + ktExpertListSlots(static_cast<size_t>(spec.experts));
    int64_t block = 0;
    for (int32_t i = 0; i < lists[0]; ++i) {
      const int64_t count = start[i + 1] - start[i];
      packRun(spec, args, slots + start[i], count, block);
      block += (count + packedRows - 1) / packedRows;
    }
  };
}

const Family packFamily = {"pack", makePack};

} // namespace ktc::reference
