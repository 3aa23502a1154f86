// Rotary position embedding: from the `rope.*` keys of a file to `#model.rope`.
#pragma once

#include "compiler/gguf-to-model/model_builder.h"

namespace ktc {

struct RopeParameters {
  model::RopeAttr attribute;
  // DeepSeek moves YaRN's magnitude correction into the attention scale: scores are multiplied by its square.
  // 1 without YaRN.
  double scoreMagnitude = 1;
};

// Reads the scaling keys for `dims` rotated elements. `style` is "norm" or "neox". Uses the divisors in the
// tensor `rope_freqs` (Llama 3) if the file has it. `wholePairs`: YaRN's correction range is widened to whole
// pairs, as in most models; files do not say. Errors: values out of range, kinds of scaling that are not
// supported.
RopeParameters readRope(ModelBuilder &model, llvm::StringRef style, int64_t dims, bool wholePairs = true);

} // namespace ktc
