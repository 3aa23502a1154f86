// What the matrix families share on the host: their common parameters, and the shapes of their kernels.
#pragma once

#include "templates/cuda/families.h"
#include "templates/param_check.h"

#include <initializer_list>
#include <string>

namespace ktc::cuda {

// Most tokens of the kernels that stream weights (kernels/stream.cuh); more go by tiles (kernels/tile.cuh).
constexpr int64_t mostStreamTokens = 16;

// Parameters that `linear`, `gate_up`, `down` and `down_slots` have in common.
struct MatrixSpec {
  int64_t n = 0, k = 0, m = 0;
  bool dynamic = false, bias = false;
  bool xBfloat = false, yBfloat = false;
  bool streams() const { return !dynamic && m <= mostStreamTokens; }
};
MatrixSpec readMatrix(const Params &params);

// Experts of a routed kernel; one for dense ones.
struct ExpertsSpec {
  bool dense = false;
  int64_t experts = 1, topK = 1;
};
ExpertsSpec readExperts(const Params &params);

// The weight format params[name], of which rows of `k` elements exist.
const KtTypeInfo &readFormat(const Params &params, std::string_view name, int64_t k);

// The largest power of two up to 16 that divides every one of `bytes`: how rows of activations are aligned.
int64_t commonAlignment(std::initializer_list<int64_t> bytes);

// "Name<a, b, …>" of integers, and of types given as text.
class TemplateText {
public:
  explicit TemplateText(std::string_view name) : text(name) {}
  TemplateText &operator<<(int64_t argument) { return *this << std::to_string(argument); }
  TemplateText &operator<<(const std::string &argument) {
    text += (isFirst ? "<" : ", ") + argument;
    isFirst = false;
    return *this;
  }
  std::string str() const { return text + ">"; }

private:
  std::string text;
  bool isFirst = true;
};

// How a streaming kernel is laid out.
struct StreamShape {
  uint32_t warps = 1, stages = 2;
};
// Bytes that a warp's ring needs per stage.
int64_t streamStage(const KtTypeInfo &format, const MatrixSpec &spec, int64_t tiles);
// Warps and stages for `units` units of k that up to `mostWarps` warps share, `stage` bytes each. Two blocks
// fit into an SM.
StreamShape chooseStream(Sm sm, int64_t stage, int64_t units, uint32_t mostWarps = 8);
// Units of k of a format (kernels/quant.cuh).
int64_t unitsOf(const KtTypeInfo &format, int64_t k);

// Bytes of shared memory that a block may have.
int64_t mostSharedBytes(Sm sm);

} // namespace ktc::cuda
