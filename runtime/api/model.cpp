// Opening models, what is known about them, and evaluating tokens.
#include "runtime/api/model.h"

#include "runtime/plan/message.h"

#include <algorithm>

// Written by the build; absent when the library is built on its own.
#if __has_include("kt_version.h")
#include "kt_version.h"
#endif
#ifndef KT_COMMIT
#define KT_COMMIT "unknown"
#endif
#ifndef KT_VERSION
#define KT_VERSION "0"
#endif

namespace ktrt::api {
namespace {

thread_local std::string lastError;

std::string text(const flatbuffers::String *string) { return string ? string->str() : std::string(); }

template <typename T> std::vector<T> values(const flatbuffers::Vector<T> *vector) {
  return vector ? std::vector<T>(vector->begin(), vector->end()) : std::vector<T>();
}

std::vector<std::string_view>
views(const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>> *strings) {
  std::vector<std::string_view> result;
  if (strings)
    for (const flatbuffers::String *string : *strings)
      result.push_back(string->string_view());
  return result;
}

TokenizerData tokenizerData(const plan::Tokenizer &table) {
  TokenizerData data;
  data.model = text(table.model());
  data.pre = text(table.pre());
  data.tokens = views(table.tokens());
  data.scores = values(table.scores());
  data.types = values(table.types());
  data.merges = views(table.merges());
  data.bos = table.bos();
  data.eos = table.eos();
  data.eot = table.eot();
  data.unk = table.unk();
  data.pad = table.pad();
  data.addBos = table.add_bos();
  data.addEos = table.add_eos();
  data.addSpacePrefix = table.add_space_prefix();
  return data;
}

void loadTokenizer(KtrtModel &model) {
  const plan::Tokenizer *table = model.session->plan().tokenizer();
  if (!table || text(table->model()) == "no_vocab" || text(table->model()).empty()) {
    model.textError = "this model has no vocabulary, so it cannot read or write text";
    return;
  }
  auto tokenizer = Tokenizer::create(tokenizerData(*table));
  if (tokenizer)
    model.tokenizer = std::move(*tokenizer);
  else
    model.textError = tokenizer.error().message;
}

SessionOptions sessionOptions(const KtrtOpenOptions &options, const std::atomic<bool> &stop) {
  SessionOptions result;
  result.threads = options.threads;
  result.isa = options.isa ? options.isa : "";
  result.contextLimit = options.contextLimit;
  result.verifyWeights = options.flags & KTRT_VERIFY_WEIGHTS;
  result.populate = options.flags & KTRT_POPULATE;
  result.pinThreads = !(options.flags & KTRT_NO_PINNING);
  result.pinCaller = options.flags & KTRT_PIN_CALLER;
  result.perfMap = options.flags & KTRT_PERF_MAP;
  result.cancel = &stop;
  return result;
}

KtrtStatus open(const char *path, const KtrtOpenOptions &options, KtrtModel **handle) {
  auto start = std::chrono::steady_clock::now();
  auto model = std::make_unique<KtrtModel>();
  auto session = Session::open(path, sessionOptions(options, model->stop));
  if (!session)
    return fail(KTRT_ERROR, session.error().message);
  model->session = std::move(*session);
  loadTokenizer(*model);
  loadChatTemplate(*model);

  const plan::Plan &plan = model->session->plan();
  model->name = text(model->session->model().name());
  model->architecture = text(model->session->model().architecture());
  model->isa = model->session->isa();
  if (plan.devices())
    for (const plan::Device *device : *plan.devices())
      model->devices += (model->devices.empty() ? "" : ",") + text(device->name());
  if (plan.provenance() && plan.provenance()->transforms())
    for (const flatbuffers::String *transform : *plan.provenance()->transforms())
      model->transforms += (model->transforms.empty() ? "" : ",") + text(transform);
  model->loadSeconds = secondsSince(start);
  *handle = model.release();
  return KTRT_OK;
}

KtrtInfo describe(const KtrtModel &model) {
  const plan::Model &table = model.session->model();
  const plan::Provenance *provenance = model.session->plan().provenance();
  KtrtInfo info = KTRT_INIT(KtrtInfo);
  info.name = model.name.c_str();
  info.architecture = model.architecture.c_str();
  info.isa = model.isa.c_str();
  info.devices = model.devices.c_str();
  info.transforms = model.transforms.c_str();
  info.chatTemplate = model.templateText.c_str();
  info.threads = model.session->threads();
  info.context = model.session->contextLimit();
  info.trainedContext = table.trained_context();
  info.vocabulary = model.session->vocab();
  info.embedding = table.embedding();
  info.layers = table.layers();
  info.hasTokenizer = model.tokenizer != nullptr;
  info.addsBos = addsBos(model);
  info.bos = bosToken(model);
  info.eos = model.tokenizer ? model.tokenizer->eos() : -1;
  info.weightBytes = table.weight_bytes();
  info.weightBytesPerToken = table.weight_bytes_per_token();
  info.kvBytesPerToken = table.kv_bytes_per_token();
  info.loadSeconds = model.loadSeconds;
  if (provenance) {
    info.predictedDecodeTokensPerSecond = provenance->predicted_decode_tokens_per_s();
    info.predictedPrefillTokensPerSecond = provenance->predicted_prefill_tokens_per_s();
  }
  return info;
}

// Whether `count` tokens may be evaluated behind `past` others.
KtrtStatus checkRange(const KtrtModel &model, size_t count, uint32_t past) {
  if (!count)
    return fail(KTRT_INVALID_ARGUMENT, "there are no tokens to evaluate");
  if (past > model.cached.size())
    return fail(KTRT_INVALID_ARGUMENT, formatText("%u earlier positions were named, but the KV cache holds %zu",
                                                  past, model.cached.size()));
  uint32_t context = model.session->contextLimit();
  if (count > context - past)
    return fail(KTRT_CONTEXT_FULL,
                formatText("%zu tokens do not fit the context of %u positions (see ktc compile --ctx)",
                           past + count, context));
  return KTRT_OK;
}

// The status of a failed evaluation. What the cache holds behind `past` is uncertain then.
KtrtStatus evaluationFailed(KtrtModel &model, uint32_t past, const kt::Error &error) {
  model.session->kvTruncate(past);
  return fail(model.session->cancelled() ? KTRT_CANCELLED : KTRT_ERROR, error.message);
}

} // namespace

KtrtStatus fail(KtrtStatus status, std::string message) {
  lastError = std::move(message);
  return status;
}

KtrtStatus advance(KtrtModel &model, std::span<const int32_t> tokens, uint32_t past) {
  if (KtrtStatus status = checkRange(model, tokens.size(), past); status != KTRT_OK)
    return status;
  model.cached.resize(past);
  kt::Status result = model.session->advance(tokens, past);
  if (!result)
    return evaluationFailed(model, past, result.error());
  model.cached.insert(model.cached.end(), tokens.begin(), tokens.end());
  return KTRT_OK;
}

KtrtStatus lastLogits(KtrtModel &model, const float *&logits) {
  kt::Result<const float *> row = model.session->lastLogits();
  if (!row)
    return fail(KTRT_ERROR, row.error().message);
  logits = *row;
  return KTRT_OK;
}

KtrtStatus evaluateAll(KtrtModel &model, std::span<const int32_t> tokens, uint32_t past,
                       const Session::LogitsCallback &callback) {
  if (KtrtStatus status = checkRange(model, tokens.size(), past); status != KTRT_OK)
    return status;
  model.cached.resize(past);
  kt::Status result = model.session->evaluateAll(tokens, past, callback);
  if (!result)
    return evaluationFailed(model, past, result.error());
  // An early stop leaves a part of the tokens in the cache; the session knows how many.
  size_t kept = std::min<size_t>(model.session->kvLength() - past, tokens.size());
  model.cached.insert(model.cached.end(), tokens.begin(), tokens.begin() + kept);
  return KTRT_OK;
}

KtrtStatus requireText(const KtrtModel &model) {
  return model.tokenizer ? KTRT_OK : fail(KTRT_NO_VOCABULARY, model.textError);
}

bool addsBos(const KtrtModel &model) { return model.tokenizer && model.tokenizer->addsBos(); }

int32_t bosToken(const KtrtModel &model) { return model.tokenizer ? model.tokenizer->bos() : -1; }

} // namespace ktrt::api

