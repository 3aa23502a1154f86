// Cuts a template into text and the tokens inside {{ }} and {% %}, with the whitespace rules that chat
// templates are written for: trim_blocks and lstrip_blocks on, one final line break dropped.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ktrt::jinja {

struct Token {
  enum class Kind : uint8_t {
    Text,       // template text between tags
    BlockBegin, // {%
    BlockEnd,   // %}
    PrintBegin, // {{
    PrintEnd,   // }}
    Name,
    String, // text = the string without quotes, escapes resolved
    Integer,
    Float,
    Operator,
    End,
  };
  Kind kind;
  uint32_t line;
  std::string text;
};

// All tokens of `source`, the last one being End. Errors name the line.
kt::Result<std::vector<Token>> tokenize(std::string_view source);

} // namespace ktrt::jinja
