// The interface between conversations and the template engine.
#include "runtime/text/chat_template.h"
#include "runtime/text/jinja_evaluator.h"
#include "runtime/text/jinja_json.h"
#include "runtime/text/jinja_parser.h"
#include "runtime/text/utf8.h"

#include <algorithm>
#include <ctime>

namespace ktrt {

using jinja::Dict;
using jinja::MarkedString;
using jinja::Value;

namespace {

// Work that a template may do beside what grows with its input; see jinja::Runtime.
constexpr uint64_t baseBudget = 10'000'000, budgetPerByte = 64;

constexpr size_t largestTemplate = 1 << 20;

// Roles that templates build markers from ('<|' + role + '|>'); any other role is only text.
bool isKnownRole(std::string_view role) {
  for (std::string_view known : {"system", "user", "assistant", "tool", "developer", "function", "ipython"})
    if (role == known)
      return true;
  return false;
}

void add(Dict &dict, std::string name, Value value) {
  dict.emplace_back(MarkedString(std::move(name)), std::move(value));
}

kt::Result<Value> messageValue(const ChatMessage &message, size_t index) {
  Dict entries;
  add(entries, "role", Value::string(repairUtf8(message.role), isKnownRole(message.role)));
  add(entries, "content", Value::string(repairUtf8(message.content), false));
  if (!message.reasoningContent.empty())
    add(entries, "reasoning_content", Value::string(repairUtf8(message.reasoningContent), false));
  if (!message.toolCallsJson.empty()) {
    auto calls = jinja::parseJson(repairUtf8(message.toolCallsJson), false);
    if (!calls)
      return kt::Error{"message " + std::to_string(index) + ", tool calls: " + calls.error().message};
    add(entries, "tool_calls", std::move(*calls));
  }
  return Value::dict(std::move(entries));
}

// Gives the roles of messages that came as JSON the trust that messageValue() gives.
Value withTrustedRoles(const Value &messages) {
  if (!messages.isSequence())
    return messages;
  jinja::List list = messages.items();
  for (Value &message : list) {
    if (!message.is(Value::Kind::Dict))
      continue;
    Dict entries = message.entries();
    for (auto &[key, value] : entries)
      if (key.str() == "role" && value.is(Value::Kind::String) && isKnownRole(value.str().str()))
        value = Value::string(value.str().str());
    message = Value::dict(std::move(entries));
  }
  return Value::list(std::move(list));
}

kt::Result<ChatPrompt> renderWith(const jinja::Node &root, Dict globals, size_t inputBytes, int64_t now) {
  auto text = jinja::evaluate(root, std::move(globals), baseBudget + budgetPerByte * uint64_t(inputBytes),
                              now >= 0 ? now : int64_t(std::time(nullptr)));
  if (!text)
    return text.error();
  return ChatPrompt{text->runs()};
}

} // namespace

std::string ChatPrompt::text() const {
  std::string out;
  for (const MarkedText &part : parts)
    out += part.text;
  return out;
}

ChatTemplate::ChatTemplate(std::unique_ptr<jinja::Node> root) : root(std::move(root)) {}
ChatTemplate::ChatTemplate(ChatTemplate &&) noexcept = default;
ChatTemplate &ChatTemplate::operator=(ChatTemplate &&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

kt::Result<ChatTemplate> ChatTemplate::parse(std::string_view source) {
  if (source.size() > largestTemplate)
    return kt::Error{"chat template: " + std::to_string(source.size()) + " bytes, more than the limit of " +
                     std::to_string(largestTemplate)};
  auto root = jinja::parseTemplate(repairUtf8(source));
  if (!root)
    return root.error();
  return ChatTemplate(std::move(*root));
}

kt::Result<ChatPrompt> ChatTemplate::render(std::span<const ChatMessage> messages,
                                            const ChatOptions &options) const {
  Dict globals;
  jinja::List list;
  size_t bytes = options.toolsJson.size();
  for (const ChatMessage &message : messages) {
    auto value = messageValue(message, list.size());
    if (!value)
      return value.error();
    bytes += message.content.size() + message.reasoningContent.size() + message.toolCallsJson.size() + 64;
    list.push_back(std::move(*value));
  }
  Value all = Value::list(std::move(list));
  if (all.is(Value::Kind::Undefined))
    return kt::Error{"chat template: the conversation is too large"};
  add(globals, "messages", std::move(all));
  add(globals, "add_generation_prompt", Value::boolean(options.addGenerationPrompt));
  for (const auto &[name, text] : options.variables)
    add(globals, name, Value::string(repairUtf8(text)));
  for (const auto &[name, flag] : options.flags)
    add(globals, name, Value::boolean(flag));
  // Templates are written for a caller that always passes these, as None if there are none.
  add(globals, "documents", Value::none());
  Value tools = Value::none();
  if (!options.toolsJson.empty()) {
    auto parsed = jinja::parseJson(repairUtf8(options.toolsJson), false);
    if (!parsed)
      return kt::Error{"tools: " + parsed.error().message};
    tools = std::move(*parsed);
  }
  add(globals, "tools", std::move(tools));
  return renderWith(*root, std::move(globals), bytes, options.now);
}

kt::Result<ChatPrompt> ChatTemplate::renderJson(std::string_view context, int64_t now) const {
  std::string repaired = repairUtf8(context);
  auto trusted = jinja::parseJson(repaired, true), untrusted = jinja::parseJson(repaired, false);
  if (!trusted || !untrusted)
    return trusted ? untrusted.error() : trusted.error();
  if (!trusted->is(Value::Kind::Dict) || !untrusted->is(Value::Kind::Dict))
    return kt::Error{"chat template: the variables must be a JSON object"};
  Dict globals = trusted->entries();
  for (auto &[key, value] : globals)
    if (key.str() == "messages")
      value = withTrustedRoles(*untrusted->find(key.str()));
    else if (key.str() == "tools" || key.str() == "documents")
      value = *untrusted->find(key.str());
  return renderWith(*root, std::move(globals), context.size(), now);
}

kt::Result<std::vector<int32_t>> encodeChat(const ChatTemplate &chat, const Tokenizer &tokenizer,
                                            std::span<const ChatMessage> messages, ChatOptions options) {
  auto given = [&](std::string_view name) {
    return std::any_of(options.variables.begin(), options.variables.end(),
                       [&](auto &v) { return v.first == name; });
  };
  if (!given("bos_token"))
    options.variables.emplace_back("bos_token", tokenizer.tokenText(tokenizer.bos()));
  if (!given("eos_token"))
    options.variables.emplace_back("eos_token", tokenizer.tokenText(tokenizer.eos()));
  auto prompt = chat.render(messages, options);
  if (!prompt)
    return prompt.error();
  return tokenizer.encodeMarked(prompt->parts, true);
}

} // namespace ktrt
