// Ready-made calls of the matrix families on the GPU, shared by their tests.
#pragma once

#include "test/templates/cuda/cuda_case.h"
#include "test/templates/support/matrix_case.h"

namespace ktc::test {

// Row lengths for the GPU kernels of a format: one block, parts of a unit of 128 or 256, several units.
std::vector<int64_t> cudaLengths(const KtTypeInfo &format);

// Values as float32 or bfloat16 bytes.
Bytes activationBytes(const std::vector<float> &values, bool asBfloat);
std::vector<float> valuesOf(const Bytes &bytes, bool asBfloat);
inline const char *typeName(bool asBfloat) { return asBfloat ? "bf16" : "f32"; }

// Compares results that round as the reference does: NMSE 1e-6, bfloat16 results 1e-5.
Compare closeAs(bool asBfloat);

// One sweep step: runs the case against its reference.
void checkMatrix(const KernelCase &kernelCase, bool yBfloat);

} // namespace ktc::test
