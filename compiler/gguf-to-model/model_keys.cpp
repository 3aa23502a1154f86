// ModelKeys: see the header.
#include "compiler/gguf-to-model/model_keys.h"

namespace ktc {

template <typename T> T ModelKeys::take(::kt::Result<T> result, T fallback) {
  if (result)
    return std::move(*result);
  if (!hasError) {
    hasError = true;
    firstError = result.error();
  }
  return fallback;
}

ModelKeys::ModelKeys(const GgufModel &model) : model(model) {
  arch = take(model.metadata().getString("general.architecture"), std::string());
}

void ModelKeys::fail(const std::string &message) {
  if (hasError)
    return;
  hasError = true;
  firstError.message = model.files()[0].path + ": " + message;
}

bool ModelKeys::has(const std::string &key) const { return model.metadata().find(arch + "." + key); }

int64_t ModelKeys::integer(const std::string &key, int64_t min, int64_t max) {
  std::string full = arch + "." + key;
  uint64_t value = take(model.metadata().getUInt(full), static_cast<uint64_t>(min));
  if (value < static_cast<uint64_t>(min) || value > static_cast<uint64_t>(max)) {
    fail("metadata key '" + full + "': expected an integer in " + std::to_string(min) + ".." +
         std::to_string(max) + ", found " + std::to_string(value));
    return min;
  }
  return static_cast<int64_t>(value);
}

int64_t ModelKeys::integerOr(const std::string &key, int64_t fallback, int64_t min, int64_t max) {
  return has(key) ? integer(key, min, max) : fallback;
}

std::vector<int64_t> ModelKeys::perLayer(const std::string &key, int64_t layers, int64_t fallback, int64_t min,
                                         int64_t max) {
  std::vector<int64_t> values(static_cast<size_t>(layers), fallback < 0 ? min : fallback);
  if (!has(key) && fallback >= 0)
    return values;
  std::string full = arch + "." + key;
  std::vector<uint64_t> found = take(model.metadata().getUIntPerLayer(full, static_cast<uint64_t>(layers)), {});
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i] < static_cast<uint64_t>(min) || found[i] > static_cast<uint64_t>(max)) {
      fail("metadata key '" + full + "': expected integers in " + std::to_string(min) + ".." +
           std::to_string(max) + ", found " + std::to_string(found[i]) + " for layer " + std::to_string(i));
      break;
    }
    values[i] = static_cast<int64_t>(found[i]);
  }
  return values;
}

double ModelKeys::realOr(const std::string &key, double fallback, bool positive) {
  std::string full = arch + "." + key;
  double value = take(model.metadata().getRealOr(full, fallback), fallback);
  if (positive && !(value > 0)) {
    fail("metadata key '" + full + "': expected a number above 0, found " + std::to_string(value));
    return 1;
  }
  return value;
}

double ModelKeys::positiveReal(const std::string &key) {
  std::string full = arch + "." + key;
  take(model.metadata().getReal(full), 1.0);
  return realOr(key, 1, true);
}

bool ModelKeys::flagOr(const std::string &key, bool fallback) {
  return take(model.metadata().getBoolOr(arch + "." + key, fallback), fallback);
}

std::string ModelKeys::textOr(const std::string &key, const std::string &fallback) {
  return take(model.metadata().getStringOr(arch + "." + key, fallback), fallback);
}

} // namespace ktc
