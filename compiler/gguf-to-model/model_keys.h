// ModelKeys: reads the hyperparameters of a model, range-checked, and remembers the first problem.
//
// All keys are `{architecture}.…`. After an error the getters return values that are safe to compute with, so
// that an architecture reads as a list of facts; the importer looks at failed() before it believes any of them.
#pragma once

#include "compiler/gguf-to-model/reader.h"

#include <cstdint>
#include <string>
#include <vector>

namespace ktc {

// Largest values that any hyperparameter may have; products of three of them fit into 64 bits.
namespace limit {
constexpr int64_t width = 1 << 20;   // features of an activation, heads times their size
constexpr int64_t heads = 1 << 12;   // attention heads
constexpr int64_t headDim = 1 << 14; // features of a head
constexpr int64_t ffn = 1 << 22;     // features inside a feed-forward block
constexpr int64_t experts = 1024;    // routed experts
constexpr int64_t context = INT32_MAX;
} // namespace limit

class ModelKeys {
public:
  explicit ModelKeys(const GgufModel &model);

  const std::string &architecture() const { return arch; }
  bool failed() const { return hasError; }
  const ::kt::Error &error() const { return firstError; }

  // Records an error about the file, unless there is one already. `message` lacks only the file's name.
  void fail(const std::string &message);

  bool has(const std::string &key) const;

  // The integer under `{architecture}.key`, in min..max; the second form has a fallback for a missing key.
  int64_t integer(const std::string &key, int64_t min, int64_t max);
  int64_t integerOr(const std::string &key, int64_t fallback, int64_t min, int64_t max);

  // One integer per layer, from a scalar or an array; a missing key gives `fallback` for every layer, or is an
  // error if the fallback is negative.
  std::vector<int64_t> perLayer(const std::string &key, int64_t layers, int64_t fallback, int64_t min,
                                int64_t max);

  // A finite real; `positive` demands a value above 0.
  double realOr(const std::string &key, double fallback, bool positive = false);
  double positiveReal(const std::string &key);

  bool flagOr(const std::string &key, bool fallback);
  std::string textOr(const std::string &key, const std::string &fallback);

private:
  template <typename T> T take(::kt::Result<T> result, T fallback);

  const GgufModel &model;
  std::string arch;
  bool hasError = false;
  ::kt::Error firstError;
};

} // namespace ktc
