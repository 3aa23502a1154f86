// The table of GPU kernel families: a family is a name and a function that makes an instance.
//
// A new family is a file NAME.cpp here, a template kernels/NAME.cuh, a declaration here and a line in
// families.cpp.
#pragma once

#include "templates/cuda/cuda.h"

#include <span>
#include <string>

namespace ktc::cuda {

// `instantiate` throws ParamError on bad parameters.
struct Family {
  std::string_view name;
  Instance (*instantiate)(const Params &params, Sm sm);
};

extern const Family addFamily;
extern const Family copyRowsFamily;
extern const Family linearFamily;
extern const Family linearGroupFamily;
extern const Family gateUpFamily;
extern const Family downFamily;
extern const Family downSlotsFamily;
extern const Family slotSumFamily;
extern const Family embedFamily;
extern const Family rmsNormFamily;
extern const Family quantizeFamily;
extern const Family ropeFamily;
extern const Family kvStoreFamily;
extern const Family gqaPrepareFamily;
extern const Family mlaPrepareFamily;
extern const Family attentionGqaFamily;
extern const Family attentionMlaFamily;
extern const Family attentionMergeFamily;
extern const Family attentionUpFamily;
extern const Family routerTopkFamily;
extern const Family expertGroupFamily;
extern const Family topLogitsFamily;

// All families, in no particular order.
std::span<const Family *const> families();

// Source that instantiates `body`, a type of kernels/`header`, for blocks of `threads` threads of which an SM
// should hold at least `blocksPerSm`.
std::string kernelSource(std::string_view header, std::string_view body, uint32_t threads,
                         uint32_t blocksPerSm = 1);

// "Name<a, b, …>": template arguments are integers and booleans.
std::string templateName(std::string_view name, std::span<const int64_t> arguments);

} // namespace ktc::cuda
