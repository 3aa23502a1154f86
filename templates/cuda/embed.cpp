// Instances of `embed`: see kernels/embed.cuh.
#include "templates/cuda/matrix.h"

#include <algorithm>

namespace ktc::cuda {

static Instance makeEmbed(const Params &params, Sm) {
  const int64_t k = needInt(params, "k", 1, maxRowElements), m = needInt(params, "m", 1, maxTokensPerReplay);
  const KtTypeInfo &format = readFormat(params, "format", k);
  TemplateText body("Embed");
  body << format.id << k << needInt(params, "vocab") << m << flag(params, "dynamic")
       << optionalInt(params, "y_stride", k);
  const uint32_t threads = static_cast<uint32_t>(std::clamp<int64_t>((k + 511) / 512 * 32, 32, 256));
  return {kernelSource("embed.cuh", body.str(), threads), {static_cast<uint32_t>(m), 1, 1, threads, 0}};
}

const Family embedFamily = {"embed", makeEmbed};

} // namespace ktc::cuda
