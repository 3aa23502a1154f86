// The generation loop: prompt, then one token after the other until something ends it.
#include "runtime/api/model.h"
#include "runtime/plan/message.h"
#include "runtime/text/sampler.h"
#include "runtime/text/stop_matcher.h"
#include "runtime/text/utf8.h"

#include <algorithm>
#include <cmath>

namespace ktrt::api {
namespace {

KtrtSampling defaultSampling(const KtrtModel &model) {
  const SamplingParams fallback;
  KtrtSampling sampling = KTRT_INIT(KtrtSampling);
  sampling.repeatPenalty = fallback.repeatPenalty;
  sampling.repeatLastN = static_cast<uint32_t>(fallback.repeatLastN);
  sampling.topK = static_cast<uint32_t>(fallback.topK);
  sampling.topP = fallback.topP;
  sampling.minP = fallback.minP;
  sampling.temperature = fallback.temperature;
  if (const plan::Sampling *table = model.session->plan().sampling()) {
    sampling.repeatPenalty = table->repeat_penalty();
    sampling.topK = table->top_k();
    sampling.topP = table->top_p();
    sampling.minP = table->min_p();
    sampling.temperature = table->temperature();
  }
  return sampling;
}

// Names what is out of range, or nothing.
const char *samplingProblem(const KtrtSampling &sampling) {
  if (!(sampling.temperature >= 0) || !std::isfinite(sampling.temperature))
    return "the temperature must not be negative";
  if (!(sampling.topP >= 0 && sampling.topP <= 1))
    return "top-p must lie between 0 and 1";
  if (!(sampling.minP >= 0 && sampling.minP <= 1))
    return "min-p must lie between 0 and 1";
  if (!(sampling.repeatPenalty > 0) || !std::isfinite(sampling.repeatPenalty))
    return "the repetition penalty must be greater than 0";
  return nullptr;
}

SamplingParams samplerParams(const KtrtSampling &sampling) {
  SamplingParams params;
  params.repeatPenalty = sampling.repeatPenalty;
  params.repeatLastN = static_cast<int32_t>(std::min<uint32_t>(sampling.repeatLastN, INT32_MAX));
  params.topK = static_cast<int32_t>(std::min<uint32_t>(sampling.topK, INT32_MAX));
  params.topP = sampling.topP;
  params.minP = sampling.minP;
  params.temperature = sampling.temperature;
  params.seed = sampling.seed;
  return params;
}

size_t commonPrefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  size_t n = 0;
  while (n < a.size() && n < b.size() && a[n] == b[n])
    ++n;
  return n;
}

// One call of ktrtGenerate().
class Generation {
public:
  Generation(KtrtModel &model, const KtrtGenerateOptions &options, const KtrtSampling &sampling)
      : model(model), options(options), sampler(samplerParams(sampling)),
        stops(std::vector<std::string>(options.stops, options.stops + options.stopCount)) {
    if (options.ignoreEnd && model.tokenizer)
      for (int32_t id = 0; id < model.tokenizer->vocabularySize(); ++id)
        if (model.tokenizer->isEndOfGeneration(id))
          forbidden.push_back(id);
  }

  KtrtStatus run(std::span<const int32_t> prompt) {
    KtrtStatus status = evaluatePrompt(prompt);
    if (status == KTRT_OK) {
      auto start = std::chrono::steady_clock::now();
      status = decode();
      if (status == KTRT_OK || status == KTRT_CANCELLED)
        flush();
      result.decodeSeconds = secondsSince(start);
    }
    if (status == KTRT_CANCELLED) {
      result.finish = KTRT_FINISH_STOPPED;
      return KTRT_OK;
    }
    return status;
  }

  KtrtGenerateResult result{};

private:
  KtrtStatus evaluatePrompt(std::span<const int32_t> prompt);
  KtrtStatus decode();
  KtrtStatus choose(int32_t &token);
  bool emit(const std::string &text);
  bool show(const std::string &text);
  void flush();

