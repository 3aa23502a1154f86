// Sampling steps on one list of candidates; see the header for their order.
#include "runtime/text/sampler.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace ktrt {

namespace {

// e^x for x <= 0, from operations that IEEE 754 fixes bit by bit (the C library's exp differs between
// versions). Relative error below 1e-15, far under what single-precision logits resolve.
double expNonPositive(double x) {
  if (x < -700.0)
    return 0.0;
  constexpr double log2e = 1.4426950408889634, ln2High = 0x1.62e42fefa3800p-1, ln2Low = 0x1.ef35793c76730p-45;
  double n = std::floor(x * log2e + 0.5);
  double r = (x - n * ln2High) - n * ln2Low; // |r| <= ln(2) / 2
  double sum = 1.0, term = 1.0;
  for (int i = 1; i <= 14; ++i) {
    term = term * r / i;
    sum += term;
  }
  return std::ldexp(sum, int(n));
}

float cleaned(float logit) { return std::isnan(logit) ? -INFINITY : std::min(logit, FLT_MAX); }

} // namespace

RandomGenerator::RandomGenerator(uint64_t seed) {
  for (uint64_t &word : state) {
    seed += 0x9E3779B97F4A7C15ull;
    uint64_t z = seed;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    word = z ^ z >> 31;
  }
}

uint64_t RandomGenerator::next() {
  auto rotl = [](uint64_t x, int k) { return x << k | x >> (64 - k); };
  uint64_t result = rotl(state[1] * 5, 7) * 9, t = state[1] << 17;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= t;
  state[3] = rotl(state[3], 45);
  return result;
}

void Sampler::accept(int32_t token) {
  if (params.repeatLastN <= 0)
    return;
  if (recent.size() < size_t(params.repeatLastN))
    recent.push_back(token);
  else
    recent[recentNext++ % recent.size()] = token;
}

void Sampler::reset() {
  recent.clear();
  recentNext = 0;
  random = RandomGenerator(params.seed);
}

void Sampler::collect(std::span<const float> logits) {
  candidates.clear();
  for (size_t i = 0; i < logits.size(); ++i)
    if (float logit = cleaned(logits[i]); logit > -INFINITY)
      candidates.push_back({logit, int32_t(i), 0.0});
}

// Candidates from the best logits, in order. Returns how many of them certainly come before all other tokens: a
// penalty may have put some behind tokens that are not among the best.
size_t Sampler::collectBest(const BestLogits &best, std::span<const int32_t> forbidden) {
  candidates.clear();
  if (best.ids.empty() || (penalises() && params.repeatPenalty < 1.0f)) // which may lift any token
    return 0;
  for (size_t i = 0; i < best.ids.size(); ++i) {
    const int32_t id = best.ids[i];
    if (!std::isfinite(best.logits[i]) || id < 0 || uint32_t(id) >= best.vocabulary)
      return 0;
    if (!std::binary_search(forbidden.begin(), forbidden.end(), id))
      candidates.push_back({best.logits[i], id, 0.0});
  }
  penalise();
  std::sort(candidates.begin(), candidates.end(), better);
  const Candidate last{best.logits.back(), best.ids.back(), 0.0};
  size_t certain = candidates.size();
  while (best.ids.size() < best.vocabulary && certain > 0 && better(last, candidates[certain - 1]))
    --certain;
  return certain;
}

bool Sampler::penalises() const {
  return !recent.empty() && params.repeatPenalty != 1.0f && params.repeatPenalty > 0;
}

// Divides positive and multiplies negative logits of recent tokens, each token once.
void Sampler::penalise() {
  if (!penalises())
    return;
  std::vector<int32_t> unique(recent);
  std::sort(unique.begin(), unique.end());
  for (Candidate &c : candidates)
    if (std::binary_search(unique.begin(), unique.end(), c.id))
      c.logit = std::clamp(c.logit > 0 ? c.logit / params.repeatPenalty : c.logit * params.repeatPenalty,
                           -FLT_MAX, FLT_MAX);
}

