// See the header.
#include "test/templates/tools/param_text.h"

#include <charconv>

namespace ktc {

ParamValue parseParamValue(std::string_view text) {
  const char *end = text.data() + text.size();
  int64_t integer;
  if (auto result = std::from_chars(text.data(), end, integer); result.ec == std::errc() && result.ptr == end)
    return integer;
  double real;
  if (auto result = std::from_chars(text.data(), end, real); result.ec == std::errc() && result.ptr == end)
    return real;
  return std::string(text);
}

bool parseParam(std::string_view text, Params &params) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0)
    return false;
  params[std::string(text.substr(0, equals))] = parseParamValue(text.substr(equals + 1));
  return true;
}

} // namespace ktc
