// What the families of rows, caches and attention share when they spell their template arguments.
#pragma once

#include "templates/cuda/families.h"
#include "templates/specs.h"

#include <bit>
#include <initializer_list>
#include <string>

namespace ktc::cuda {

// One template argument: an integer, a boolean, the bits of a float, or the name of a type in namespace kt.
struct Argument {
  std::string text;
  Argument(int64_t value) : text(std::to_string(value)) {}
  Argument(int value) : text(std::to_string(value)) {}
  Argument(uint32_t value) : text(std::to_string(value) + "u") {}
  Argument(bool value) : text(value ? "true" : "false") {}
  Argument(float value) : text(std::to_string(std::bit_cast<uint32_t>(value)) + "u") {}
  Argument(const std::string &type) : text("kt::" + type) {}
};

// "Name<a, b, …>".
inline std::string typeName(std::string_view name, std::initializer_list<Argument> arguments) {
  std::string text(name);
  const char *separator = "<";
  for (const Argument &argument : arguments) {
    text += separator + argument.text;
    separator = ", ";
  }
  return text + ">";
}

// The enumerator of cache_row.cuh for a cache type.
inline std::string cacheTypeName(KtType type) {
  return type == KT_TYPE_F16    ? "CacheType::Half"
         : type == KT_TYPE_BF16 ? "CacheType::Bfloat"
         : type == KT_TYPE_F32  ? "CacheType::Float"
                                : "CacheType::Q8";
}

inline std::string rowPlaces(const RowLayout &layout) {
  return typeName("RowPlaces", {layout.stride, layout.rowStride});
}

} // namespace ktc::cuda
