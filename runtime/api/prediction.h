// What the compiler predicted, looked up for a given measurement.
#pragma once

#include "runtime/plan/reader.h"

#include <cstdint>

namespace ktrt::api {

// Seconds that decoding one step of `tokens` tokens, or evaluating a prompt of `tokens` tokens in chunks of
// `chunk`, takes after `past` cached positions, according to the plan; 0 if the plan does not say. Token counts
// between predicted ones are interpolated. With a `readBandwidth` (bytes/s of the CPU's memory) the prediction
// is for memory as fast as that, otherwise for memory as it was when the machine was described.
double predictedDecode(const plan::Plan &plan, uint32_t tokens, double past, double readBandwidth = 0);
double predictedPrompt(const plan::Plan &plan, uint32_t tokens, uint32_t chunk, uint32_t past);

} // namespace ktrt::api
