// Checked reading of kernel parameters, shared by the generators and the references.
//
// Both read the same parameters by the same rules; generators also refuse strides whose byte size needs more
// than 31 bits. Checks throw ParamError, which never leaves x64::generate() and reference::find(): they turn it
// into a kt::Error.
#pragma once

#include "runtime/abi/kt_abi.h"
#include "templates/params.h"

#include <stdexcept>
#include <string>
#include <string_view>

namespace ktc {

// A missing or unusable parameter; what() names the parameter, what was expected and what was found.
struct ParamError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Largest size any dimension, stride or count may have: products with element sizes stay far below 2^63.
constexpr int64_t maxDimension = int64_t(1) << 30;
// Largest row of a weight matrix, most tokens of a replay, most experts and batches: generated code keeps
// offsets within four rows, and strides, in 32-bit immediates.
constexpr int64_t maxRowElements = int64_t(1) << 22;
constexpr int64_t maxTokensPerReplay = int64_t(1) << 20;
constexpr int64_t maxExperts = int64_t(1) << 16, maxBatch = int64_t(1) << 16;

// Returns integer params[name], which must be present and lie in [low, high].
int64_t needInt(const Params &params, std::string_view name, int64_t low = 1, int64_t high = maxDimension);
// Returns integer params[name], or `fallback` when absent; the result must lie in [low, high].
int64_t optionalInt(const Params &params, std::string_view name, int64_t fallback, int64_t low = 0,
                    int64_t high = maxDimension);
// Returns the boolean params[name] (0/1), false when absent.
bool flag(const Params &params, std::string_view name);
// Returns real params[name], which must be present and finite.
double needReal(const Params &params, std::string_view name);
// Returns the index of string params[name] in `choices`; it must be one of them.
template <size_t N>
size_t needChoice(const Params &params, std::string_view name, const std::string_view (&choices)[N]) {
  std::string value = stringParam(params, name, "");
  for (size_t i = 0; i < N; ++i)
    if (value == choices[i])
      return i;
  throw ParamError("parameter '" + std::string(name) + "' has the unknown value '" + value + "'");
}
// Returns the traits of the weight format named by params[name]; kernels must exist for it.
const KtTypeInfo &needFormat(const Params &params, std::string_view name);
// Throws unless rows of `k` elements exist in `format` (whole blocks).
void needWholeBlocks(const KtTypeInfo &format, int64_t k);

// Bytes of one row of `k` elements (whole blocks).
inline int64_t rowBytes(const KtTypeInfo &format, int64_t k) {
  return k / format.blockElements * format.blockBytes;
}

} // namespace ktc
