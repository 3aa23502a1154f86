// Lookup of families and the text that all instances share.
#include "templates/cuda/families.h"

#include "templates/param_check.h"

namespace ktc::cuda {

std::span<const Family *const> families() {
  static const Family *const all[] = {
      &addFamily,         &linearFamily,       &gateUpFamily,       &downFamily,
      &downSlotsFamily,   &slotSumFamily,      &embedFamily,        &rmsNormFamily,
      &quantizeFamily,    &ropeFamily,         &kvStoreFamily,      &gqaPrepareFamily,
      &mlaPrepareFamily,  &attentionGqaFamily, &attentionMlaFamily, &attentionMergeFamily,
      &routerTopkFamily,  &expertGroupFamily,  &topLogitsFamily,    &copyRowsFamily,
      &linearGroupFamily, &attentionUpFamily,
  };
  return all;
}

static const Family *find(std::string_view name) {
  for (const Family *family : families())
    if (family->name == name)
      return family;
  return nullptr;
}

bool hasFamily(std::string_view family) { return find(family) != nullptr; }

kt::Result<Instance> instantiate(std::string_view family, const Params &params, Sm sm) {
  const Family *found = find(family);
  if (!found)
    return kt::Error{"no GPU kernels of family '" + std::string(family) + "'"};
  try {
    return found->instantiate(params, sm);
  } catch (const ParamError &error) {
    return kt::Error{kernelName(family, params) + ": " + error.what()};
  }
}

std::string kernelSource(std::string_view header, std::string_view body, uint32_t threads,
                         uint32_t blocksPerSm) {
  std::string source = "#include \"" + std::string(header) + "\"\n";
  source += "extern \"C\" __global__ void __launch_bounds__(" + std::to_string(threads) + ", " +
            std::to_string(blocksPerSm) + ") kernel(const __grid_constant__ KtCudaArgs args) {\n";
  source += "  kt::runKernel<kt::" + std::string(body) + ">(args);\n}\n";
  return source;
}

std::string templateName(std::string_view name, std::span<const int64_t> arguments) {
  std::string text(name);
  for (size_t i = 0; i < arguments.size(); ++i)
    text += (i == 0 ? "<" : ", ") + std::to_string(arguments[i]);
  return text + ">";
}

} // namespace ktc::cuda
