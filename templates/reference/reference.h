// Scalar reference of every kernel family: the truth that generated code is compared with.
//
// Same arguments and buffers as the generated kernel (kt_abi.h, templates/README.md), written for clarity. q8
// inputs are used as they are, so a kernel and its reference differ by float rounding only.
#pragma once

#include "runtime/abi/kt_abi.h"
#include "runtime/abi/result.hpp"
#include "templates/params.h"

#include <functional>
#include <string_view>

namespace ktc::reference {

using KernelFn = std::function<void(const KtKernelArgs *)>;

// Returns the reference of `family` with `params` bound, or an error for an unknown family or bad parameters.
kt::Result<KernelFn> find(std::string_view family, const Params &params);

// Dequantises `count` elements (whole blocks) of GGUF type `type` at `src` into float32.
void dequantize(uint32_t type, const void *src, float *dst, size_t count);

} // namespace ktc::reference
