// printf-style construction of error messages, shared by the runtime: iostreams would cost more bytes than the
// rest of the reader.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstdarg>
#include <cstdio>
#include <string>

namespace ktrt {

// Formats like printf into a string of any length.
[[gnu::format(printf, 1, 0)]] inline std::string formatList(const char *format, va_list arguments) {
  va_list copy;
  va_copy(copy, arguments);
  int length = vsnprintf(nullptr, 0, format, copy);
  va_end(copy);
  std::string text(length > 0 ? size_t(length) : 0, '\0');
  if (length > 0)
    vsnprintf(text.data(), text.size() + 1, format, arguments);
  return text;
}

[[gnu::format(printf, 1, 2)]] inline std::string formatText(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string text = formatList(format, arguments);
  va_end(arguments);
  return text;
}

// An error whose message is formatted like printf.
[[gnu::format(printf, 1, 2)]] inline kt::Error failure(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string text = formatList(format, arguments);
  va_end(arguments);
  return kt::Error{std::move(text)};
}

} // namespace ktrt
