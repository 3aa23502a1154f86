// readRope: see the header.
//
// YaRN multiplies cos and sin by 1 + 0.1 ln(factor). DeepSeek's models instead scale the attention scores by
// m², m = 1 + 0.1 · mscale_all_dim · ln(factor); cos and sin then keep magnitude 1, because its two mscale
// values are equal in every model. Their files store 0.1 · mscale_all_dim as `yarn_log_multiplier`, those of
// other architectures mscale_all_dim itself, with the quotient of both corrections as magnitude.
#include "compiler/gguf-to-model/rope.h"

#include <algorithm>
#include <cmath>

using namespace mlir;

namespace ktc {

namespace {

// YaRN's correction for a multiplier; none when the context is not extended.
double correction(double factor, double multiplier) {
  return factor <= 1 ? 1 : 1 + 0.1 * multiplier * std::log(factor);
}

struct Scaling {
  std::string kind = "none";
  double factor = 1;
  int64_t originalContext = 0;
  double betaFast = 32, betaSlow = 1;
  double magnitude = 1;
  double scoreMagnitude = 1;
};

void readYarn(ModelKeys &keys, int64_t context, Scaling &scaling) {
  scaling.originalContext = keys.integerOr("rope.scaling.original_context_length", context, 1, limit::context);
  scaling.betaFast = keys.realOr("rope.scaling.yarn_beta_fast", 32, true);
  scaling.betaSlow = keys.realOr("rope.scaling.yarn_beta_slow", 1, true);
  if (!(scaling.betaFast >= scaling.betaSlow))
    keys.fail("metadata key '" + keys.architecture() +
              ".rope.scaling.yarn_beta_fast': expected a number not below yarn_beta_slow, found " +
              std::to_string(scaling.betaFast));
  for (const char *key : {"rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor"})
    if (double value = keys.realOr(key, 1); value != 1)
      keys.fail("metadata key '" + keys.architecture() + "." + key + "': expected 1, found " +
                std::to_string(value));
  double multiplier = keys.realOr("rope.scaling.yarn_log_multiplier", 0);
  if (multiplier < 0)
    keys.fail("metadata key '" + keys.architecture() +
              ".rope.scaling.yarn_log_multiplier': expected a number not below 0, found " +
              std::to_string(multiplier));
  if (multiplier == 0)
    scaling.magnitude = correction(scaling.factor, 1);
  else if (keys.architecture() == "deepseek2")
    scaling.scoreMagnitude = correction(scaling.factor, multiplier / 0.1);
  else
    scaling.magnitude = correction(scaling.factor, 1) / correction(scaling.factor, multiplier);
  scaling.magnitude *= keys.realOr("rope.scaling.attn_factor", 1, true);
}

Scaling readScaling(ModelKeys &keys, int64_t context) {
  Scaling scaling;
  // Old files have only a factor, under either name, and mean linear interpolation; 0 stands for "none".
  double factor = keys.realOr("rope.scaling.factor", keys.realOr("rope.scale_linear", 1));
  scaling.kind = keys.textOr("rope.scaling.type", factor == 0 || factor == 1 ? "none" : "linear");
  if (scaling.kind == "none" || factor == 0) {
    scaling.kind = "none";
    return scaling;
  }
  scaling.factor = factor;
  if (!(factor > 0))
    keys.fail("metadata key '" + keys.architecture() +
              ".rope.scaling.factor': expected a number above 0, found " + std::to_string(factor));
  if (scaling.kind == "yarn")
    readYarn(keys, context, scaling);
  else if (scaling.kind != "linear")
    keys.fail("metadata key '" + keys.architecture() +
              ".rope.scaling.type': expected none, linear or yarn, found '" + scaling.kind + "'");
  return scaling;
}

} // namespace

RopeParameters readRope(ModelBuilder &model, StringRef style, int64_t dims, bool wholePairs) {
  ModelKeys &keys = model.keys;
  double base = keys.realOr("rope.freq_base", 1e4, true);
  Scaling scaling = readScaling(keys, model.common.context);
  if (dims <= 0 || dims % 2)
    keys.fail("metadata key '" + keys.architecture() +
              ".rope.dimension_count': expected an even number of rotated elements, found " +
              std::to_string(dims));
  FlatSymbolRefAttr factors = model.optionalF32Weight("rope_freqs.weight", {std::max<int64_t>(dims / 2, 1)});
  RopeParameters rope;
  rope.scoreMagnitude = scaling.scoreMagnitude;
  if (keys.failed())
    return rope;
  // Should the attribute's own checks refuse what passed ours, the error is a diagnostic and the attribute
  // null.
  auto emitError = [&] { return mlir::emitError(model.builder.getUnknownLoc()); };
  using model::Real;
  rope.attribute = model::RopeAttr::getChecked(
      emitError, model.builder.getContext(), style, dims, Real(base), StringRef(scaling.kind),
      Real(scaling.factor), scaling.originalContext, Real(scaling.betaFast), Real(scaling.betaSlow),
      Real(scaling.magnitude), wholePairs, factors);
  return rope;
}

} // namespace ktc
