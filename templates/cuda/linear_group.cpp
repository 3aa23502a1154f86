// Instances of `linear_group`: kernels/linear_group.cuh.
#include "templates/cuda/linear.h"

#include "templates/cuda/kernels/layout.cuh"

#include <algorithm>

namespace ktc::cuda {
namespace {

constexpr size_t kMostParts = 4;

struct Part {
  LinearSpec spec;
  int number; // among the operands
  int64_t tiles, blocks;
  // Bytes of weights that a block reads.
  int64_t blockBytes() const { return tiles * 16 * rowBytes(*spec.format, spec.matrix.k); }
};

Part readPart(const Params &params, size_t number) {
  Part part{readLinear(params), static_cast<int>(number), 1, 1};
  const MatrixSpec &matrix = part.spec.matrix;
  if (part.spec.accumulate && matrix.yBfloat)
    throw ParamError("parameter 'accumulate' needs y_type f32");
  if (!matrix.streams() || part.spec.format->id == KT_TYPE_F32 || part.spec.batch != 1)
    throw ParamError("part " + std::to_string(number) + " must be a static product of at most " +
                     std::to_string(mostStreamTokens) +
                     " tokens without batches, with weights of another format than f32");
  part.tiles = rowTiles(part.spec);
  part.blocks = (matrix.n + part.tiles * 16 - 1) / (part.tiles * 16);
  return part;
}

Instance makeLinearGroup(const Params &params, Sm sm) {
  std::vector<Part> parts;
  for (const Params &part : linearParts(params))
    parts.push_back(readPart(part, parts.size()));
  if (parts.size() < 2 || parts.size() > kMostParts)
    throw ParamError("a group has 2 to " + std::to_string(kMostParts) + " parts, found " +
                     std::to_string(parts.size()));
  // All blocks are alike: each part fits into what the largest needs.
  StreamNeed need;
  StreamWork work = {1, maxRowElements, 0, true};
  for (const Part &part : parts) {
    need = larger(need, streamNeed(*part.spec.format, part.spec.matrix, part.tiles));
    const int64_t units = unitsOf(*part.spec.format, part.spec.matrix.k);
    work.units = std::max(work.units, units);
    work.fewestUnits = std::min(work.fewestUnits, units);
    work.blocks += part.blocks;
  }
  const StreamShape shape = chooseStream(sm, need, work);
  // Blocks that take long start first, so that the short ones fill what is left at the end.
  std::stable_sort(parts.begin(), parts.end(),
                   [](const Part &a, const Part &b) { return a.blockBytes() > b.blockBytes(); });
  TemplateText body("LinearGroup");
  int64_t shared = shape.ringBytes;
  for (const Part &part : parts) {
    TemplateText item("kt::GroupPart");
    item << part.blocks << "kt::" + streamText(part.spec, part.number, part.tiles, shape);
    body << item.str();
    shared = std::max<int64_t>(shared,
                               kt::streamSumBytes(static_cast<int>(shape.warps), static_cast<int>(part.tiles),
                                                  part.spec.matrix.m > 8 ? 2 : 1));
  }
  return {kernelSource("linear_group.cuh", body.str(), shape.warps * 32, shape.blocksPerSm),
          {static_cast<uint32_t>(work.blocks), 1, 1, shape.warps * 32, static_cast<uint32_t>(shared)}};
}

} // namespace

const Family linearGroupFamily = {"linear_group", makeLinearGroup};

} // namespace ktc::cuda