using namespace ktrt::api;

uint32_t ktrtApiVersion(void) { return KTRT_API_VERSION; }
const char *ktrtVersion(void) { return KT_VERSION; }
const char *ktrtCommit(void) { return KT_COMMIT; }
const char *ktrtLastError(void) { return lastError.c_str(); }

KtrtStatus ktrtOpen(const char *path, const KtrtOpenOptions *options, KtrtModel **model) {
  if (model)
    *model = nullptr;
  return guard([&] {
    if (!path || !model || !validStruct(options))
      return fail(KTRT_INVALID_ARGUMENT, "ktrtOpen: a required argument is missing");
    return open(path, readStruct(options), model);
  });
}

void ktrtClose(KtrtModel *model) { delete model; }

void ktrtSetStop(KtrtModel *model, int stop) {
  if (model)
    model->stop.store(stop != 0, std::memory_order_relaxed);
}

KtrtStatus ktrtGetInfo(const KtrtModel *model, KtrtInfo *info) {
  if (!model || !info || !validStruct(info))
    return fail(KTRT_INVALID_ARGUMENT, "ktrtGetInfo: a required argument is missing");
  writeStruct(info, describe(*model));
  return KTRT_OK;
}

KtrtStatus ktrtEvaluate(KtrtModel *model, const int32_t *tokens, size_t count, uint32_t past, float *logits) {
  return guard([&] {
    if (!model || (!tokens && count))
      return fail(KTRT_INVALID_ARGUMENT, "ktrtEvaluate: a required argument is missing");
    const float *row = nullptr;
    KtrtStatus status = advance(*model, {tokens, count}, past);
    if (status != KTRT_OK || !logits)
      return status;
    status = lastLogits(*model, row);
    if (status == KTRT_OK)
      std::copy_n(row, model->session->vocab(), logits);
    return status;
  });
}

KtrtStatus ktrtEvaluateAll(KtrtModel *model, const int32_t *tokens, size_t count, uint32_t past,
                           KtrtLogitsFn onLogits, void *user) {
  return guard([&] {
    if (!model || (!tokens && count) || !onLogits)
      return fail(KTRT_INVALID_ARGUMENT, "ktrtEvaluateAll: a required argument is missing");
    bool cancelled = false;
    KtrtStatus status =
        evaluateAll(*model, {tokens, count}, past, [&](uint32_t row0, uint32_t rows, const float *logits) {
          cancelled = onLogits(user, row0, rows, logits) != 0;
          return !cancelled;
        });
    return status == KTRT_OK && cancelled ? fail(KTRT_CANCELLED, "cancelled") : status;
  });
}
