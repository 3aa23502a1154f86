// float32 rows to the few weight formats that the compiler itself writes.
#pragma once

#include "runtime/abi/kt_types.h"

#include <cstddef>
#include <cstdint>

namespace ktc {

// True for the formats of quantizeRow: F32, F16, BF16 and Q8_0.
bool canQuantize(uint32_t type);

// Writes `count` elements (whole blocks) as GGUF type `type`, rounding to nearest: 16-bit floats to even; Q8_0
// with d = max|x| / 127 per block of 32, ties away from zero, as in the files that other tools write.
void quantizeRow(uint32_t type, const float *source, void *destination, size_t count);

} // namespace ktc
