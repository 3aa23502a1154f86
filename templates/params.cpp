// Access to kernel parameters and the canonical kernel name.
#include "templates/params.h"

#include <cstdio>

namespace ktc {

template <typename T> static T valueOr(const Params &params, std::string_view name, T fallback) {
  auto it = params.find(name);
  if (it == params.end())
    return fallback;
  const T *value = std::get_if<T>(&it->second);
  return value ? *value : fallback;
}

int64_t intParam(const Params &params, std::string_view name, int64_t fallback) {
  return valueOr<int64_t>(params, name, fallback);
}

// An integer is accepted where a real is asked for: `scale=1` and `scale=1.0` mean the same.
double realParam(const Params &params, std::string_view name, double fallback) {
  auto it = params.find(name);
  if (it != params.end())
    if (const int64_t *value = std::get_if<int64_t>(&it->second))
      return static_cast<double>(*value);
  return valueOr<double>(params, name, fallback);
}

std::string stringParam(const Params &params, std::string_view name, std::string_view fallback) {
  return valueOr<std::string>(params, name, std::string(fallback));
}

std::vector<Params> linearParts(const Params &params) {
  std::vector<Params> parts;
  for (char digit = '0'; params.count("format" + std::string(1, digit)) != 0; ++digit) {
    Params part;
    for (const auto &[name, value] : params) {
      const bool isNumbered = name.back() >= '0' && name.back() <= '9';
      if (!isNumbered)
        part.insert({name, value});
      else if (name.back() == digit)
        part.insert({name.substr(0, name.size() - 1), value});
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

static std::string printed(const ParamValue &value) {
  if (const int64_t *integer = std::get_if<int64_t>(&value))
    return std::to_string(*integer);
  if (const std::string *text = std::get_if<std::string>(&value))
    return *text;
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%.9g", std::get<double>(value));
  return buffer;
}

std::string kernelName(std::string_view family, const Params &params) {
  std::string name(family);
  for (const auto &[key, value] : params)
    name += "_" + key + "=" + printed(value);
  return name;
}

} // namespace ktc
