// Instances of `linear` and of dense `down`, which is the same product: kernels/linear.cuh, linear_tile.cuh and
// linear_float.cuh.
#include "templates/cuda/linear.h"

#include "templates/cuda/kernels/layout.cuh"

#include <algorithm>

namespace ktc::cuda {

std::string layoutText(const LinearSpec &spec) {
  return (TemplateText("kt::LinearLayout")
          << spec.wBatchRows << spec.xStride << spec.xBatchStride << spec.yStride << spec.yBatchStride)
      .str();
}

static uint32_t ceilDiv(int64_t a, int64_t b) { return static_cast<uint32_t>((a + b - 1) / b); }

// Addresses of the rows of x are multiples of this many bytes.
static int64_t alignmentOf(const LinearSpec &spec) {
  const int64_t bytes = spec.matrix.xBfloat ? 2 : 4;
  return commonAlignment({spec.matrix.m > 1 ? spec.xStride * bytes : 0,
                          spec.batch > 1 ? spec.xBatchStride * bytes : 0, spec.matrix.k * bytes});
}

// What stands for the family among the parameters of a kernel: LinearOperands (kernels/linear.cuh).
static int partOf(bool isDown) { return isDown ? -1 : 0; }

static Instance floatInstance(const LinearSpec &spec, bool isDown) {
  const MatrixSpec &m = spec.matrix;
  const int64_t tokens = m.m == 1 ? 1 : m.m <= 4 ? 4 : 8;
  // Four elements at a time where rows of weights (4 bytes) and of x are aligned to them.
  const int64_t vector = m.k % 4 == 0 && alignmentOf(spec) >= (m.xBfloat ? 8 : 16) ? 4 : 1;
  TemplateText body("LinearFloat");
  body << m.n << m.k << m.m << m.dynamic << layoutText(spec) << m.xBfloat << m.yBfloat << m.bias
       << spec.accumulate << partOf(isDown) << tokens << vector;
  return {kernelSource("linear_float.cuh", body.str(), 128, tokens == 8 ? 2 : 4),
          {static_cast<uint32_t>(m.n), ceilDiv(m.m, tokens), static_cast<uint32_t>(spec.batch), 128, 0}};
}

int64_t rowTiles(const LinearSpec &spec) { return streamRowTiles(spec.matrix.n, spec.batch); }

std::string streamText(const LinearSpec &spec, int part, int64_t tiles, const StreamShape &shape) {
  const MatrixSpec &m = spec.matrix;
  TemplateText body("LinearStream");
  body << spec.format->id << m.n << m.k << m.m << layoutText(spec) << m.xBfloat << alignmentOf(spec)
       << m.yBfloat << m.bias << spec.accumulate << part << tiles << shape.warps << shape.stages;
  return body.str();
}

StreamText streamProduct(const LinearSpec &spec, int part, Sm sm) {
  const MatrixSpec &m = spec.matrix;
  const int64_t tiles = rowTiles(spec);
  const int64_t units = unitsOf(*spec.format, m.k), blocks = ceilDiv(m.n, tiles * 16) * spec.batch;
  StreamText result;
  result.shape = chooseStream(sm, streamNeed(*spec.format, m, tiles), {units, units, blocks, true});
  const StreamShape &shape = result.shape;
  const int64_t sums =
      kt::streamSumBytes(static_cast<int>(shape.warps), static_cast<int>(tiles), m.m > 8 ? 2 : 1);
  result.body = streamText(spec, part, tiles, shape);
  result.launch = {ceilDiv(m.n, tiles * 16), static_cast<uint32_t>(spec.batch), 1, shape.warps * 32,
                   static_cast<uint32_t>(std::max(shape.ringBytes, sums))};
  return result;
}

static Instance streamInstance(const LinearSpec &spec, bool isDown, Sm sm) {
  const StreamText stream = streamProduct(spec, partOf(isDown), sm);
  return {kernelSource("linear.cuh", stream.body, stream.launch.threads, stream.shape.blocksPerSm),
          stream.launch};
}

static Instance tileInstance(const LinearSpec &spec, bool isDown) {
  const MatrixSpec &m = spec.matrix;
  const int tokens = m.m > 64 ? 128 : 64;
  TemplateText body("LinearTile");
  body << spec.format->id << m.n << m.k << m.m << m.dynamic << layoutText(spec) << m.xBfloat
       << alignmentOf(spec) << m.yBfloat << m.bias << spec.accumulate << partOf(isDown) << tokens;
  return {kernelSource("linear_tile.cuh", body.str(), 256, 2),
          {ceilDiv(m.n, kt::tileRows), ceilDiv(m.m, tokens), static_cast<uint32_t>(spec.batch), 256,
           static_cast<uint32_t>(kt::tileBytes(tokens))}};
}

Instance makeProduct(const LinearSpec &spec, bool isDown, Sm sm) {
  if (spec.accumulate && spec.matrix.yBfloat)
    throw ParamError("parameter 'accumulate' needs y_type f32");
  if (spec.format->id == KT_TYPE_F32)
    return floatInstance(spec, isDown);
  return spec.matrix.streams() ? streamInstance(spec, isDown, sm) : tileInstance(spec, isDown);
}

LinearSpec readLinear(const Params &params) {
  LinearSpec spec;
  spec.matrix = readMatrix(params);
  const int64_t n = spec.matrix.n, k = spec.matrix.k;
  spec.format = &readFormat(params, "format", k);
  spec.batch = optionalInt(params, "batch", 1, 1, 65535);
  spec.wBatchRows = optionalInt(params, "w_batch_rows", n);
  spec.xStride = optionalInt(params, "x_stride", spec.batch * k);
  spec.xBatchStride = optionalInt(params, "x_batch_stride", k);
  spec.yStride = optionalInt(params, "y_stride", spec.batch * n);
  spec.yBatchStride = optionalInt(params, "y_batch_stride", n);
  spec.accumulate = flag(params, "accumulate");
  return spec;
}

static Instance makeLinear(const Params &params, Sm sm) { return makeProduct(readLinear(params), false, sm); }

const Family linearFamily = {"linear", makeLinear};

} // namespace ktc::cuda
