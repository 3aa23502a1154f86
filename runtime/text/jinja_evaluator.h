// Runs a parsed template.
#pragma once

#include "runtime/abi/result.hpp"
#include "runtime/text/jinja_ast.h"
#include "runtime/text/jinja_runtime.h"

namespace ktrt::jinja {

// Renders the template `root` with the variables `globals`. `budget` bounds the work (see Runtime), `now` is
// the time that strftime_now shows. Errors name the line of the template.
kt::Result<MarkedString> evaluate(const Node &root, Dict globals, uint64_t budget, int64_t now);

} // namespace ktrt::jinja
