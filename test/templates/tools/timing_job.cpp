// Calls of one kernel with their operands: see timing_job.h.
#include "test/templates/tools/timing_job.h"

#include "templates/specs.h"
#include "test/templates/tools/measure.h"

#include <algorithm>
#include <array>
#include <immintrin.h>
#include <random>

namespace ktc::timing {

namespace {

constexpr size_t listCount = 64; // different choices of experts

// Operand numbers by family: activations, weights, results, lists.
struct Layout {
  std::vector<int> activations, weights;
  int results, lists;
};

Layout layoutOf(const std::string &family) {
  if (family == "gate_up")
    return {{0, 1, 6}, {2, 3}, 4, 5};
  if (family == "down")
    return {{0, 1}, {2}, 3, 4};
  return {{0}, {1}, 2, 0};
}

// Reads `bytes` bytes and does nothing with them.
void readOnly(const char *from, size_t bytes) {
  for (size_t at = 0; at + 256 <= bytes; at += 256)
    asm volatile("vmovups (%0), %%ymm0\n vmovups 32(%0), %%ymm0\n vmovups 64(%0), %%ymm0\n"
                 "vmovups 96(%0), %%ymm0\n vmovups 128(%0), %%ymm0\n vmovups 160(%0), %%ymm0\n"
                 "vmovups 192(%0), %%ymm0\n vmovups 224(%0), %%ymm0"
                 :
                 : "r"(from + at)
                 : "xmm0");
}

} // namespace

void OperandMemory::need(int number, size_t bytes) {
  operands[number].bytes = std::max(operands[number].bytes, bytes);
}

bool OperandMemory::allocate() {
  for (auto &[number, operand] : operands)
    if (operand.address = timing::allocate(operand.bytes, hugePages); !operand.address)
      return false;
  return true;
}

char *OperandMemory::at(int number) const { return operands.at(number).address; }

Job::Job(std::string familyName, const Params &params, size_t streamBytes) noexcept
    : family(std::move(familyName)) {
  if (family != "linear" && family != "gate_up" && family != "down") {
    wrong = "--time knows linear, gate_up, down and the attention families";
    return;
  }
  n = intParam(params, "n", 0);
  k = intParam(params, "k", 0);
  m = intParam(params, "m", 1);
  routed = family != "linear" && intParam(params, "dense", 0) == 0;
  byCost = routed && intParam(params, "by_cost", 0) == 1;
  experts = routed ? intParam(params, "experts", 1) : 1;
  topK = routed ? intParam(params, "top_k", 1) : 1;
  const Layout layout = layoutOf(family);
  const std::vector<const char *> names = family == "gate_up"
                                              ? std::vector<const char *>{"format_gate", "format_up"}
                                              : std::vector<const char *>{"format"};
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string name = stringParam(params, names[i], "");
    const KtTypeInfo *info = ktTypeInfoNamed(name.data(), name.size());
    if (!info || !info->supported) {
      wrong = "--time needs the formats of the weights";
      return;
    }
    format = i == 0 ? name : format;
    matrices.push_back({layout.weights[i], size_t(n * k) / info->blockElements * info->blockBytes});
  }
  if (intParam(params, "packed", 0))
    packedOperand = family == "down" ? 7 : 4;
  copyCount = static_cast<int64_t>(std::max<size_t>(1, (streamBytes + copyBytes() - 1) / copyBytes()));
}

size_t Job::copyBytes() const {
  size_t sum = 0;
  for (const Matrix &matrix : matrices)
    sum += matrix.expertBytes * size_t(experts);
  return sum;
}

size_t Job::bytes(int64_t index) const {
  const size_t expertBytes = copyBytes() / size_t(experts);
  return routed ? expertBytes * size_t(lists[size_t(index) % listCount][0]) : expertBytes;
}

double Job::meanBytes() const {
  double sum = 0;
  for (size_t i = 0; i < listCount; ++i)
    sum += static_cast<double>(bytes(static_cast<int64_t>(i)));
  return sum / listCount;
}

