// See prediction.h.
#include "runtime/api/prediction.h"

#include <algorithm>
#include <string_view>

namespace ktrt::api {

namespace {

using Steps = flatbuffers::Vector<flatbuffers::Offset<plan::PredictedStep>>;

// Seconds of an entry whose name begins with `prefix`, by token count; straight lines between what is
// predicted, and the nearest prediction outside of it. 0 if there is none. Reading takes `slowness` times as
// long as predicted.
double secondsOf(const Steps &steps, std::string_view prefix, uint32_t tokens, double past,
                 double slowness = 1) {
  const plan::PredictedStep *below = nullptr, *above = nullptr;
  for (const plan::PredictedStep *step : steps) {
    if (!step->entry() || !std::string_view(step->entry()->c_str()).starts_with(prefix))
      continue;
    if (step->tokens() <= tokens && (!below || step->tokens() > below->tokens()))
      below = step;
    if (step->tokens() >= tokens && (!above || step->tokens() < above->tokens()))
      above = step;
  }
  auto at = [&](const plan::PredictedStep *step) {
    return step->seconds() + step->reading_seconds() * (slowness - 1) + step->seconds_per_position() * past;
  };
  if (!below || !above)
    return below ? at(below) : above ? at(above) : 0;
  double share =
      above == below ? 0 : double(tokens - below->tokens()) / double(above->tokens() - below->tokens());
  return at(below) + share * (at(above) - at(below));
}

const Steps *stepsOf(const plan::Plan &plan) {
  return plan.provenance() ? plan.provenance()->predicted_steps() : nullptr;
}

} // namespace

double predictedDecode(const plan::Plan &plan, uint32_t tokens, double past, double readBandwidth) {
  const Steps *steps = stepsOf(plan);
  if (!steps)
    return 0;
  const double assumed = plan.provenance()->read_bandwidth();
  const double slowness = assumed > 0 && readBandwidth > 0 ? assumed / readBandwidth : 1;
  return secondsOf(*steps, "decode_", tokens, past, slowness);
}

double predictedPrompt(const plan::Plan &plan, uint32_t tokens, uint32_t chunk, uint32_t past) {
  const Steps *steps = stepsOf(plan);
  if (!steps || !chunk)
    return 0;
  double seconds = secondsOf(*steps, "head", 1, 0);
  for (uint32_t done = 0; done < tokens; done += std::min(chunk, tokens - done))
    seconds += secondsOf(*steps, "prefill", std::min(chunk, tokens - done), past + done);
  return seconds;
}

} // namespace ktrt::api
