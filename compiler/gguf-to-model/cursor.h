// Cursor: reads little-endian values from untrusted bytes and stops at the first problem.
//
// The first error sticks: later reads return zeros and change nothing, so parsing code stays straight and looks
// at failed() where it would otherwise loop or allocate. Bounds are compared by subtraction, never by addition.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace ktc {

class Cursor {
public:
  // `name` begins every message.
  Cursor(std::string name, std::span<const uint8_t> bytes) : name(std::move(name)), bytes(bytes) {}

  uint64_t position() const { return pos; }
  uint64_t remaining() const { return bytes.size() - pos; }
  bool failed() const { return hasError; }
  const ::kt::Error &error() const { return firstError; }

  // Records "name: at byte AT: expected EXPECTED, found FOUND" unless an error is recorded already.
  void fail(uint64_t at, const std::string &expected, const std::string &found);

  // Reads one value; `what` names it in the message if the file ends.
  template <typename T> T read(const char *what) {
    T value{};
    if (const uint8_t *data = take(sizeof(T), what))
      std::memcpy(&value, data, sizeof(T));
    return value;
  }

  // The next `count` bytes, or null after an error.
  const uint8_t *take(uint64_t count, const char *what);

  // A string: u64 length and that many bytes, at most `maxLength`.
  std::string_view string(const char *what, uint64_t maxLength);

  // As `string`, but not empty, valid UTF-8, and without NUL: what keys and tensor names must be.
  std::string_view identifier(const char *what, uint64_t maxLength);

private:
  std::string name;
  std::span<const uint8_t> bytes;
  uint64_t pos = 0;
  bool hasError = false;
  ::kt::Error firstError;
};

// True if `text` is well-formed UTF-8 (no overlong forms, no surrogates, nothing above U+10FFFF).
bool isValidUtf8(std::string_view text);

// `text` for messages and listings: control characters, backslashes and malformed UTF-8 as \xNN, cut after
// `limit` bytes with "…".
std::string printable(std::string_view text, size_t limit = 80);

} // namespace ktc
