// Ready-made kernel calls of the matrix families, shared by their tests.
#pragma once

#include "test/templates/kernel_case.h"

#include <string>
#include <vector>

namespace ktc::test {

// Names of all weight formats, in the order of KT_FOR_EACH_TYPE.
std::vector<std::string> formatNames();
const KtTypeInfo &formatInfo(const std::string &name);

// Row lengths worth testing in a format: one block, an odd number of blocks, full spans with and without a
// rest; for float formats also lengths below and beside the vector width.
std::vector<int64_t> testLengths(const KtTypeInfo &format);

// Weights of `rows` rows: encoded random values, or hostile bytes.
Bytes weightRows(const KtTypeInfo &format, int64_t rows, int64_t k, uint32_t seed, bool hostile = false);

// `rows` activation rows as the format wants them: q8 rows, q8k rows or float32.
Bytes activationRows(const KtTypeInfo &format, int64_t rows, int64_t k, uint32_t seed);
// The same values as float32, before quantisation.
std::vector<float> activationValues(int64_t rows, int64_t k, uint32_t seed);

// W x in double precision with dequantised weights [n][k]: [tokens][n] of x [tokens][k].
std::vector<float> floatProducts(const KtTypeInfo &format, const Bytes &weights, const std::vector<float> &x,
                                 int64_t n, int64_t k);

// Expert lists of kt_abi.h for token-major ids [tokens][topK].
Bytes expertLists(const std::vector<int32_t> &ids, int64_t experts);

// True if a kernel with dynamic = 1 multiplies a matrix of this format with `tokens` tokens by panels.
bool usesPanels(Isa isa, const KtTypeInfo &format, int64_t tokens);

// The result of the reference for the arithmetic that a kernel with dynamic = 1 uses on `isa`: panels from the
// crossover on, as templates/reference/panel.h models them.
std::vector<Bytes> runPanelReference(KernelCase kernelCase, Isa isa);

// A copy of `kernelCase` for the first `tokens` tokens and with the exact or dynamic form of the kernel.
KernelCase withTokens(KernelCase kernelCase, int64_t m, bool dynamic, uint32_t tokens);

} // namespace ktc::test