  KtrtModel &model;
  const KtrtGenerateOptions &options;
  Sampler sampler;
  StopMatcher stops;
  Utf8Stream utf8;
  bool receiverDone = false;      // onText asked to stop: it is not called again
  std::vector<int32_t> forbidden; // never chosen; ascending
  std::vector<float> masked;      // logits without the forbidden tokens
};

// Evaluates what the cache does not hold yet; in pieces if somebody watches the progress.
KtrtStatus Generation::evaluatePrompt(std::span<const int32_t> prompt) {
  auto start = std::chrono::steady_clock::now();
  // The last token is always evaluated, because its logits are needed.
  size_t reused = std::min(commonPrefix(model.cached, prompt), prompt.size() - 1);
  size_t piece = options.onPrompt ? std::max<uint32_t>(model.session->prefillCapacity(), 1) : prompt.size();
  result.reusedTokens = static_cast<uint32_t>(reused);
  for (size_t done = reused; done < prompt.size();) {
    size_t count = std::min(piece, prompt.size() - done);
    KtrtStatus status = advance(model, prompt.subspan(done, count), static_cast<uint32_t>(done));
    result.promptSeconds = secondsSince(start);
    if (status != KTRT_OK)
      return status;
    done += count;
    result.promptTokens += static_cast<uint32_t>(count);
    if (options.onPrompt)
      options.onPrompt(options.user, done - reused, prompt.size() - reused);
  }
  for (int32_t token : prompt)
    sampler.accept(token);
  return KTRT_OK;
}

// From the largest logits, if that is enough, or else from all of them.
KtrtStatus Generation::choose(int32_t &token) {
  if (std::optional<int32_t> best = sampler.sampleBest(model.session->lastBest(), forbidden)) {
    token = *best;
    return KTRT_OK;
  }
  const float *logits = nullptr;
  if (KtrtStatus status = lastLogits(model, logits); status != KTRT_OK)
    return status;
  uint32_t vocabulary = model.session->vocab();
  if (forbidden.empty()) {
    token = sampler.sample({logits, vocabulary});
  } else {
    masked.assign(logits, logits + vocabulary);
    for (int32_t id : forbidden)
      masked[static_cast<size_t>(id)] = -INFINITY;
    token = sampler.sample(masked);
  }
  return token >= 0
             ? KTRT_OK
             : fail(KTRT_ERROR, "the logits are not finite numbers: the weights or a kernel are damaged");
}

KtrtStatus Generation::decode() {
  while (true) {
    if (model.stop.load(std::memory_order_relaxed))
      return KTRT_CANCELLED;
    int32_t token = -1;
    if (KtrtStatus status = choose(token); status != KTRT_OK)
      return status;
    if (model.tokenizer && !options.ignoreEnd && model.tokenizer->isEndOfGeneration(token)) {
      result.finish = KTRT_FINISH_END;
      return KTRT_OK;
    }
    ++result.generatedTokens;
    sampler.accept(token);
    if (model.tokenizer && !emit(utf8.feed(model.tokenizer->decodeToken(token, false))))
      return KTRT_CANCELLED;
    if (stops.stopped()) {
      result.finish = KTRT_FINISH_STRING;
      return KTRT_OK;
    }
    if (options.maxTokens && result.generatedTokens == options.maxTokens) {
      result.finish = KTRT_FINISH_LENGTH;
      return KTRT_OK;
    }
    if (model.cached.size() == model.session->contextLimit()) {
      result.finish = KTRT_FINISH_CONTEXT;
      return KTRT_OK;
    }
    KtrtStatus status = advance(model, {&token, 1}, static_cast<uint32_t>(model.cached.size()));
    if (status != KTRT_OK)
      return status;
    ++result.decodeSteps;
  }
}

// Passes on what the stop strings allow. False if the receiver wants no more.
bool Generation::emit(const std::string &text) { return show(stops.feed(text)); }

bool Generation::show(const std::string &text) {
  if (!text.empty() && options.onText && !receiverDone)
    receiverDone = options.onText(options.user, text.data(), text.size()) != 0;
  return !receiverDone;
}

// Hands out what was held back as a possible half of a character or of a stop string.
void Generation::flush() {
  if (stops.stopped() || !model.tokenizer)
    return;
  emit(utf8.finish());
  if (!stops.stopped())
    show(stops.finish());
}

KtrtStatus generate(KtrtModel &model, std::span<const int32_t> prompt, const KtrtGenerateOptions &options,
                    KtrtGenerateResult *result) {
  if (prompt.empty())
    return fail(KTRT_INVALID_ARGUMENT, "the prompt is empty");
  if (options.onText || options.stopCount)
    if (KtrtStatus status = requireText(model); status != KTRT_OK)
      return status;
  if (prompt.size() > model.session->contextLimit())
    return fail(KTRT_CONTEXT_FULL,
                formatText("the prompt has %zu tokens, the context of this plan holds %u (see ktc "
                           "compile --ctx)",
                           prompt.size(), model.session->contextLimit()));
  KtrtSampling sampling = options.sampling ? readStruct(options.sampling) : defaultSampling(model);
  if (const char *problem = samplingProblem(sampling))
    return fail(KTRT_INVALID_ARGUMENT, problem);

  Generation generation(model, options, sampling);
  KtrtStatus status = generation.run(prompt);
  if (status == KTRT_OK)
    writeStruct(result, generation.result);
  return status;
}

} // namespace
} // namespace ktrt::api

using namespace ktrt::api;

KtrtStatus ktrtDefaultSampling(const KtrtModel *model, KtrtSampling *sampling) {
  if (!model || !sampling || !validStruct(sampling))
    return fail(KTRT_INVALID_ARGUMENT, "ktrtDefaultSampling: a required argument is missing");
  writeStruct(sampling, defaultSampling(*model));
  return KTRT_OK;
}

KtrtStatus ktrtGenerate(KtrtModel *model, const int32_t *prompt, size_t count,
                        const KtrtGenerateOptions *options, KtrtGenerateResult *result) {
  return guard([&] {
    if (!model || (!prompt && count) || !validStruct(options) || !validStruct(result))
      return fail(KTRT_INVALID_ARGUMENT, "ktrtGenerate: a required argument is missing");
    KtrtGenerateOptions known = readStruct(options);
    if ((known.stopCount && !known.stops) || !validStruct(known.sampling))
      return fail(KTRT_INVALID_ARGUMENT, "ktrtGenerate: an option is incomplete");
    return generate(*model, {prompt, count}, known, result);
  });
}
