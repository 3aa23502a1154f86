// Shows a placement: what runs where, with bytes, the deciding rule and the predicted rates.
#pragma once

#include "compiler/policy/cost.h"
#include "compiler/policy/match.h"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace ktc::policy {

// The table for people. Modules of different layers that agree in everything else are one row, with the layers
// folded into the path: `model.layers.{3-60}.mlp.experts`.
std::string explainText(std::span<const ModuleRef> modules, const PlacementTable &table, const Machine &machine,
                        const Prediction &prediction);

// The same for programs: `devices: [{name, bytes, budget}]` (budget null when unknown), `predicted:
// {decode_tokens_per_s, prefill_tokens_per_s, decode_bound, prefill_bound, steps: [{entry, tokens, seconds,
// seconds_per_position}], decode_families, prefill_families: {family: seconds}, …}`, `placement: [{path, op,
// device, prefill_device, format, bytes, rule}]` with one entry per operation.
nlohmann::json explainJson(std::span<const ModuleRef> modules, const PlacementTable &table,
                           const Machine &machine, const Prediction &prediction);

} // namespace ktc::policy
