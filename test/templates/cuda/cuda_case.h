// Runs a kernel case on the GPU, for the tests of the CUDA families.
//
// Environment:
//   KT_CUDA_COMPILE_ONLY=1  instances are made and compiled, nothing runs: checks kernels without a GPU and
//                           fills the cache (KTC_CUDA_CACHE) for a machine that has one
//   KT_CUDA_TARGET=sm_80    compile for this target instead of the GPU at hand (compile-only: of sm_90a)
//   KT_CUDA_EXACT=1         operands without red zones, each an allocation of its own size (in multiples of 16
//                           bytes): compute-sanitizer then sees every access outside
//   KT_CUDA_EVERY=5         only every fifth case of the sweeps
#pragma once

#include "test/templates/kernel_case.h"

#include <gtest/gtest.h>

namespace ktc::test {

// True if a GPU can run kernels here and they can be compiled or were (or KT_CUDA_COMPILE_ONLY is set).
bool cudaAvailable();

// True if KT_CUDA_COMPILE_ONLY is set.
bool cudaCompileOnly();

// Counts the cases of this process; true if KT_CUDA_EVERY leaves this one out.
bool cudaLeavesOut();

// Operands after the kernel ran. They lie in device memory, 256-byte aligned, between red zones of NaN bytes.
// `units` of the case mean nothing here. Errors name the kernel: it cannot be made or compiled, CUDA refuses
// it, it wrote outside its operands or into one that is not among `outputs`, or it did not raise its signal as
// base.cuh promises. With KT_CUDA_COMPILE_ONLY the operands come back unchanged.
kt::Result<std::vector<Bytes>> runCuda(const KernelCase &kernelCase);

// Runs the case on the GPU and its reference, calls `compare` on each output, and checks that a second run
// gives the same bits. `reference`: the operands after another reference than that of the family.
void checkCuda(const KernelCase &kernelCase, const Compare &compare);
void checkCuda(const KernelCase &kernelCase, const Compare &compare, const std::vector<Bytes> &reference);

// The GPU generator refuses these parameters with a message that contains `part`.
void expectCudaRefused(const std::string &family, const Params &params, const std::string &part);

// Tests of kernels: skipped where nothing can run.
class CudaTest : public ::testing::Test {
protected:
  void SetUp() override {
    if (!cudaAvailable())
      GTEST_SKIP() << "no GPU";
  }
};

} // namespace ktc::test
