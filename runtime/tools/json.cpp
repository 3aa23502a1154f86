// JSON writer, see json.h.
#include "runtime/tools/json.h"

#include <charconv>
#include <cmath>
#include <cstdio>

namespace ktrt::tools {
namespace {

// Length of the valid UTF-8 sequence at the start of `text`, 0 if there is none.
size_t sequenceLength(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char lead = byte(0);
  size_t length = lead < 0x80                   ? 1
                  : lead >= 0xC2 && lead < 0xE0 ? 2
                  : lead >= 0xE0 && lead < 0xF0 ? 3
                  : lead >= 0xF0 && lead < 0xF5 ? 4
                                                : 0;
  if (length == 0 || text.size() < length)
    return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80)
      return 0;
  // Overlong forms, surrogates and values above U+10FFFF show in the second byte.
  if ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) >= 0xA0) ||
      (lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) >= 0x90))
    return 0;
  return length;
}

} // namespace

void JsonWriter::separate() {
  if (needsComma)
    out += ',';
  needsComma = true;
}

JsonWriter &JsonWriter::beginObject() {
  separate();
  out += '{';
  needsComma = false;
  return *this;
}

JsonWriter &JsonWriter::endObject() {
  out += '}';
  needsComma = true;
  return *this;
}

JsonWriter &JsonWriter::beginArray() {
  separate();
  out += '[';
  needsComma = false;
  return *this;
}

JsonWriter &JsonWriter::endArray() {
  out += ']';
  needsComma = true;
  return *this;
}

JsonWriter &JsonWriter::key(std::string_view name) {
  value(name);
  out += ':';
  needsComma = false;
  return *this;
}

JsonWriter &JsonWriter::value(std::string_view text) {
  separate();
  out += '"';
  while (!text.empty()) {
    size_t length = sequenceLength(text);
    char c = text[0];
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      length = 1;
    } else if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else if (length == 1 && (c < 0x20 || c == 0x7F)) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", c);
      out += escape;
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  out += '"';
  return *this;
}

JsonWriter &JsonWriter::value(double number) {
  separate();
  if (!std::isfinite(number)) {
    out += "null";
    return *this;
  }
  char buffer[32];
  auto result = std::to_chars(buffer, buffer + sizeof(buffer), number);
  out.append(buffer, result.ptr);
  return *this;
}

JsonWriter &JsonWriter::value(int64_t number) {
  separate();
  out += std::to_string(number);
  return *this;
}

JsonWriter &JsonWriter::value(uint64_t number) {
  separate();
  out += std::to_string(number);
  return *this;
}

JsonWriter &JsonWriter::value(bool truth) {
  separate();
  out += truth ? "true" : "false";
  return *this;
}

} // namespace ktrt::tools
