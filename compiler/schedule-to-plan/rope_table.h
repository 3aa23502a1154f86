// Rotary position tables: the numbers behind a `rope_table` constant.
#pragma once

#include "dialects/model/Model.h"

#include <cstdint>
#include <span>
#include <vector>

namespace ktc {

// Angle per position of each of the dims / 2 pairs. `factors` divides them one by one (the model's rope_freqs);
// it has dims / 2 elements or none.
std::vector<double> ropeFrequencies(model::RopeAttr rope, std::span<const float> factors);

// Rows [first, first + n) of the table, n = out.size() / (2 * frequencies.size()): cos and sin of
// position · frequency, times `magnitude`, as float32 pairs.
void ropeRows(std::span<const double> frequencies, double magnitude, uint64_t first, std::span<float> out);

} // namespace ktc
