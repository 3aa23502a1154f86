// Ready-made kernel calls of the matrix families: see matrix_case.h.
#include "test/templates/support/matrix_case.h"

#include "templates/reference/reference.h"
#include "test/templates/support/encode.h"

#include <algorithm>

namespace ktc::test {

std::vector<std::string> formatNames() {
  return {
#define KT_NAME(suffix, id, name, elements, bytes) name,
      KT_FOR_EACH_TYPE(KT_NAME)
#undef KT_NAME
  };
}

const KtTypeInfo &formatInfo(const std::string &name) {
  const KtTypeInfo *info = ktTypeInfoNamed(name.data(), name.size());
  return info ? *info : *ktTypeInfo(KT_TYPE_F32);
}

std::vector<int64_t> testLengths(const KtTypeInfo &format) {
  if (format.blockElements == 256)
    return {256, 768};
  if (format.blockElements == 32)
    return {32, 96, 256, 704};
  return {1, 7, 33, 160};
}

Bytes weightRows(const KtTypeInfo &format, int64_t rows, int64_t k, uint32_t seed, bool hostile) {
  if (hostile)
    return hostileBlocks(format.id, rows * k, seed);
  return encode(format.id, randomFloats(seed, rows * k, 0.05f));
}

std::vector<float> activationValues(int64_t rows, int64_t k, uint32_t seed) {
  return randomFloats(seed, rows * k);
}

Bytes activationRows(const KtTypeInfo &format, int64_t rows, int64_t k, uint32_t seed) {
  std::vector<float> values = activationValues(rows, k, seed);
  if (ktTypeTakesF32Activations(format.id))
    return toBytes(values);
  return ktTypeTakesQ8k(format.id) ? encodeQ8k(values, k) : encodeQ8(values, k);
}

std::vector<float> floatProducts(const KtTypeInfo &format, const Bytes &weights, const std::vector<float> &x,
                                 int64_t n, int64_t k) {
  std::vector<float> w(static_cast<size_t>(n * k)), y;
  reference::dequantize(format.id, weights.data(), w.data(), w.size());
  for (size_t token = 0; token < x.size(); token += static_cast<size_t>(k))
    for (int64_t row = 0; row < n; ++row) {
      double sum = 0;
      for (int64_t i = 0; i < k; ++i)
        sum += double(w[static_cast<size_t>(row * k + i)]) * x[token + static_cast<size_t>(i)];
      y.push_back(static_cast<float>(sum));
    }
  return y;
}

Bytes expertLists(const std::vector<int32_t> &ids, int64_t experts) {
  std::vector<int32_t> lists(ktExpertListBytes(experts, ids.size()) / 4);
  int32_t position = 0;
  for (int32_t expert = 0; expert < experts; ++expert) {
    int32_t first = position;
    for (size_t slot = 0; slot < ids.size(); ++slot)
      if (ids[slot] == expert)
        lists[ktExpertListSlots(experts) + position++] = static_cast<int32_t>(slot);
    if (position == first)
      continue;
    lists[ktExpertListIds() + lists[0]] = expert;
    lists[ktExpertListStart(experts) + lists[0]] = first;
    lists[ktExpertListStart(experts) + ++lists[0]] = position;
  }
  return toBytes(lists);
}

bool usesPanels(Isa isa, const KtTypeInfo &format, int64_t tokens) {
  return isa >= Isa::Avx512 && !ktTypeTakesF32Activations(format.id) && tokens >= x64::panelCrossover(isa);
}

std::vector<Bytes> runPanelReference(KernelCase kernelCase, Isa isa) {
  if (isa >= Isa::Avx512 && intParam(kernelCase.params, "batch", 1) == 1)
    kernelCase.params["panels"] = x64::panelCrossover(isa);
  return runReference(kernelCase);
}

KernelCase withTokens(KernelCase kernelCase, int64_t m, bool dynamic, uint32_t tokens) {
  kernelCase.params["m"] = m;
  kernelCase.params["dynamic"] = int64_t(dynamic);
  kernelCase.step.nTokens = tokens;
  return kernelCase;
}

} // namespace ktc::test
