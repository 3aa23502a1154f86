// Which operands of a dispatch are weight matrices whose rows the threads share.
#pragma once

#include "compiler/placed-to-schedule/KernelEdit.h"

namespace ktc {

// One weight matrix of a dispatch, or one matrix per expert.
struct MatrixOperand {
  unsigned operand = 0;
  int64_t rowBytes = 0;
  int64_t rows = 0; // whose units follow each other in memory and are split over the threads; 0: there are gaps
  bool isRouted = false; // expert lists choose among many
};

// The matrices of `linear`, `gate_up` and `down` dispatches; empty for other families.
llvm::SmallVector<MatrixOperand> matrixOperands(sched::DispatchOp dispatch, KernelEditor &kernels);

} // namespace ktc
