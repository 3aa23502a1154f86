// How much work one dispatch of a schedule is, in terms that do not depend on the machine.
//
// Matrix families (linear, gate_up, down) are lists of matrices by format; all others are counted in items.
// `ktc probe` measures rates for the same items, so a prediction is a division. No MLIR here.
#pragma once

#include "templates/params.h"

#include <cstdint>
#include <string>
#include <vector>

namespace ktc {

// One dispatch: what sched.dispatch and its sched.kernel say.
struct DispatchShape {
  std::string family;
  Params params;
  int64_t units = 0, unitsPerToken = 0;
  bool barrier = false; // all threads meet before it
};

inline int64_t unitsOf(const DispatchShape &dispatch, int64_t tokens) {
  return dispatch.units + dispatch.unitsPerToken * tokens;
}

// A weight matrix, or one for each of `experts` experts.
struct MatrixWork {
  std::string format;
  double weights = 0;     // elements of one expert
  double bytes = 0;       // of one expert
  int64_t experts = 1;    // that can be chosen
  double chosenShare = 1; // probability that a token chooses a given expert: top_k / experts
};

struct Work {
  std::vector<MatrixWork> matrices; // empty: `items` counts
  // Elements of rows (norms, quantisation, rope, sums), logits times choices (router), products of queries,
  // keys and values (attention), for all tokens together.
  double items = 0;
  double cacheBytes = 0; // of the KV cache that are read
  double hostBytes = 0;  // that pass between the host's and the GPU's memory
};

// The work of `dispatch` for `tokens` tokens after `past` others. An unknown family counts the elements of its
// rows.
Work workOf(const DispatchShape &dispatch, int64_t tokens, int64_t past);

// Families whose kernels for a run-time number of tokens differ have a second rate under family + suffix.
inline constexpr const char *kPrefillSuffix = "_prefill";

// Experts that `tokens` tokens choose together, if each chooses evenly: experts * (1 - (1 - share)^tokens).
double expectedExperts(const MatrixWork &matrix, int64_t tokens);

// Probability that exactly `rows` of `tokens` tokens choose a given expert, for rows = 0..tokens; entries at
// both ends that add up to less than 1e-9 may be 0.
std::vector<double> rowDistribution(double share, int64_t tokens);

} // namespace ktc
