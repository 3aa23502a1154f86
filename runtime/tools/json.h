// A small JSON writer for `--json`: ktrt writes flat reports and never reads JSON, so a library would not pay.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ktrt::tools {

// Builds one JSON text. Calls follow the structure: inside an object every value is preceded by key().
class JsonWriter {
public:
  JsonWriter &beginObject();
  JsonWriter &endObject();
  JsonWriter &beginArray();
  JsonWriter &endArray();
  JsonWriter &key(std::string_view name);

  // Bytes that are no valid UTF-8 become U+FFFD, because JSON cannot carry them.
  JsonWriter &value(std::string_view text);
  JsonWriter &value(const char *text) { return value(std::string_view(text)); }
  // Shortest text that reads back as the same number; null for infinities and NaN.
  JsonWriter &value(double number);
  JsonWriter &value(int64_t number);
  JsonWriter &value(uint64_t number);
  JsonWriter &value(int32_t number) { return value(static_cast<int64_t>(number)); }
  JsonWriter &value(uint32_t number) { return value(static_cast<uint64_t>(number)); }
  JsonWriter &value(bool truth);

  // key() and value() in one.
  template <typename T> JsonWriter &member(std::string_view name, T content) {
    return key(name).value(content);
  }

  const std::string &text() const { return out; }

private:
  void separate();

  std::string out;
  bool needsComma = false;
};

} // namespace ktrt::tools
