// Parameters of kernels as people write them: `name=value`.
#pragma once

#include "templates/params.h"

#include <string>
#include <string_view>

namespace ktc {

// Integers and reals are recognised by their spelling; everything else is a string.
ParamValue parseParamValue(std::string_view text);

// Adds `name=value` to `params`; false if there is no `=` or no name.
bool parseParam(std::string_view text, Params &params);

} // namespace ktc
