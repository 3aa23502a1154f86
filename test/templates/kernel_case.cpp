// Guarded execution of generated kernels; see kernel_case.h.
#include "test/templates/kernel_case.h"

#include "templates/x64/families.h"
#include "test/templates/support/encode.h"
#include "test/templates/support/host.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <memory>
#include <random>
#include <sys/mman.h>
#include <unistd.h>

namespace ktc::test {
namespace {

constexpr uint8_t Canary = 0xA5;

size_t pageBytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

// Memory whose end (rounded up to `alignment`) touches an inaccessible page; the bytes before it hold canaries.
class GuardedMemory {
public:
  explicit GuardedMemory(size_t bytes, size_t alignment = 1) : bytes(bytes) {
    size_t page = pageBytes();
    usable = (bytes + page - 1) / page * page + page;
    void *mapped = mmap(nullptr, usable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    base = static_cast<uint8_t *>(mapped);
    mprotect(base + usable, page, PROT_NONE);
    offset = (usable - bytes) / alignment * alignment;
    std::memset(base, Canary, usable);
  }
  GuardedMemory(const GuardedMemory &) = delete;
  GuardedMemory &operator=(const GuardedMemory &) = delete;
  ~GuardedMemory() { munmap(base, usable + pageBytes()); }

  uint8_t *data() { return base + offset; }
  void protect(int protection) { mprotect(base, usable, protection); }

  // True when the canaries before the data are untouched.
  bool intact() const {
    return std::all_of(base, base + offset, [](uint8_t byte) { return byte == Canary; });
  }

private:
  size_t bytes, usable = 0, offset = 0;
  uint8_t *base = nullptr;
};

// Calls `kernel` over the case's units in `parts` calls and returns the operands afterwards.
std::vector<Bytes> runGuarded(const KernelCase &kernelCase, const reference::KernelFn &kernel,
                              size_t scratchBytes, uint32_t parts) {
  std::vector<std::unique_ptr<GuardedMemory>> memory;
  std::vector<void *> pointers;
  for (size_t i = 0; i < kernelCase.operands.size(); ++i) {
    const Bytes &operand = kernelCase.operands[i];
    memory.push_back(std::make_unique<GuardedMemory>(operand.size()));
    std::copy(operand.begin(), operand.end(), memory.back()->data());
    pointers.push_back(operand.empty() ? nullptr : memory.back()->data());
    if (std::find(kernelCase.outputs.begin(), kernelCase.outputs.end(), i) == kernelCase.outputs.end())
      memory.back()->protect(PROT_READ);
  }
  GuardedMemory scratch(scratchBytes, 64);
  for (uint32_t part = 0; part < parts; ++part) {
    KtKernelArgs args = {};
    args.operands = pointers.data();
    args.step = &kernelCase.step;
    args.scratch = scratch.data();
    args.unitBegin = static_cast<uint32_t>(uint64_t(kernelCase.units) * part / parts);
    args.unitEnd = static_cast<uint32_t>(uint64_t(kernelCase.units) * (part + 1) / parts);
    args.thread = part;
    args.threadCount = parts;
    kernel(&args);
  }
  std::vector<Bytes> results;
  for (size_t i = 0; i < memory.size(); ++i) {
    EXPECT_TRUE(memory[i]->intact()) << "write before operand " << i;
    results.emplace_back(memory[i]->data(), memory[i]->data() + kernelCase.operands[i].size());
  }
  EXPECT_TRUE(scratch.intact()) << "write before the scratch";
  return results;
}

// Machine code in executable memory.
class LoadedKernel {
public:
  explicit LoadedKernel(const std::vector<uint8_t> &code) : bytes(code.size()) {
    memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::memcpy(memory, code.data(), bytes);
    mprotect(memory, bytes, PROT_READ | PROT_EXEC);
  }
  LoadedKernel(const LoadedKernel &) = delete;
  LoadedKernel &operator=(const LoadedKernel &) = delete;
  ~LoadedKernel() { munmap(memory, bytes); }

  KtKernelFn entry() const { return reinterpret_cast<KtKernelFn>(memory); }

private:
  size_t bytes;
  void *memory;
};

} // namespace

std::vector<float> randomFloats(uint32_t seed, size_t count, float deviation) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution(0.0f, deviation);
  std::vector<float> values(count);
  for (float &value : values)
    value = distribution(generator);
  return values;
}

Bytes cacheBytes(const std::vector<float> &values, const std::string &type) {
  if (type == "f32")
    return toBytes(values);
  if (type == "q8_0")
    return encode(KT_TYPE_Q8_0, values);
  std::vector<uint16_t> rounded;
  for (float value : values) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    _Float16 half = static_cast<_Float16>(value);
    uint16_t halfBits;
    std::memcpy(&halfBits, &half, 2);
    rounded.push_back(type == "f16" ? halfBits
                                    : static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16));
  }
  return toBytes(rounded);
}

