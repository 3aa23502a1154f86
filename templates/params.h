// Parameters of a kernel: a small ordered map of names to integers, reals and strings.
//
// Plain data without MLIR, so that generators and references can be used and tested alone. Ordered, so that the
// printed form is canonical and can serve as the kernel's name.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace ktc {

using ParamValue = std::variant<int64_t, double, std::string>;
using Params = std::map<std::string, ParamValue, std::less<>>;

// Returns params[name], or `fallback` when the name is absent. A value of another kind counts as absent.
int64_t intParam(const Params &params, std::string_view name, int64_t fallback);
double realParam(const Params &params, std::string_view name, double fallback);
std::string stringParam(const Params &params, std::string_view name, std::string_view fallback);

// The parameters of the parts of `linear_group`: names without a digit at their end belong to all parts, name0,
// name1, … to one each, under `name`. As many parts as there are format0, format1, … without a gap.
std::vector<Params> linearParts(const Params &params);

// Canonical name: family, then name=value in map order, e.g. "linear_format=q4_k_k=7168_m=1_n=2048".
std::string kernelName(std::string_view family, const Params &params);

} // namespace ktc
