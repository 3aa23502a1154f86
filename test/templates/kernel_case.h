// Runs a kernel and its reference on the same operands, for the tests of the row-wise, attention and router
// families.
//
// Operands are copied into mappings that end at an inaccessible page; inputs are read-only while the kernel
// runs. A read or write past an operand, or a write to an input, therefore faults, and a write before one is
// found.
#pragma once

#include "templates/reference/reference.h"
#include "templates/x64/x64.h"

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace ktc::test {

using x64::Isa;
using Bytes = std::vector<uint8_t>;

// One kernel call: which kernel, with which operands (empty = absent), and how much work.
struct KernelCase {
  std::string family;
  Params params;
  std::vector<Bytes> operands;
  std::vector<size_t> outputs; // operands that the kernel writes
  uint32_t units = 1;
  KtStep step = {1, 0, 0, 0};
};

// The bytes of a vector of numbers, and back.
template <typename T> Bytes toBytes(const std::vector<T> &values) {
  Bytes bytes(values.size() * sizeof(T));
  if (!bytes.empty())
    std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}
template <typename T> std::vector<T> fromBytes(const Bytes &bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty())
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

// `count` reproducible values, roughly normal with the given standard deviation.
std::vector<float> randomFloats(uint32_t seed, size_t count, float deviation = 1.0f);

// Values rounded to a cache type, as bytes of that type ("f16", "bf16", "f32", "q8_0": whole blocks).
Bytes cacheBytes(const std::vector<float> &values, const std::string &type);

// The same values after the rounding of `cacheBytes`.
std::vector<float> cacheValues(const std::vector<float> &values, const std::string &type);

// ISA levels that the host can run, without a word about the others (support/host.h).
std::vector<Isa> hostIsas();

// Normalised mean squared error of `got` against `want`; infinity when the sizes differ or a value is not
// finite.
double nmse(const std::vector<float> &got, const std::vector<float> &want);

// Operands after the reference ran over all units.
std::vector<Bytes> runReference(const KernelCase &kernelCase);

// Operands after the kernel generated for `isa` ran over all units, split over `parts` calls.
std::vector<Bytes> runGenerated(const KernelCase &kernelCase, Isa isa, uint32_t parts = 1);

// Compares an output operand: (index, from the kernel, from the reference).
using Compare = std::function<void(size_t operand, const Bytes &got, const Bytes &want)>;

// Generates the kernel for every host ISA and checks, besides `compare` on each output: generating again and
// for another m gives the same bytes; splitting the units any way gives the same bits; nothing outside is
// touched.
void checkKernel(const KernelCase &kernelCase, const Compare &compare);

// Comparisons for checkKernel: NMSE of float32 at most 1e-6, and equality of bytes.
void expectClose(size_t operand, const Bytes &got, const Bytes &want);
void expectEqual(size_t operand, const Bytes &got, const Bytes &want);

// Both the generator (every ISA) and the reference refuse these parameters with a message that contains `part`.
void expectRefused(const std::string &family, const Params &params, const std::string &part);

} // namespace ktc::test
