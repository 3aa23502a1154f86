// Conversions and getters of GGUF metadata: see the header.
#include "compiler/gguf-to-model/metadata.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace ktc {

namespace {

template <typename T> T load(const uint8_t *data, uint64_t index) {
  T value;
  std::memcpy(&value, data + index * sizeof(T), sizeof(T));
  return value;
}

// The shortest decimal text that reads back as `value`.
template <typename T> std::string shortest(T value) {
  char buffer[64];
  return std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
}

// The double that the shortest decimal text of `value` denotes: what the writer of the file most likely meant.
double widen(float value) {
  std::string text = shortest(value);
  double wide = value;
  std::from_chars(text.data(), text.data() + text.size(), wide);
  return wide;
}

std::string quoted(std::string_view key) { return "'" + std::string(key) + "'"; }

} // namespace

const char *ggufValueTypeName(GgufValueType type) {
  static const char *const names[] = {"u8",   "i8",  "u16", "i16", "u32", "i32", "f32",
                                      "bool", "str", "arr", "u64", "i64", "f64"};
  uint32_t id = static_cast<uint32_t>(type);
  return id < std::size(names) ? names[id] : "unknown";
}

uint64_t ggufValueTypeSize(GgufValueType type) {
  static const uint8_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  uint32_t id = static_cast<uint32_t>(type);
  return id < std::size(sizes) ? sizes[id] : 0;
}

std::string GgufValue::typeText() const {
  std::string name = ggufValueTypeName(elementType);
  return isArray ? "array of " + std::to_string(count) + " " + name : name;
}

std::optional<int64_t> GgufValue::asInt(uint64_t index) const {
  if (index >= count)
    return std::nullopt;
  switch (elementType) {
  case GgufValueType::U8:
    return load<uint8_t>(data, index);
  case GgufValueType::I8:
    return load<int8_t>(data, index);
  case GgufValueType::U16:
    return load<uint16_t>(data, index);
  case GgufValueType::I16:
    return load<int16_t>(data, index);
  case GgufValueType::U32:
    return load<uint32_t>(data, index);
  case GgufValueType::I32:
    return load<int32_t>(data, index);
  case GgufValueType::I64:
    return load<int64_t>(data, index);
  case GgufValueType::U64: {
    uint64_t value = load<uint64_t>(data, index);
    if (value > static_cast<uint64_t>(INT64_MAX))
      return std::nullopt;
    return static_cast<int64_t>(value);
  }
  default:
    return std::nullopt;
  }
}

std::optional<uint64_t> GgufValue::asUInt(uint64_t index) const {
  if (index < count && elementType == GgufValueType::U64)
    return load<uint64_t>(data, index);
  std::optional<int64_t> value = asInt(index);
  if (!value || *value < 0)
    return std::nullopt;
  return static_cast<uint64_t>(*value);
}

std::optional<double> GgufValue::asReal(uint64_t index) const {
  if (index >= count)
    return std::nullopt;
  double value = 0;
  if (elementType == GgufValueType::F32)
    value = widen(load<float>(data, index));
  else if (elementType == GgufValueType::F64)
    value = load<double>(data, index);
  else if (std::optional<int64_t> integer = asInt(index))
    value = static_cast<double>(*integer);
  else
    return std::nullopt;
  if (!std::isfinite(value))
    return std::nullopt;
  return value;
}

std::optional<bool> GgufValue::asBool(uint64_t index) const {
  if (index >= count || elementType != GgufValueType::Bool)
    return std::nullopt;
  return load<uint8_t>(data, index) != 0;
}

std::optional<std::string_view> GgufValue::asString(uint64_t index) const {
  if (elementType != GgufValueType::String || index >= strings.size())
    return std::nullopt;
  return strings[index];
}

std::string GgufValue::elementText(uint64_t index) const {
  if (std::optional<std::string_view> text = asString(index))
    return std::string(*text);
  if (std::optional<bool> flag = asBool(index))
    return *flag ? "true" : "false";
  if (index < count && elementType == GgufValueType::F32)
    return shortest(load<float>(data, index));
  if (index < count && elementType == GgufValueType::F64)
    return shortest(load<double>(data, index));
  if (elementType == GgufValueType::U64)
    if (std::optional<uint64_t> number = asUInt(index))
      return std::to_string(*number);
  if (std::optional<int64_t> number = asInt(index))
    return std::to_string(*number);
  return "?";
}

bool GgufMetadata::insert(GgufMetadataEntry entry) {
  if (!index.try_emplace(entry.key, list.size()).second)
    return false;
  list.push_back(std::move(entry));
  return true;
}

const GgufValue *GgufMetadata::find(std::string_view key) const {
  auto found = index.find(key);
  return found == index.end() ? nullptr : &list[found->second].value;
}

