// Attributes to Params; see the header.
#include "compiler/schedule-to-kernels/kernel_params.h"

using namespace mlir;

namespace ktc {

Params kernelParams(DictionaryAttr attributes) {
  Params params;
  for (NamedAttribute param : attributes) {
    std::string name = param.getName().str();
    if (auto integer = dyn_cast<IntegerAttr>(param.getValue()))
      params[name] = integer.getInt();
    else if (auto real = dyn_cast<FloatAttr>(param.getValue()))
      params[name] = real.getValueAsDouble();
    else if (auto text = dyn_cast<StringAttr>(param.getValue()))
      params[name] = text.str();
  }
  return params;
}

} // namespace ktc