void Job::needOperands(OperandMemory &memory) const {
  const Layout layout = layoutOf(family);
  const int64_t slots = m * topK;
  for (int operand : layout.activations) // any kind, with room to spare
    memory.need(operand, size_t(slots) * (size_t(k) * 4 + ktQ8RowBytes(size_t(k)) + 64));
  for (const Matrix &matrix : matrices)
    memory.need(matrix.operand, matrix.expertBytes * size_t(experts) * size_t(copyCount));
  memory.need(layout.results, size_t(slots * n) * 4);
  if (packedOperand >= 0)
    memory.need(packedOperand, size_t(packedBlocks(slots, routed ? experts : 0) * packedBlockBytes(k)));
}

// Lists of random choices, as the kernel of expert_group makes them.
bool Job::makeLists(x64::Isa isa) {
  const Params params = {{"experts", experts}, {"top_k", topK}, {"m", m}};
  auto kernel = x64::generate("expert_group", params, isa);
  if (!kernel)
    return false;
  const KtKernelFn group = loadCode(*kernel);
  char *ownScratch = allocate(kernel->scratchBytes + 64);
  if (!group || !ownScratch)
    return false;
  std::mt19937 random(1);
  std::vector<int32_t> all(static_cast<size_t>(experts)), ids;
  for (size_t i = 0; i < all.size(); ++i)
    all[i] = static_cast<int32_t>(i);
  const KtStep step = {static_cast<uint32_t>(m), 0, 0, 0};
  for (size_t i = 0; i < listCount; ++i) {
    ids.clear();
    for (int64_t t = 0; t < m; ++t) {
      std::shuffle(all.begin(), all.end(), random);
      ids.insert(ids.end(), all.begin(), all.begin() + topK);
    }
    lists.emplace_back(ktExpertListBytes(size_t(experts), ids.size()) / 4);
    void *const groupOperands[] = {ids.data(), lists.back().data()};
    const KtKernelArgs args = {groupOperands, &step, ownScratch, 0, 1, 0, 1};
    group(&args);
  }
  return true;
}

const char *Job::prepare(const x64::Kernel &kernel, x64::Isa isa, int64_t threads,
                         const OperandMemory &memory) {
  if (routed && !makeLists(isa))
    return "--time needs experts and top_k, or dense=1";
  threadCount = threads;
  scratchBytes = (kernel.scratchBytes + 127) / 64 * 64;
  scratch = allocate(scratchBytes * size_t(threads));
  code = loadCode(kernel);
  if (!code || !scratch)
    return "out of memory";
  const Layout layout = layoutOf(family);
  operands.assign(9, nullptr);
  for (int operand : layout.activations)
    operands[size_t(operand)] = memory.at(operand);
  for (int operand : layout.weights)
    operands[size_t(operand)] = memory.at(operand);
  operands[size_t(layout.results)] = memory.at(layout.results);
  if (packedOperand >= 0)
    operands[size_t(packedOperand)] = memory.at(packedOperand);
  return nullptr;
}

void Job::call(int64_t thread, int64_t index) const {
  std::array<void *, 9> own;
  std::copy(operands.begin(), operands.end(), own.begin());
  for (const Matrix &matrix : matrices)
    own[size_t(matrix.operand)] = static_cast<char *>(operands[size_t(matrix.operand)]) +
                                  matrix.expertBytes * size_t(experts) * size_t(index % copyCount);
  if (routed)
    own[size_t(layoutOf(family).lists)] = const_cast<int32_t *>(lists[size_t(index) % listCount].data());
  const int64_t units = byCost ? KT_SHARES : (n + KT_ROWS_PER_UNIT - 1) / KT_ROWS_PER_UNIT;
  const KtStep step = {static_cast<uint32_t>(m), 0, 0, 0};
  const KtKernelArgs args = {own.data(),
                             &step,
                             scratch + scratchBytes * size_t(thread),
                             static_cast<uint32_t>(units * thread / threadCount),
                             static_cast<uint32_t>(units * (thread + 1) / threadCount),
                             static_cast<uint32_t>(thread),
                             static_cast<uint32_t>(threadCount)};
  code(&args);
}

void Job::read(int64_t thread, int64_t index) const {
  for (const Matrix &matrix : matrices) {
    const size_t bytes = matrix.expertBytes * size_t(experts), share = bytes / size_t(threadCount);
    readOnly(static_cast<const char *>(operands[size_t(matrix.operand)]) + bytes * size_t(index % copyCount) +
                 share * size_t(thread),
             share);
  }
}

} // namespace ktc::timing