::kt::Error GgufMetadata::mismatch(std::string_view key, const std::string &expected,
                                   const GgufValue &found) const {
  std::string text = found.typeText();
  if (!found.isArray && found.elementType != GgufValueType::String)
    text += " " + found.elementText(0);
  return ::kt::Error{fileName + ": metadata key " + quoted(key) + ": expected " + expected + ", found " + text};
}

::kt::Error GgufMetadata::missing(std::string_view key, const std::string &expected) const {
  return ::kt::Error{fileName + ": metadata key " + quoted(key) + " is missing: expected " + expected};
}

::kt::Result<uint64_t> GgufMetadata::getUInt(std::string_view key, uint64_t max) const {
  std::string expected = "an integer in 0.." + std::to_string(max);
  const GgufValue *value = find(key);
  if (!value)
    return missing(key, expected);
  std::optional<uint64_t> number = value->asUInt();
  if (value->isArray || !number || *number > max)
    return mismatch(key, expected, *value);
  return *number;
}

::kt::Result<uint64_t> GgufMetadata::getUIntOr(std::string_view key, uint64_t fallback, uint64_t max) const {
  return find(key) ? getUInt(key, max) : ::kt::Result<uint64_t>(fallback);
}

::kt::Result<double> GgufMetadata::getReal(std::string_view key) const {
  const GgufValue *value = find(key);
  if (!value)
    return missing(key, "a number");
  std::optional<double> number = value->asReal();
  if (value->isArray || !number)
    return mismatch(key, "a finite number", *value);
  return *number;
}

::kt::Result<double> GgufMetadata::getRealOr(std::string_view key, double fallback) const {
  return find(key) ? getReal(key) : ::kt::Result<double>(fallback);
}

::kt::Result<bool> GgufMetadata::getBoolOr(std::string_view key, bool fallback) const {
  const GgufValue *value = find(key);
  if (!value)
    return fallback;
  std::optional<bool> flag = value->asBool();
  if (value->isArray || !flag)
    return mismatch(key, "a bool", *value);
  return *flag;
}

::kt::Result<std::string> GgufMetadata::getString(std::string_view key) const {
  const GgufValue *value = find(key);
  if (!value)
    return missing(key, "a string");
  std::optional<std::string_view> text = value->asString();
  if (value->isArray || !text)
    return mismatch(key, "a string", *value);
  return std::string(*text);
}

::kt::Result<std::string> GgufMetadata::getStringOr(std::string_view key, std::string_view fallback) const {
  return find(key) ? getString(key) : ::kt::Result<std::string>(std::string(fallback));
}

::kt::Result<std::vector<uint64_t>> GgufMetadata::getUIntArray(std::string_view key) const {
  const GgufValue *value = find(key);
  if (!value)
    return missing(key, "an array of integers");
  std::vector<uint64_t> numbers;
  for (uint64_t i = 0; value->isArray && i < value->count; ++i) {
    std::optional<uint64_t> number = value->asUInt(i);
    if (!number)
      return mismatch(key, "an array of non-negative integers", *value);
    numbers.push_back(*number);
  }
  if (!value->isArray || ggufValueTypeSize(value->elementType) == 0)
    return mismatch(key, "an array of integers", *value);
  return numbers;
}

::kt::Result<std::vector<double>> GgufMetadata::getRealArray(std::string_view key) const {
  const GgufValue *value = find(key);
  if (!value)
    return missing(key, "an array of numbers");
  std::vector<double> numbers;
  for (uint64_t i = 0; value->isArray && i < value->count; ++i) {
    std::optional<double> number = value->asReal(i);
    if (!number)
      return mismatch(key, "an array of finite numbers", *value);
    numbers.push_back(*number);
  }
  if (!value->isArray || ggufValueTypeSize(value->elementType) == 0)
    return mismatch(key, "an array of numbers", *value);
  return numbers;
}

::kt::Result<std::vector<std::string_view>> GgufMetadata::getStringArray(std::string_view key) const {
  const GgufValue *value = find(key);
  if (!value)
    return missing(key, "an array of strings");
  if (!value->isArray || value->elementType != GgufValueType::String)
    return mismatch(key, "an array of strings", *value);
  return value->strings;
}

::kt::Result<std::vector<uint64_t>> GgufMetadata::getUIntPerLayer(std::string_view key, uint64_t count,
                                                                  uint64_t max) const {
  std::string expected = "an integer in 0.." + std::to_string(max) + ", or an array of at least " +
                         std::to_string(count) + " of them";
  const GgufValue *value = find(key);
  if (!value)
    return missing(key, expected);
  if (value->isArray && value->count < count)
    return mismatch(key, expected, *value);
  std::vector<uint64_t> numbers;
  for (uint64_t i = 0; i < count; ++i) {
    std::optional<uint64_t> number = value->asUInt(value->isArray ? i : 0);
    if (!number || *number > max)
      return mismatch(key, expected, *value);
    numbers.push_back(*number);
  }
  return numbers;
}

} // namespace ktc