std::vector<float> cacheValues(const std::vector<float> &values, const std::string &type) {
  Bytes bytes = cacheBytes(values, type);
  if (type == "f32")
    return fromBytes<float>(bytes);
  std::vector<float> result;
  for (uint16_t bits : fromBytes<uint16_t>(bytes)) {
    _Float16 half;
    std::memcpy(&half, &bits, 2);
    uint32_t wide = uint32_t(bits) << 16;
    float brain;
    std::memcpy(&brain, &wide, 4);
    result.push_back(type == "f16" ? static_cast<float>(half) : brain);
  }
  return result;
}

std::vector<Isa> hostIsas() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::Avx2, Isa::Avx2Vnni, Isa::Avx512, Isa::Amx})
    if (hostRuns(isa))
      isas.push_back(isa);
  return isas;
}

double nmse(const std::vector<float> &got, const std::vector<float> &want) {
  double error = 0, energy = 0;
  if (got.size() != want.size())
    return std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < got.size(); ++i) {
    error += (double(got[i]) - want[i]) * (double(got[i]) - want[i]);
    energy += double(want[i]) * want[i];
  }
  if (!std::isfinite(error))
    return std::numeric_limits<double>::infinity();
  return error == 0 ? 0 : error / std::max(energy, 1e-30);
}

std::vector<Bytes> runReference(const KernelCase &kernelCase) {
  auto kernel = reference::find(kernelCase.family, kernelCase.params);
  if (!kernel) {
    ADD_FAILURE() << kernel.error().message;
    return kernelCase.operands;
  }
  return runGuarded(kernelCase, *kernel, 0, 1);
}

std::vector<Bytes> runGenerated(const KernelCase &kernelCase, Isa isa, uint32_t parts) {
  auto kernel = x64::generate(kernelCase.family, kernelCase.params, isa);
  if (!kernel) {
    ADD_FAILURE() << kernel.error().message;
    return kernelCase.operands;
  }
  LoadedKernel loaded(kernel->code);
  return runGuarded(kernelCase, loaded.entry(), kernel->scratchBytes, parts);
}

void checkKernel(const KernelCase &kernelCase, const Compare &compare) {
  SCOPED_TRACE(kernelName(kernelCase.family, kernelCase.params));
  std::vector<Bytes> want = runReference(kernelCase);
  for (Isa isa : hostIsas()) {
    SCOPED_TRACE(isaName(isa));
    auto kernel = x64::generate(kernelCase.family, kernelCase.params, isa);
    ASSERT_TRUE(static_cast<bool>(kernel)) << kernel.error().message;
    alignas(64) static uint8_t elsewhere[1 << 18];
    auto again = x64::generateAt(kernelCase.family, kernelCase.params, {isa, elsewhere, sizeof(elsewhere)});
    ASSERT_TRUE(static_cast<bool>(again)) << again.error().message;
    EXPECT_EQ(kernel->code, again->code) << "the code depends on where it is emitted";

    if (kernelCase.family != "expert_group") { // the only one whose single unit sees all tokens
      Params other = kernelCase.params;
      other["m"] = int64_t(13);
      if (!kernelCase.family.starts_with("attention_")) // whose two forms are two generators
        other["dynamic"] = int64_t(1);
      auto wider = x64::generate(kernelCase.family, other, isa);
      ASSERT_TRUE(static_cast<bool>(wider)) << wider.error().message;
      EXPECT_EQ(kernel->code, wider->code) << "the code depends on m";
    }

    LoadedKernel loaded(kernel->code);
    std::vector<Bytes> got = runGuarded(kernelCase, loaded.entry(), kernel->scratchBytes, 1);
    for (size_t output : kernelCase.outputs)
      compare(output, got[output], want[output]);
    for (uint32_t parts : {3u, kernelCase.units})
      EXPECT_EQ(got, runGuarded(kernelCase, loaded.entry(), kernel->scratchBytes, parts))
          << "results depend on the split into " << parts;
  }
}

void expectClose(size_t operand, const Bytes &got, const Bytes &want) {
  EXPECT_LE(nmse(fromBytes<float>(got), fromBytes<float>(want)), 1e-6) << "operand " << operand;
}

void expectEqual(size_t operand, const Bytes &got, const Bytes &want) {
  auto at = std::mismatch(got.begin(), got.end(), want.begin(), want.end()).first - got.begin();
  EXPECT_TRUE(got == want) << "operand " << operand << " differs at byte " << at << " of " << got.size();
}

void expectRefused(const std::string &family, const Params &params, const std::string &part) {
  SCOPED_TRACE(kernelName(family, params));
  auto reference = reference::find(family, params);
  ASSERT_FALSE(static_cast<bool>(reference));
  EXPECT_NE(reference.error().message.find(part), std::string::npos) << reference.error().message;
  for (Isa isa : {Isa::Avx2, Isa::Avx2Vnni, Isa::Avx512, Isa::Amx}) {
    auto kernel = x64::generate(family, params, isa);
    ASSERT_FALSE(static_cast<bool>(kernel));
    EXPECT_NE(kernel.error().message.find(part), std::string::npos) << kernel.error().message;
  }
}

} // namespace ktc::test
