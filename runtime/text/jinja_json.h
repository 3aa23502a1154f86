// JSON <-> template values: tools and tool calls arrive as JSON, and templates print them with `tojson`.
#pragma once

#include "runtime/abi/result.hpp"
#include "runtime/text/jinja_value.h"

#include <string_view>

namespace ktrt::jinja {

// The value of a JSON text. All strings in it get trust `trusted`. Errors name the byte offset; nesting deeper
// than Value::maxDepth is an error. Of equal keys in an object the last counts.
kt::Result<Value> parseJson(std::string_view text, bool trusted);

struct JsonStyle {
  int indent = -1; // spaces per level; -1 = everything on one line
  bool sortKeys = false;
  bool ensureAscii = false; // write non-ASCII characters as \uXXXX
  MarkedString itemSeparator{", "}, keySeparator{": "};
};

// Appends `value` as Python's json.dumps writes it. Returns false if it contains something without a JSON form
// (undefined, a macro, ...).
bool writeJson(const Value &value, const JsonStyle &style, MarkedString &out);

} // namespace ktrt::jinja
