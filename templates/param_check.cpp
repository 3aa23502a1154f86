// Checked reading of kernel parameters: see param_check.h.
#include "templates/param_check.h"

#include <cmath>

namespace ktc {

static std::string quoted(std::string_view name) { return "parameter '" + std::string(name) + "'"; }

static int64_t inRange(std::string_view name, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high)
    throw ParamError(quoted(name) + " must be in " + std::to_string(low) + ".." + std::to_string(high) +
                     ", found " + std::to_string(value));
  return value;
}

int64_t needInt(const Params &params, std::string_view name, int64_t low, int64_t high) {
  auto it = params.find(name);
  if (it == params.end())
    throw ParamError(quoted(name) + " is missing");
  if (!std::holds_alternative<int64_t>(it->second))
    throw ParamError(quoted(name) + " must be an integer");
  return inRange(name, std::get<int64_t>(it->second), low, high);
}

int64_t optionalInt(const Params &params, std::string_view name, int64_t fallback, int64_t low, int64_t high) {
  return params.find(name) == params.end() ? fallback : needInt(params, name, low, high);
}

bool flag(const Params &params, std::string_view name) { return optionalInt(params, name, 0, 0, 1) != 0; }

double needReal(const Params &params, std::string_view name) {
  double value = realParam(params, name, std::nan(""));
  if (!std::isfinite(value))
    throw ParamError(quoted(name) + " must be a finite real number");
  return value;
}

const KtTypeInfo &needFormat(const Params &params, std::string_view name) {
  std::string value = stringParam(params, name, "");
  if (const KtTypeInfo *format = ktTypeInfoNamed(value.data(), value.size()); format && format->supported)
    return *format;
  throw ParamError(quoted(name) + " is not a weight format that kernels exist for: '" + value + "'");
}

void needWholeBlocks(const KtTypeInfo &format, int64_t k) {
  if (k % format.blockElements != 0)
    throw ParamError("parameter 'k' must be a multiple of " + std::to_string(format.blockElements) + " for " +
                     format.name + ", found " + std::to_string(k));
}

} // namespace ktc