// Also sorts what is kept, best first, and gives each candidate its weight at temperature 1.
void Sampler::keepTopK() {
  size_t k = params.topK > 0 ? std::min(size_t(params.topK), candidates.size()) : candidates.size();
  if (k < candidates.size()) {
    std::nth_element(candidates.begin(), candidates.begin() + ptrdiff_t(k), candidates.end(), better);
    candidates.resize(k);
  }
  std::sort(candidates.begin(), candidates.end(), better);
  weigh();
}

void Sampler::weigh() {
  for (Candidate &c : candidates)
    c.weight = expNonPositive(double(c.logit) - double(candidates[0].logit));
}

void Sampler::keepTopP() {
  if (!(params.topP < 1.0f))
    return;
  double total = 0, sum = 0;
  for (const Candidate &c : candidates)
    total += c.weight;
  size_t kept = 0;
  while (kept < candidates.size() && (kept == 0 || sum < double(params.topP) * total))
    sum += candidates[kept++].weight;
  candidates.resize(kept);
}

// Top-p where the candidates are the best of all tokens, whose weights add up to about `total`. False if a sum
// is too near to the limit to say, or the limit is not reached.
bool Sampler::keepTopPOfAll(double total) {
  constexpr double tolerance = 1e-4; // ten times what BestLogits promises
  const double limit = double(params.topP) * total;
  double sum = 0;
  for (size_t kept = 0; kept < candidates.size();) {
    sum += candidates[kept++].weight;
    if (sum >= limit * (1 + tolerance)) {
      candidates.resize(kept);
      return true;
    }
    if (!(sum < limit * (1 - tolerance)))
      return false;
  }
  return false;
}

void Sampler::keepMinP() {
  if (!(params.minP > 0.0f))
    return;
  size_t kept = 1; // weights are relative to the best candidate, whose weight is 1
  while (kept < candidates.size() && candidates[kept].weight >= double(params.minP))
    ++kept;
  candidates.resize(kept);
}

int32_t Sampler::draw() {
  double total = 0;
  for (Candidate &c : candidates) {
    c.weight = expNonPositive((double(c.logit) - double(candidates[0].logit)) / double(params.temperature));
    total += c.weight;
  }
  double rest = random.nextUnit() * total;
  for (const Candidate &c : candidates) {
    rest -= c.weight;
    if (rest < 0)
      return c.id;
  }
  return candidates[0].id; // rounding used up the last candidate
}

std::optional<int32_t> Sampler::sampleBest(const BestLogits &best, std::span<const int32_t> forbidden) {
  const size_t certain = collectBest(best, forbidden);
  if (certain == 0)
    return std::nullopt;
  if (!(params.temperature > 0.0f))
    return candidates[0].id;
  const bool isAll = best.ids.size() == best.vocabulary;
  const bool keepsCertain = isAll || (params.topK > 0 && size_t(params.topK) <= certain);
  candidates.resize(params.topK > 0 ? std::min(size_t(params.topK), certain) : certain);
  weigh();
  if (keepsCertain) {
    keepTopP();
  } else if (params.topP < 1.0f) { // of more tokens than are here
    const bool sumIsTheirs = params.topK <= 0 && !penalises() && forbidden.empty();
    if (!sumIsTheirs || !keepTopPOfAll(best.sum))
      return std::nullopt;
  } else if (!(params.minP > 0.0f) || candidates.back().weight >= double(params.minP)) {
    return std::nullopt;
  }
  keepMinP();
  return draw();
}

int32_t Sampler::sample(std::span<const float> logits) {
  collect(logits);
  if (candidates.empty())
    return -1;
  penalise();
  if (!(params.temperature > 0.0f)) { // NaN too
    const Candidate *best = &candidates[0];
    for (const Candidate &c : candidates)
      if (c.logit > best->logit)
        best = &c;
    return best->id;
  }
  keepTopK();
  keepTopP();
  keepMinP();
  return draw();
}

} // namespace ktrt
