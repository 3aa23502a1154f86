// Parameters of a kernel symbol as the generators take them: no MLIR beyond this point.
#pragma once

#include "templates/params.h"

#include "mlir/IR/BuiltinAttributes.h"

namespace ktc {

// Converts the parameters of a `sched.kernel`: integers, reals and strings. Attributes of other kinds, which
// the operation's verifier refuses, are left out.
Params kernelParams(mlir::DictionaryAttr attributes);

} // namespace ktc
