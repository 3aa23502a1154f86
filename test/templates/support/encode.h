// Simple encoders into every weight format, so that kernel tests work on meaningful weights.
//
// Round to nearest with plain scale choice: good enough to check the quality bounds of tests, not meant for
// models.
#pragma once

#include "runtime/abi/kt_types.h"

#include <cstdint>
#include <vector>

namespace ktc::test {

// Encodes `values` (whole blocks) into GGUF type `type`.
std::vector<uint8_t> encode(uint32_t type, const std::vector<float> &values);

// Blocks with random bits in every field. Half-precision scales are drawn from small finite values, so that
// results are finite; everything else, including all integer extremes, is arbitrary.
std::vector<uint8_t> hostileBlocks(uint32_t type, size_t elements, uint32_t seed);

// Quantises rows of `k` floats into q8 or q8k rows as kt_abi.h defines them.
std::vector<uint8_t> encodeQ8(const std::vector<float> &values, size_t k);
std::vector<uint8_t> encodeQ8k(const std::vector<float> &values, size_t k);

} // namespace ktc::test
