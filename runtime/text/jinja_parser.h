// Builds the syntax tree of a template.
#pragma once

#include "runtime/abi/result.hpp"
#include "runtime/text/jinja_ast.h"

#include <string_view>

namespace ktrt::jinja {

// Parses `source` to a Block node. Errors name the line and what was expected. Constructs outside the supported
// subset (include, import, extends, call blocks) are errors, as are expressions nested deeper than maxHeight.
kt::Result<NodePtr> parseTemplate(std::string_view source);

} // namespace ktrt::jinja
