// Finds the scalar reference of a kernel family.
#include "templates/reference/reference.h"

#include "templates/param_check.h"
#include "templates/reference/families.h"

#include <string>

namespace ktc::reference {

static const Family *const allFamilies[] = {
    &linearFamily,      &gateUpFamily,       &downFamily,         &embedFamily,
    &quantizeFamily,    &rmsNormFamily,      &addFamily,          &ropeFamily,
    &kvStoreFamily,     &attentionGqaFamily, &attentionMlaFamily, &attentionMergeFamily,
    &attentionUpFamily, &routerTopkFamily,   &expertGroupFamily,  &gqaPrepareFamily,
    &mlaPrepareFamily,  &topLogitsFamily,    &downSlotsFamily,    &slotSumFamily,
    &copyRowsFamily,    &linearGroupFamily,  &packFamily,
};

kt::Result<KernelFn> find(std::string_view family, const Params &params) {
  for (const Family *candidate : allFamilies) {
    if (candidate->name != family)
      continue;
    try {
      return candidate->bind(params);
    } catch (const ParamError &problem) {
      return kt::Error{"reference " + kernelName(family, params) + ": " + problem.what()};
    }
  }
  return kt::Error{"unknown kernel family '" + std::string(family) + "'"};
}

} // namespace ktc::reference
