// Chooses the next token from logits.
//
// Order of the steps: repetition penalty -> top-k -> top-p -> min-p -> temperature -> draw. The filters see the
// model's own distribution and the temperature only reshapes what they left, so that a high temperature makes
// the choice among plausible tokens more even but never lets implausible ones in. The penalty comes first
// because it corrects the distribution that the filters judge.
//
// The same logits and seed give the same token on every machine: the generator, the conversion to floating
// point and exp() are our own, and ties are broken by token id.
#pragma once

#include "runtime/text/best_logits.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ktrt {

struct SamplingParams {
  float temperature = 0.8f;   // <= 0: always the most probable token
  int32_t topK = 40;          // keep the k best tokens; <= 0: all
  float topP = 0.95f;         // keep the fewest tokens that together reach this probability; >= 1: all
  float minP = 0.05f;         // drop tokens below this share of the best one's probability; <= 0: none
  float repeatPenalty = 1.0f; // > 1 makes recently used tokens less likely; 1 or <= 0: off
  int32_t repeatLastN = 64;   // how many recent tokens the penalty looks at; <= 0: none
  uint64_t seed = 0;
};

// xoshiro256**, seeded by splitmix64: small, fast, and specified bit by bit.
class RandomGenerator {
public:
  explicit RandomGenerator(uint64_t seed);
  uint64_t next();
  // Uniform in [0, 1) with 53 random bits.
  double nextUnit() { return double(next() >> 11) * 0x1.0p-53; }

private:
  uint64_t state[4];
};

// One per sequence; not thread-safe.
class Sampler {
public:
  explicit Sampler(const SamplingParams &params) : params(params), random(params.seed) {}

  // The chosen token id, or -1 if no logit is a number above -infinity. NaN counts as -infinity and +infinity
  // as the greatest finite value. Does not remember the token: call accept() for each token of the sequence.
  int32_t sample(std::span<const float> logits);

  // What sample() would choose if the logits of `forbidden` (ascending ids) were -infinity, from the largest
  // logits alone. Nothing, with the random sequence untouched, if the others may matter: more are to be kept
  // than there are here, a penalty that raises logits, or logits that are not finite.
  std::optional<int32_t> sampleBest(const BestLogits &best, std::span<const int32_t> forbidden);

  // Records a token of the prompt or the answer for the repetition penalty.
  void accept(int32_t token);

  // Forgets the recorded tokens and starts the random sequence anew.
  void reset();

private:
  struct Candidate {
    float logit;
    int32_t id;
    double weight; // proportional to the probability; set by the filters
  };
  static bool better(const Candidate &a, const Candidate &b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  }
  void collect(std::span<const float> logits);
  size_t collectBest(const BestLogits &best, std::span<const int32_t> forbidden);
  bool penalises() const;
  void penalise();
  void keepTopK();
  void weigh();
  void keepTopP();
  bool keepTopPOfAll(double total);
  void keepMinP();
  int32_t draw();

  SamplingParams params;
  RandomGenerator random;
  std::vector<int32_t> recent; // ring of the last repeatLastN tokens
  size_t recentNext = 0;
  std::vector<Candidate> candidates; // sorted best first after keepTopK()
};

} // namespace ktrt
