// The toy plan spread over a CPU and a GPU, and access to the fake driver.
#pragma once

#include "runtime/executor/session.h"
#include "test/runtime/cuda/fake_cuda.h"
#include "test/runtime/plan/toy_plan.h"

#include <gtest/gtest.h>

namespace toy {

inline constexpr uint32_t kCpuLane = 0, kGpuLane = 1, kGpuDevice = 1;

// Gives every kernel a variant for `isa` whose code is text for the fake driver: `name`, or the kernel's
// family.
void addGpuCode(Plan &plan, const std::string &isa, const std::string &name = "");

// Gives the kernels (in the order of toy::Kernel) variants for `isa` with this code; setGpuImage one kernel, in
// the place of the code that it has.
void addGpuImages(Plan &plan, const std::string &isa, const std::vector<std::vector<uint8_t>> &images);
void setGpuImage(Plan &plan, ktrt::plan::KernelT &kernel, const std::string &isa,
                 const std::vector<uint8_t> &image);

// Adds the device cuda:0 and the lane `gpu`. Decode entries: the GPU stores and sums, raises signal 0; the CPU
// moves the sums and raises signal 1; the GPU makes the logits. Prefill: the GPU stores and sums, the CPU
// moves. Head: only the GPU. The cache and the bias live on the GPU, everything else is mapped.
// With `fakeCode`, kernels get code for the fake driver.
void makeHybrid(Plan &plan, bool fakeCode = true);

// After makeHybrid(): logits stay in an arena of the GPU, and a kernel picks the kBest largest out into the io
// arena.
inline constexpr uint32_t kBest = 3;
void leaveLogitsOnGpu(Plan &plan);

// Opens the plan, which is written to `directory`, with two threads.
kt::Result<std::unique_ptr<ktrt::Session>> open(Plan &plan, const TemporaryDirectory &directory,
                                                uint32_t timeoutMillis, bool pinThreads);

// Commands that this one follows in its lane program.
ktrt::plan::CommandT after(ktrt::plan::CommandT command, std::vector<uint32_t> earlier);

} // namespace toy

#ifdef FAKE_CUDA_DRIVER
// Uses the fake driver, fresh for each test.
class FakeGpuTest : public testing::Test {
protected:
  FakeGpuTest();
  ~FakeGpuTest() override;
  // Nothing of the driver is left.
  void expectAllReleased() const;

  fake::State *gpu;
  toy::TemporaryDirectory directory;
  toy::Plan plan;
};
#endif
