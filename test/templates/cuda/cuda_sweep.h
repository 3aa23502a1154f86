// What the tests of the row, preparation, attention and router kernels share: sweeps over cases, which also run
// without a GPU as far as making the instance.
#pragma once

#include "templates/cuda/cuda.h"
#include "test/templates/cuda/cuda_case.h"

#include <algorithm>

namespace ktc::test {

// The kernel has an instance for every compute capability, within the limits of a launch.
inline void expectInstances(const KernelCase &kernelCase) {
  SCOPED_TRACE(kernelName(kernelCase.family, kernelCase.params));
  for (uint32_t sm : {80u, 86u, 89u, 90u, 100u, 120u}) {
    kt::Result<cuda::Instance> instance = cuda::instantiate(kernelCase.family, kernelCase.params, {sm});
    ASSERT_TRUE(static_cast<bool>(instance)) << instance.error().message;
    const cuda::Launch &launch = instance->launch;
    EXPECT_GE(launch.gridX, 1u);
    EXPECT_LE(launch.gridX, 0x7fffffffu);
    EXPECT_LE(launch.gridY, 65535u);
    EXPECT_LE(launch.gridZ, 65535u);
    EXPECT_LE(launch.threads, 1024u);
    EXPECT_EQ(launch.threads % 32, 0u);
    const uint32_t limit = sm == 80 ? 163 : sm == 90 || sm == 100 ? 227 : 99;
    EXPECT_LE(launch.sharedBytes, limit * 1024) << "on sm_" << sm;
  }
}

// Comparison of float32 with this NMSE at most; `bfloat` operands are bfloat16.
inline Compare closerThan(double limit, std::vector<size_t> bfloat = {}) {
  return [=](size_t operand, const Bytes &got, const Bytes &want) {
    const auto values = [&](const Bytes &bytes) {
      if (std::find(bfloat.begin(), bfloat.end(), operand) == bfloat.end())
        return fromBytes<float>(bytes);
      std::vector<float> floats;
      for (uint16_t bits : fromBytes<uint16_t>(bytes)) {
        const uint32_t wide = uint32_t(bits) << 16;
        float value;
        std::memcpy(&value, &wide, 4);
        floats.push_back(value);
      }
      return floats;
    };
    EXPECT_LE(nmse(values(got), values(want)), limit) << "operand " << operand;
  };
}

} // namespace ktc::test
