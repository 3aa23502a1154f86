// The table of kernel families.
#include "templates/x64/families.h"

namespace ktc::x64 {

static const Family *const allFamilies[] = {
    &linearFamily,     &gateUpFamily,       &downFamily,         &embedFamily,
    &quantizeFamily,   &rmsNormFamily,      &addFamily,          &ropeFamily,
    &kvStoreFamily,    &attentionGqaFamily, &attentionMlaFamily, &attentionMergeFamily,
    &routerTopkFamily, &expertGroupFamily,  &packFamily,
};

std::span<const Family *const> families() { return allFamilies; }

} // namespace ktc::x64
