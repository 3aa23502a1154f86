// The arithmetic of perplexity, apart from the model so that it can be tested by hand.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ktrt::api {

// -log softmax(logits)[target] in double precision, whatever the size of the logits. NaN if a logit is NaN.
double negativeLogLikelihood(const float *logits, size_t vocabulary, int32_t target);

// Mean over scored tokens, with its spread.
class PerplexitySum {
public:
  void add(double nll);
  uint64_t count() const { return tokens; }
  // exp(mean); 0 without tokens.
  double perplexity() const;
  // Standard error of the perplexity, by propagation from that of the mean; 0 with fewer than two tokens.
  double uncertainty() const;

private:
  uint64_t tokens = 0;
  double sum = 0;
  double sumOfSquares = 0;
};

} // namespace ktrt::api
