// What `kt-kernel --time` runs: calls of one kernel with weights, activations and expert lists.
#pragma once

#include "runtime/abi/kt_abi.h"
#include "templates/x64/x64.h"

#include <map>
#include <string>
#include <vector>

namespace ktc::timing {

// Memory of the operands that several jobs share: weights and activations of one address per operand number.
class OperandMemory {
public:
  explicit OperandMemory(bool hugePages) : hugePages(hugePages) {}
  // Notes that operand `number` has at least `bytes` bytes. Before allocate().
  void need(int number, size_t bytes);
  // False if there is no memory.
  bool allocate();
  char *at(int number) const;

private:
  struct Operand {
    size_t bytes = 0;
    char *address = nullptr;
  };
  std::map<int, Operand> operands;
  bool hugePages;
};

// Calls of one kernel of linear, gate_up or down, m tokens each. Without lists (linear, dense = 1) a call
// multiplies one whole matrix (gate_up: two). With lists it has all experts of a layer, and every token of it
// chose `top_k` of them at random (uniformly, with a fixed seed); so it touches the union of the choices.
// Successive calls walk through as many copies of the matrices as fill `streamBytes`, and through different
// choices.
class Job {
public:
  Job(std::string family, const Params &params, size_t streamBytes) noexcept;

  // Null if the job can be made, else what is wrong.
  const char *problem() const { return wrong; }
  void needOperands(OperandMemory &memory) const;
  // Code, scratch and lists, for `threads` threads and kernels of `isa`. Null or what is wrong.
  const char *prepare(const x64::Kernel &kernel, x64::Isa isa, int64_t threads, const OperandMemory &memory);

  // Thread `thread`'s share of call number `index`.
  void call(int64_t thread, int64_t index) const;
  // The same share of the weights of copy `index`, which are only read.
  void read(int64_t thread, int64_t index) const;

  // Bytes of weights that call `index` touches, those of a copy, and the mean over many calls.
  size_t bytes(int64_t index) const;
  size_t copyBytes() const;
  double meanBytes() const;
  // Weights of a copy, and products of a call.
  double copyWeights() const {
    return static_cast<double>(n * k * experts) * static_cast<double>(matrices.size());
  }
  double products() const {
    return static_cast<double>(n * k * m * topK) * static_cast<double>(matrices.size());
  }
  int64_t copies() const { return copyCount; }

  std::string format;
  int64_t n = 0, k = 0, m = 1;

private:
  struct Matrix {
    int operand;
    size_t expertBytes;
  };
  bool makeLists(x64::Isa isa);

  std::string family;
  bool routed = false, byCost = false;
  int64_t experts = 1, topK = 1, copyCount = 1, threadCount = 1;
  std::vector<Matrix> matrices;
  int packedOperand = -1; // activations in panel layout; -1: the kernel packs them
  const char *wrong = nullptr;
  std::vector<std::vector<int32_t>> lists; // of a few dozen calls; empty unless routed
  std::vector<void *> operands;
  KtKernelFn code = nullptr;
  char *scratch = nullptr;
  size_t scratchBytes = 0;
};

} // namespace ktc::timing
