// Turns a conversation into the prompt that a model was trained on, by the template in its file.
//
// Templates are programs in a subset of Jinja, written for the settings of Hugging Face transformers
// (trim_blocks, lstrip_blocks, its `tojson`, `raise_exception`, `strftime_now`). A template is untrusted: work,
// memory and recursion are bounded, and a bad one gives an error. What users wrote is marked in the result, so
// that a turn marker typed by a user does not become one.
#pragma once

#include "runtime/abi/result.hpp"
#include "runtime/text/tokenizer.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ktrt {

namespace jinja {
struct Node;
class Value;
} // namespace jinja

// One turn of a conversation.
struct ChatMessage {
  std::string role; // "system", "user", "assistant", "tool", ...
  std::string content;
  std::string reasoningContent; // of an assistant; left out if empty
  std::string toolCallsJson;    // JSON array of tool calls of an assistant; left out if empty
};

// What a template sees beside the messages.
struct ChatOptions {
  bool addGenerationPrompt = true; // end with the opening of the assistant's turn
  std::vector<std::pair<std::string, std::string>>
      variables;                                   // strings such as bos_token and eos_token; trusted
  std::vector<std::pair<std::string, bool>> flags; // such as enable_thinking
  std::string toolsJson;                           // JSON array of tools; left out if empty
  int64_t now = -1;                                // time for strftime_now; -1 = the clock
};

// A rendered prompt: trusted parts come from the template, the others from messages and tools.
struct ChatPrompt {
  std::vector<MarkedText> parts;

  // All parts together.
  std::string text() const;
};

// A parsed template. Immutable: several threads may render at once.
class ChatTemplate {
public:
  ChatTemplate(ChatTemplate &&) noexcept;
  ChatTemplate &operator=(ChatTemplate &&) noexcept;
  ~ChatTemplate();

  // Parses the text of a template. Errors name the line and what was expected or is not supported.
  static kt::Result<ChatTemplate> parse(std::string_view source);

  // Renders a conversation. Errors: the template refuses the conversation (raise_exception), uses something
  // that is undefined or unsupported, needs too much work; or the JSON of tools or tool calls is malformed.
  kt::Result<ChatPrompt> render(std::span<const ChatMessage> messages, const ChatOptions &options) const;

  // Renders with the members of the JSON object `context` as variables (messages, tools, flags, ...), for
  // callers that have a whole request at hand. Strings inside `messages`, `tools` and `documents` are
  // untrusted, others trusted.
  kt::Result<ChatPrompt> renderJson(std::string_view context, int64_t now = -1) const;

private:
  explicit ChatTemplate(std::unique_ptr<jinja::Node> root);
  std::unique_ptr<jinja::Node> root;
};

// Renders and tokenizes a conversation. Fills in bos_token and eos_token from the tokenizer where `options`
// does not give them. Control tokens come only from the template; BOS is added if the model wants it and the
// template has not written it.
kt::Result<std::vector<int32_t>> encodeChat(const ChatTemplate &chat, const Tokenizer &tokenizer,
                                            std::span<const ChatMessage> messages, ChatOptions options);

} // namespace ktrt
