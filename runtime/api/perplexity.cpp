// Perplexity of a text by llama.cpp's protocol, so that numbers can be compared with published ones.
#include "runtime/api/perplexity.h"

#include "runtime/api/model.h"
#include "runtime/plan/message.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace ktrt::api {

double negativeLogLikelihood(const float *logits, size_t vocabulary, int32_t target) {
  float maximum = *std::max_element(logits, logits + vocabulary);
  double sum = 0;
  for (size_t i = 0; i < vocabulary; ++i)
    sum += std::exp(static_cast<double>(logits[i]) - maximum);
  return std::log(sum) - (static_cast<double>(logits[target]) - maximum);
}

void PerplexitySum::add(double nll) {
  ++tokens;
  sum += nll;
  sumOfSquares += nll * nll;
}

double PerplexitySum::perplexity() const { return tokens ? std::exp(sum / tokens) : 0; }

double PerplexitySum::uncertainty() const {
  if (tokens < 2)
    return 0;
  double mean = sum / tokens;
  double variance = std::max(0.0, sumOfSquares / tokens - mean * mean);
  return perplexity() * std::sqrt(variance / (tokens - 1));
}

namespace {

// Evaluates one window on an empty cache and scores its second half.
KtrtStatus scoreWindow(KtrtModel &model, std::span<const int32_t> window, PerplexitySum &sum) {
  uint32_t vocabulary = model.session->vocab();
  size_t first = window.size() / 2, last = window.size() - 2;
  bool finite = true;
  KtrtStatus status = evaluateAll(model, window, 0, [&](uint32_t row0, uint32_t rows, const float *logits) {
    for (size_t row = std::max<size_t>(row0, first); row < row0 + rows && row <= last; ++row) {
      double nll = negativeLogLikelihood(logits + (row - row0) * vocabulary, vocabulary, window[row + 1]);
      finite = finite && std::isfinite(nll);
      sum.add(nll);
    }
    return finite;
  });
  if (status == KTRT_OK && !finite)
    return fail(KTRT_ERROR, "the logits are not finite numbers: the weights or a kernel are damaged");
  return status;
}

KtrtStatus run(KtrtModel &model, std::span<const int32_t> tokens, const KtrtPerplexityOptions &options,
               KtrtPerplexityResult &result) {
  uint32_t size = options.window ? options.window : 512;
  if (size < 4)
    return fail(KTRT_INVALID_ARGUMENT, "a perplexity window needs at least 4 tokens");
  if (size > model.session->contextLimit())
    return fail(KTRT_CONTEXT_FULL, formatText("a window of %u tokens does not fit the context of %u positions",
                                              size, model.session->contextLimit()));
  if (tokens.size() < size)
    return fail(KTRT_ERROR, formatText("the text has %zu tokens, a window needs %u", tokens.size(), size));
  uint32_t chunks = static_cast<uint32_t>(std::min<size_t>(tokens.size() / size, UINT32_MAX));
  if (options.maxChunks)
    chunks = std::min(chunks, options.maxChunks);

  auto start = std::chrono::steady_clock::now();
  PerplexitySum sum;
  std::vector<int32_t> window(size);
  for (uint32_t chunk = 0; chunk < chunks; ++chunk) {
    std::copy_n(tokens.begin() + static_cast<size_t>(chunk) * size, size, window.begin());
    if (addsBos(model))
      window[0] = bosToken(model);
    if (KtrtStatus status = scoreWindow(model, window, sum); status != KTRT_OK)
      return status;
    if (options.onChunk && options.onChunk(options.user, chunk + 1, chunks, sum.perplexity()))
      return fail(KTRT_CANCELLED, "cancelled");
  }
  result.perplexity = sum.perplexity();
  result.uncertainty = sum.uncertainty();
  result.tokens = sum.count();
  result.chunks = chunks;
  result.seconds = secondsSince(start);
  return KTRT_OK;
}

} // namespace
} // namespace ktrt::api

using namespace ktrt::api;

KtrtStatus ktrtPerplexity(KtrtModel *model, const int32_t *tokens, size_t count,
                          const KtrtPerplexityOptions *options, KtrtPerplexityResult *result) {
  return guard([&] {
    if (!model || (!tokens && count) || !result || !validStruct(options) || !validStruct(result))
      return fail(KTRT_INVALID_ARGUMENT, "ktrtPerplexity: a required argument is missing");
    KtrtPerplexityResult value{};
    KtrtStatus status = run(*model, {tokens, count}, readStruct(options), value);
    if (status == KTRT_OK)
      writeStruct(result, value);
    return status;
  });
}
