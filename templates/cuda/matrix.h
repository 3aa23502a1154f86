// What the matrix families share on the host: their common parameters, and the shapes of their kernels.
#pragma once

#include "templates/cuda/families.h"
#include "templates/param_check.h"
#include "templates/specs.h"

#include <initializer_list>
#include <string>

namespace ktc::cuda {

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

// Shared memory that a warp of a streaming kernel needs, in bytes.
struct StreamNeed {
  int64_t stage = 0;  // per stage of its ring
  int64_t scales = 0; // beside the ring
};
StreamNeed streamNeed(const KtTypeInfo &format, const MatrixSpec &spec, int64_t tiles);
// What both of two kinds of rings fit into, one after the other, with the same stages.
StreamNeed larger(const StreamNeed &a, const StreamNeed &b);

// What the blocks of a streaming kernel have to do.
struct StreamWork {
  int64_t units = 1;       // of k, that the warps of a block share
  int64_t fewestUnits = 1; // of one of several matrices
  int64_t blocks = 0;      // 0: not known
  bool early = false;      // Stream<…, Early>
};

// How a streaming kernel is laid out.
struct StreamShape {
  uint32_t warps = 1, stages = 2;
  int64_t ringBytes = 0;    // of all warps
  uint32_t blocksPerSm = 2; // that registers and shared memory are to allow
};
// Warps and stages for `work`. Two blocks fit into an SM where possible, three where that lets all blocks run
// at once.
StreamShape chooseStream(Sm sm, const StreamNeed &need, const StreamWork &work);
// Units of k of a format (kernels/quant.cuh).
int64_t unitsOf(const KtTypeInfo &format, int64_t k);

// Bytes of shared memory that a block may have.
int64_t mostSharedBytes(Sm sm);

} // namespace ktc::cuda
