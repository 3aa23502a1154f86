// The plain product y[t][b] (+)= W[b] x[t][b] + bias, which `linear` and dense `down` are.
#pragma once

#include "templates/cuda/matrix.h"

namespace ktc::cuda {

// Strides in elements, as templates/README.md has them.
struct LinearSpec {
  MatrixSpec matrix;
  const KtTypeInfo *format = nullptr;
  int64_t batch = 1, wBatchRows = 0, xStride = 0, xBatchStride = 0, yStride = 0, yBatchStride = 0;
  bool accumulate = false;
};

// Reads the parameters of `linear`. Throws ParamError.
LinearSpec readLinear(const Params &params);

// LinearLayout (kernels/linear.cuh) of the product.
std::string layoutText(const LinearSpec &spec);
// Tiles of 16 rows that a block of a streaming kernel has, 1 or 2.
int64_t rowTiles(const LinearSpec &spec);
// The type in namespace kt of a streaming kernel; `part`: LinearOperands (kernels/linear.cuh).
std::string streamText(const LinearSpec &spec, int part, int64_t tiles, const StreamShape &shape);

// A streaming kernel of the product: its type, and its grid of blocks of rows and batches.
struct StreamText {
  std::string body;
  StreamShape shape;
  Launch launch;
};
StreamText streamProduct(const LinearSpec &spec, int part, Sm sm);

// The kernel of the product, with the operands of `linear`, or of `down` if `isDown`. Throws ParamError.
Instance makeProduct(const LinearSpec &spec, bool isDown, Sm sm);

} // namespace ktc::cuda
