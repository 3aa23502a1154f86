// Weight operands of the matrix families, by their parameters (templates/README.md).
#include "compiler/placed-to-schedule/MatrixOperands.h"

#include "runtime/abi/kt_abi.h"

using namespace mlir;

namespace ktc {

// Bytes of a row of `k` weights of the format `name`; 0 if there is no such format.
static int64_t rowBytes(StringRef name, int64_t k) {
  const KtTypeInfo *info = ktTypeInfoNamed(name.data(), name.size());
  return info ? k / info->blockElements * info->blockBytes : 0;
}

SmallVector<MatrixOperand> matrixOperands(sched::DispatchOp dispatch, KernelEditor &kernels) {
  constexpr unsigned linearW = 1, gate = 2, up = 3, downW = 2;
  const StringRef family = kernels.family(dispatch);
  const bool isRouted = family != "linear" && kernels.integer(dispatch, "dense") == 0;
  SmallVector<MatrixOperand> matrices;
  const int64_t n = kernels.integer(dispatch, "n");
  auto add = [&](unsigned operand, StringRef format, int64_t rows) {
    matrices.push_back(
        {operand, rowBytes(kernels.text(dispatch, format), kernels.integer(dispatch, "k")), rows, isRouted});
  };
  if (family == "linear") {
    // Batches share the threads too; they are one matrix if they lie like whole units one after another.
    const int64_t batch = kernels.integer(dispatch, "batch"), step = kernels.integer(dispatch, "w_batch_rows");
    const bool joined = n % KT_ROWS_PER_UNIT == 0 && (step == 0 || step == n);
    add(linearW, "format", batch <= 1 ? n : (joined ? n * batch : 0));
  } else if (family == "gate_up") {
    add(gate, "format_gate", n);
    add(up, "format_up", n);
  } else if (family == "down") {
    add(downW, "format", n);
  }
  return matrices;
}

} // namespace ktc
