// Calls of the matrix families on the GPU: see matrix_case.h.
#include "test/templates/cuda/matrix_case.h"

namespace ktc::test {

std::vector<int64_t> cudaLengths(const KtTypeInfo &format) {
  if (format.blockElements == 256)
    return {256, 768, 2304};
  if (format.blockElements == 32)
    return {32, 352, 1408};
  return {45, 160, 1408, 7};
}

Bytes activationBytes(const std::vector<float> &values, bool asBfloat) {
  return cacheBytes(values, asBfloat ? "bf16" : "f32");
}

std::vector<float> valuesOf(const Bytes &bytes, bool asBfloat) {
  if (!asBfloat)
    return fromBytes<float>(bytes);
  std::vector<float> values;
  for (uint16_t bits : fromBytes<uint16_t>(bytes)) {
    const uint32_t wide = uint32_t(bits) << 16;
    float value;
    std::memcpy(&value, &wide, 4);
    values.push_back(value);
  }
  return values;
}

Compare closeAs(bool asBfloat) {
  return [=](size_t operand, const Bytes &got, const Bytes &want) {
    EXPECT_LE(nmse(valuesOf(got, asBfloat), valuesOf(want, asBfloat)), asBfloat ? 1e-5 : 1e-6)
        << "operand " << operand;
  };
}

void checkMatrix(const KernelCase &kernelCase, bool yBfloat) { checkCuda(kernelCase, closeAs(yBfloat)); }

} // namespace ktc::test
