// Instances of `rms_norm` and `quantize`: see kernels/rms_norm.cuh.
#include "templates/cuda/row_families.h"
#include "templates/param_check.h"

#include <algorithm>

namespace ktc::cuda {
namespace {

constexpr int64_t laneElements = 8;          // of a row that a lane holds at a time
constexpr int64_t maxRowElements = 4 * 8192; // in the registers of a block
constexpr int64_t maxBlocks = 0x7fffffff;

// Threads that hold a row in as few passes as a block allows.
uint32_t rowThreads(int64_t k) {
  const int64_t lanes = (k + laneElements - 1) / laneElements;
  const int64_t passes = (lanes + 1023) / 1024;
  return static_cast<uint32_t>(((lanes + passes - 1) / passes + 31) / 32 * 32);
}

bool isAligned(const RowLayout &layout) { return layout.stride % 8 == 0 && layout.rowStride % 8 == 0; }

std::string rowShape(int64_t k, uint32_t threads, int64_t group, bool vector) {
  return typeName("RowShape", {k, int64_t(threads), group, vector});
}

// A block per row.
Launch rowLaunch(int64_t m, int64_t rows, uint32_t threads) {
  if (m > maxBlocks / rows)
    throw ParamError("parameter 'm' times 'rows' must be at most " + std::to_string(maxBlocks));
  return {static_cast<uint32_t>(m * rows), 1, 1, threads, 0};
}

void checkRow(int64_t k) {
  if (k > maxRowElements)
    throw ParamError("parameter 'k' must be at most " + std::to_string(maxRowElements) + " on a GPU, found " +
                     std::to_string(k));
}

// With `products`: blocks that multiply have as many threads as those of the rows.
Instance makeNormProducts(const RmsNormSpec &spec, const std::string &norm, int64_t m, uint32_t threads) {
  if (spec.k > mostNormProductElements || m > mostStreamTokens)
    throw ParamError("parameter 'products' needs k of at most " + std::to_string(mostNormProductElements) +
                     " and m of at most " + std::to_string(mostStreamTokens) + ", found " +
                     std::to_string(spec.k) + " and " + std::to_string(m));
  const int64_t tokens = std::min<int64_t>(m, 4), groups = (m + tokens - 1) / tokens;
  const std::string body = typeName(
      "NormProducts", {norm, spec.products, spec.k, spec.eps, rowPlaces(spec.x), int64_t(threads), tokens, m});
  return {
      kernelSource("norm_products.cuh", body, threads, 2),
      {static_cast<uint32_t>(m + spec.products * groups), 1, 1, threads, static_cast<uint32_t>(spec.k * 4)}};
}

Instance makeRmsNorm(const Params &params, Sm) {
  const RmsNormSpec spec = readRmsNorm(params);
  const int64_t m = optionalInt(params, "m", 1, 1, maxTokensPerReplay);
  checkRow(spec.k);
  constexpr uint32_t productThreads = 256;
  const uint32_t threads =
      spec.products > 0 ? std::min(rowThreads(spec.k), productThreads) : rowThreads(spec.k);
  const bool vector = spec.k % laneElements == 0 && isAligned(spec.x) && isAligned(spec.y);
  const std::string body =
      typeName("RmsNorm",
               {rowShape(spec.k, threads, spec.group, vector), spec.eps, spec.x.rows, rowPlaces(spec.x),
                rowPlaces(spec.y), spec.useRowOffset, spec.adds, spec.sigmoidGate, flag(params, "dynamic"), m});
  if (spec.products > 0 && !vector)
    throw ParamError("parameter 'products' needs k and strides that are multiples of " +
                     std::to_string(laneElements));
  if (spec.products > 0)
    return makeNormProducts(spec, body, m, threads);
  return {kernelSource("rms_norm.cuh", body, threads), rowLaunch(m, spec.x.rows, threads)};
}

Instance makeQuantize(const Params &params, Sm) {
  const QuantizeSpec spec = readQuantize(params);
  const int64_t m = optionalInt(params, "m", 1, 1, maxTokensPerReplay);
  const uint32_t threads = rowThreads(std::min(spec.k, maxRowElements));
  const std::string body = typeName("Quantize", {rowShape(spec.k, threads, spec.group, isAligned(spec.x)),
                                                 spec.x.rows, rowPlaces(spec.x), flag(params, "dynamic"), m});
  return {kernelSource("rms_norm.cuh", body, threads), rowLaunch(m, spec.x.rows, threads)};
}

} // namespace

const Family rmsNormFamily = {"rms_norm", makeRmsNorm};
const Family quantizeFamily = {"quantize", makeQuantize};

} // namespace ktc::cuda
