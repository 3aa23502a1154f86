// Cursor and the text helpers of the reader: see the header.
#include "compiler/gguf-to-model/cursor.h"

#include <algorithm>
#include <cstdio>

namespace ktc {

namespace {

// Length in bytes of the well-formed UTF-8 sequence at the start of `text`; 0 if there is none.
size_t utf8SequenceLength(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  uint8_t lead = byte(0);
  if (lead < 0x80)
    return 1;
  size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length)
    return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80)
      return 0;
  bool overlong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
  bool surrogate = lead == 0xED && byte(1) > 0x9F;
  bool tooLarge = lead == 0xF4 && byte(1) > 0x8F;
  return overlong || surrogate || tooLarge ? 0 : length;
}

} // namespace

bool isValidUtf8(std::string_view text) {
  while (!text.empty()) {
    size_t length = utf8SequenceLength(text);
    if (length == 0)
      return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string printable(std::string_view text, size_t limit) {
  std::string result;
  size_t used = 0;
  while (used < text.size() && used < limit) {
    std::string_view rest = text.substr(used);
    size_t length = utf8SequenceLength(rest);
    uint8_t byte = static_cast<uint8_t>(rest[0]);
    if (length == 0 || byte < 0x20 || byte == 0x7F || byte == '\\') {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      result += escaped;
      used += 1;
    } else {
      result += rest.substr(0, length);
      used += length;
    }
  }
  return used < text.size() ? result + "…" : result;
}

void Cursor::fail(uint64_t at, const std::string &expected, const std::string &found) {
  if (hasError)
    return;
  hasError = true;
  firstError.message = name + ": at byte " + std::to_string(at) + ": expected " + expected + ", found " + found;
}

const uint8_t *Cursor::take(uint64_t count, const char *what) {
  if (hasError)
    return nullptr;
  if (count > remaining()) {
    fail(pos, std::string(what) + " of " + std::to_string(count) + " bytes",
         std::to_string(remaining()) + " bytes before the end of the file");
    return nullptr;
  }
  const uint8_t *data = bytes.data() + pos;
  pos += count;
  return data;
}

std::string_view Cursor::string(const char *what, uint64_t maxLength) {
  uint64_t start = pos;
  uint64_t length = read<uint64_t>(what);
  if (length > maxLength)
    fail(start, std::string(what) + " of at most " + std::to_string(maxLength) + " bytes",
         "a length of " + std::to_string(length));
  const uint8_t *data = take(length, what);
  return data ? std::string_view(reinterpret_cast<const char *>(data), length) : std::string_view();
}

std::string_view Cursor::identifier(const char *what, uint64_t maxLength) {
  uint64_t start = pos;
  std::string_view text = string(what, maxLength);
  if (hasError)
    return text;
  if (text.empty())
    fail(start, std::string(what) + " that is not empty", "an empty string");
  else if (text.find('\0') != std::string_view::npos)
    fail(start, std::string(what) + " without NUL bytes", "'" + printable(text) + "'");
  else if (!isValidUtf8(text))
    fail(start, std::string(what) + " in UTF-8", "'" + printable(text) + "'");
  return text;
}

} // namespace ktc
