// Metadata values of a GGUF file: typed, lazy views into the file's bytes, and conversions with range checks.
//
// Files in the wild store the same key as u16, u32, i32 or u64 and per-layer numbers as a scalar or as an
// array, so the getters accept every integer type whose value fits and say what they found when it does not.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ktc {

// Ids of the file format.
enum class GgufValueType : uint32_t {
  U8 = 0,
  I8 = 1,
  U16 = 2,
  I16 = 3,
  U32 = 4,
  I32 = 5,
  F32 = 6,
  Bool = 7,
  String = 8,
  Array = 9,
  U64 = 10,
  I64 = 11,
  F64 = 12,
};

// Short name as printed in text ("u32", "str", …); "unknown" for ids outside the enumeration.
const char *ggufValueTypeName(GgufValueType type);

// Bytes of one value of a fixed-size type; 0 for strings, arrays and unknown ids.
uint64_t ggufValueTypeSize(GgufValueType type);

// One metadata value: a scalar, a string, or an array of either. Points into the file, whose mapping must
// outlive it.
class GgufValue {
public:
  GgufValueType elementType = GgufValueType::U8; // of the array's elements, or of the scalar itself
  bool isArray = false;
  uint64_t count = 1;                    // elements; 1 for scalars
  const uint8_t *data = nullptr;         // little-endian, unaligned elements; unused for strings
  std::vector<std::string_view> strings; // the elements of strings and string arrays

  // "u32", "array of 12 f32": for messages.
  std::string typeText() const;

  // Conversions of element `index` (< count). None where the type does not fit or the value is out of range:
  // integers convert to any integer type that holds them, and to reals; reals only to reals, and only if
  // finite.
  std::optional<uint64_t> asUInt(uint64_t index = 0) const;
  std::optional<int64_t> asInt(uint64_t index = 0) const;
  std::optional<double> asReal(uint64_t index = 0) const;
  std::optional<bool> asBool(uint64_t index = 0) const;
  std::optional<std::string_view> asString(uint64_t index = 0) const;

  // Element `index` as text: numbers in decimal, strings raw.
  std::string elementText(uint64_t index) const;
};

struct GgufMetadataEntry {
  std::string_view key;
  GgufValue value;
};

// All metadata of a model, in file order, with lookup by key.
class GgufMetadata {
public:
  // `fileName` begins every error message.
  explicit GgufMetadata(std::string fileName = "") : fileName(std::move(fileName)) {}

  // Appends an entry. Returns false, changing nothing, if the key exists already.
  bool insert(GgufMetadataEntry entry);

  const std::vector<GgufMetadataEntry> &entries() const { return list; }

  // The value of `key`, or null.
  const GgufValue *find(std::string_view key) const;

  // Scalars. Errors: the key is missing (first form), its value is an array, has another type, or is outside
  // [0, max]; the second form returns `fallback` for a missing key.
  ::kt::Result<uint64_t> getUInt(std::string_view key, uint64_t max = INT64_MAX) const;
  ::kt::Result<uint64_t> getUIntOr(std::string_view key, uint64_t fallback, uint64_t max = INT64_MAX) const;
  ::kt::Result<double> getReal(std::string_view key) const;
  ::kt::Result<double> getRealOr(std::string_view key, double fallback) const;
  ::kt::Result<bool> getBoolOr(std::string_view key, bool fallback) const;
  ::kt::Result<std::string> getString(std::string_view key) const;
  ::kt::Result<std::string> getStringOr(std::string_view key, std::string_view fallback) const;

  // Arrays; a missing key is an error.
  ::kt::Result<std::vector<uint64_t>> getUIntArray(std::string_view key) const;
  ::kt::Result<std::vector<double>> getRealArray(std::string_view key) const;
  ::kt::Result<std::vector<std::string_view>> getStringArray(std::string_view key) const;

  // A number per layer: a scalar is repeated `count` times, an array must have at least `count` elements (files
  // carry one per block, and blocks may include layers that are not run); the first `count` are returned.
  ::kt::Result<std::vector<uint64_t>> getUIntPerLayer(std::string_view key, uint64_t count,
                                                      uint64_t max = INT64_MAX) const;

private:
  ::kt::Error mismatch(std::string_view key, const std::string &expected, const GgufValue &found) const;
  ::kt::Error missing(std::string_view key, const std::string &expected) const;

  std::string fileName;
  std::vector<GgufMetadataEntry> list;
  std::unordered_map<std::string_view, size_t> index;
};

} // namespace ktc
