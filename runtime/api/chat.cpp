// Conversations: from messages to the model's own spelling, and on to tokens.
#include "runtime/api/model.h"

namespace ktrt::api {

void loadChatTemplate(KtrtModel &model) {
  const flatbuffers::String *source = model.session->plan().chat_template();
  if (!source || source->size() == 0) {
    model.chatError = "this model has no chat template; ktrt run continues plain text with it";
    return;
  }
  model.templateText = source->str();
  auto result = ChatTemplate::parse(model.templateText);
  if (result)
    model.chatTemplate = std::move(*result);
  else
    model.chatError = result.error().message;
}

namespace {

// The C messages as the template engine takes them. Fails for models that cannot chat.
KtrtStatus prepare(const KtrtModel *model, const KtrtMessage *messages, size_t count, const void *out,
                   std::vector<ChatMessage> &list) {
  if (!model || (!messages && count) || !out)
    return fail(KTRT_INVALID_ARGUMENT, "a required argument of a chat function is missing");
  if (KtrtStatus status = requireText(*model); status != KTRT_OK)
    return status;
  if (!model->chatTemplate)
    return fail(KTRT_NO_VOCABULARY, model->chatError);
  list.resize(count);
  for (size_t i = 0; i < count; ++i) {
    if (!messages[i].role || !messages[i].content)
      return fail(KTRT_INVALID_ARGUMENT, "a message needs a role and a content");
    list[i].role = messages[i].role;
    list[i].content = messages[i].content;
  }
  return KTRT_OK;
}

} // namespace
} // namespace ktrt::api

using namespace ktrt::api;

KtrtStatus ktrtApplyChatTemplate(const KtrtModel *model, const KtrtMessage *messages, size_t count,
                                 int addGenerationPrompt, char *text, size_t capacity, size_t *bytes) {
  return guard([&] {
    std::vector<ktrt::ChatMessage> list;
    if (KtrtStatus status = prepare(model, messages, count, bytes, list); status != KTRT_OK)
      return status;
    ktrt::ChatOptions options;
    options.addGenerationPrompt = addGenerationPrompt != 0;
    const ktrt::Tokenizer &tokenizer = *model->tokenizer;
    options.variables = {{"bos_token", std::string(tokenizer.tokenText(tokenizer.bos()))},
                         {"eos_token", std::string(tokenizer.tokenText(tokenizer.eos()))}};
    auto prompt = model->chatTemplate->render(list, options);
    if (!prompt)
      return fail(KTRT_ERROR, prompt.error().message);
    return copyOut<char>(prompt->text(), text, capacity, bytes);
  });
}

KtrtStatus ktrtTokenizeChat(const KtrtModel *model, const KtrtMessage *messages, size_t count,
                            int addGenerationPrompt, int32_t *tokens, size_t capacity, size_t *tokenCount) {
  return guard([&] {
    std::vector<ktrt::ChatMessage> list;
    if (KtrtStatus status = prepare(model, messages, count, tokenCount, list); status != KTRT_OK)
      return status;
    ktrt::ChatOptions options;
    options.addGenerationPrompt = addGenerationPrompt != 0;
    auto result = ktrt::encodeChat(*model->chatTemplate, *model->tokenizer, list, options);
    if (!result)
      return fail(KTRT_ERROR, result.error().message);
    return copyOut<int32_t>(*result, tokens, capacity, tokenCount);
  });
}
