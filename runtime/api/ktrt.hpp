// Thin C++ face of ktrt.h: a handle that closes itself, and strings and vectors instead of buffers and lengths.
//
// Header only and standalone, so that it is as ABI-stable as the C interface below it. Functions return the C
// status; ktrtLastError() explains it.
#pragma once

#include "ktrt.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ktrt {

// One message of a conversation.
struct Message {
  std::string role;
  std::string content;
};

// Owns a loaded model. An empty one (default, or moved from) must only be opened, assigned or destroyed.
class Model {
public:
  Model() = default;
  Model(Model &&other) noexcept : handle(std::exchange(other.handle, nullptr)) {}
  Model &operator=(Model &&other) noexcept {
    if (this != &other) {
      ktrtClose(handle);
      handle = std::exchange(other.handle, nullptr);
    }
    return *this;
  }
  ~Model() { ktrtClose(handle); }

  // Loads the plan at `path` into this handle, which closes what it held before.
  KtrtStatus open(const std::string &path, const KtrtOpenOptions &options) {
    ktrtClose(std::exchange(handle, nullptr));
    return ktrtOpen(path.c_str(), &options, &handle);
  }

  // The C handle, for functions that need no wrapper. Stays owned by this object.
  KtrtModel *get() const { return handle; }

  // What the model is and how it runs. The strings live as long as the handle.
  KtrtInfo info() const {
    KtrtInfo info = KTRT_INIT(KtrtInfo);
    ktrtGetInfo(handle, &info);
    return info;
  }

  // The plan's sampling defaults.
  KtrtSampling defaultSampling() const {
    KtrtSampling sampling = KTRT_INIT(KtrtSampling);
    ktrtDefaultSampling(handle, &sampling);
    return sampling;
  }

  // Text to tokens; `flags` as ktrtTokenize().
  KtrtStatus tokenize(std::string_view text, uint32_t flags, std::vector<int32_t> &tokens) const {
    // A token is rarely shorter than a byte, so that one call does; the exceptions (BOS, added spaces) fit the
    // slack.
    return fill(tokens, text.size() + 16, [&](int32_t *data, size_t capacity, size_t *count) {
      return ktrtTokenize(handle, text.data(), text.size(), flags, data, capacity, count);
    });
  }

  // Tokens to text; `flags` as ktrtDetokenize().
  KtrtStatus detokenize(const std::vector<int32_t> &tokens, uint32_t flags, std::string &text) const {
    return fill(text, tokens.size() * 8 + 16, [&](char *data, size_t capacity, size_t *bytes) {
      return ktrtDetokenize(handle, tokens.data(), tokens.size(), flags, data, capacity, bytes);
    });
  }

  // The conversation in the model's spelling, see ktrtApplyChatTemplate().
  KtrtStatus applyChatTemplate(const std::vector<Message> &messages, bool addGenerationPrompt,
                               std::string &text) const {
    std::vector<KtrtMessage> list = views(messages);
    return fill(text, 4096, [&](char *data, size_t capacity, size_t *bytes) {
      return ktrtApplyChatTemplate(handle, list.data(), list.size(), addGenerationPrompt, data, capacity,
                                   bytes);
    });
  }

  // The tokens of the conversation, see ktrtTokenizeChat().
  KtrtStatus tokenizeChat(const std::vector<Message> &messages, bool addGenerationPrompt,
                          std::vector<int32_t> &tokens) const {
    std::vector<KtrtMessage> list = views(messages);
    return fill(tokens, 4096, [&](int32_t *data, size_t capacity, size_t *count) {
      return ktrtTokenizeChat(handle, list.data(), list.size(), addGenerationPrompt, data, capacity, count);
    });
  }

  // Continues the prompt, see ktrtGenerate().
  KtrtStatus generate(const std::vector<int32_t> &prompt, const KtrtGenerateOptions &options,
                      KtrtGenerateResult &result) {
    return ktrtGenerate(handle, prompt.data(), prompt.size(), &options, &result);
  }

private:
  static std::vector<KtrtMessage> views(const std::vector<Message> &messages) {
    std::vector<KtrtMessage> list;
    for (const Message &message : messages)
      list.push_back({message.role.c_str(), message.content.c_str()});
    return list;
  }

  // Calls `function` with a buffer of the guessed size, and again with the right one if the guess was too
  // small.
  template <typename Container, typename Function>
  static KtrtStatus fill(Container &container, size_t guess, Function function) {
    container.resize(guess);
    size_t needed = 0;
    KtrtStatus status = function(container.data(), container.size(), &needed);
    if (status == KTRT_BUFFER_TOO_SMALL) {
      container.resize(needed);
      status = function(container.data(), container.size(), &needed);
    }
    container.resize(status == KTRT_OK ? needed : 0);
    return status;
  }

  KtrtModel *handle = nullptr;
};

} // namespace ktrt
