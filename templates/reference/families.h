// The table of reference families; a new family is a file, a declaration here and a line in reference.cpp.
#pragma once

#include "templates/reference/reference.h"

namespace ktc::reference {

// One family. `bind` checks the parameters (throws ParamError) and returns the function with them bound.
struct Family {
  std::string_view name;
  KernelFn (*bind)(const Params &params);
};

extern const Family linearFamily;
extern const Family linearGroupFamily;
extern const Family gateUpFamily;
extern const Family downFamily;
extern const Family downSlotsFamily;
extern const Family slotSumFamily;
extern const Family embedFamily;
extern const Family quantizeFamily;
extern const Family packFamily;
extern const Family rmsNormFamily;
extern const Family addFamily;
extern const Family copyRowsFamily;
extern const Family ropeFamily;
extern const Family kvStoreFamily;
extern const Family attentionGqaFamily;
extern const Family attentionMlaFamily;
extern const Family attentionMergeFamily;
extern const Family attentionUpFamily;
extern const Family routerTopkFamily;
extern const Family expertGroupFamily;
extern const Family gqaPrepareFamily;
extern const Family mlaPrepareFamily;
extern const Family topLogitsFamily;

} // namespace ktc::reference
