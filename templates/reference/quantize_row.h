// Quantises activation rows, for the families that write them and for `down`, which may make its own.
//
// The formula is the definition that generated code reproduces byte for byte, so its order of operations
// matters: one division for the block's scale, one for its inverse, a multiplication per element.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ktc::reference {

// Quantises k floats (whole groups) into the q8 (group 32) or q8k (group 256) row at `row` (kt_abi.h).
void quantizeRow(const float *x, size_t k, size_t group, uint8_t *row);

} // namespace ktc::reference
