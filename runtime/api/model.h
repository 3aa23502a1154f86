// The object behind a KtrtModel handle, and the operations that the parts of the C API share.
#pragma once

#include "runtime/api/ktrt.h"
#include "runtime/api/status.h"
#include "runtime/executor/session.h"
#include "runtime/text/chat_template.h"
#include "runtime/text/tokenizer.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

struct KtrtModel {
  std::atomic<bool> stop{false}; // the session looks at it between replays
  std::unique_ptr<ktrt::Session> session;

  // Null if the model has no vocabulary, or one that this runtime does not know: then textError says why, and
  // whatever needs no text still works.
  std::unique_ptr<ktrt::Tokenizer> tokenizer;
  std::string textError;
  std::optional<ktrt::ChatTemplate> chatTemplate; // nothing: chatError says why
  std::string chatError;

  std::vector<int32_t> cached; // the tokens whose keys and values the cache holds, in order

  // Strings that KtrtInfo points to.
  std::string name, architecture, isa, devices, transforms, templateText;
  double loadSeconds = 0;
  std::vector<KtrtDeviceRead> deviceReads; // that the last KtrtBenchResult points to
};

namespace ktrt::api {

// Seconds since `start`.
inline double secondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Session::advance with the status and the bookkeeping of the C API.
KtrtStatus advance(KtrtModel &model, std::span<const int32_t> tokens, uint32_t past);

// Session::lastLogits likewise: `logits` receives the session's own buffer.
KtrtStatus lastLogits(KtrtModel &model, const float *&logits);

// Session::evaluateAll likewise. The callback returns false to stop early, which is not an error.
KtrtStatus evaluateAll(KtrtModel &model, std::span<const int32_t> tokens, uint32_t past,
                       const Session::LogitsCallback &callback);

// KTRT_OK if the model has a tokenizer, else the failure that says why not.
KtrtStatus requireText(const KtrtModel &model);

// Reads the plan's chat template into model.chatTemplate, or says in chatError why there is none.
void loadChatTemplate(KtrtModel &model);

// Whether texts begin with a begin-of-text token, and which one; false and -1 without a tokenizer.
bool addsBos(const KtrtModel &model);
int32_t bosToken(const KtrtModel &model);

} // namespace ktrt::api
