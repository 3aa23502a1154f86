// Text and tokens: the C face of the tokenizer.
#include "runtime/api/model.h"
#include "runtime/plan/message.h"

using namespace ktrt::api;

KtrtStatus ktrtTokenize(const KtrtModel *model, const char *text, size_t bytes, uint32_t flags, int32_t *tokens,
                        size_t capacity, size_t *count) {
  return guard([&] {
    if (!model || (!text && bytes) || !count)
      return fail(KTRT_INVALID_ARGUMENT, "ktrtTokenize: a required argument is missing");
    if (KtrtStatus status = requireText(*model); status != KTRT_OK)
      return status;
    auto result = model->tokenizer->encode({text, bytes}, flags & KTRT_ADD_BOS, flags & KTRT_PARSE_SPECIAL);
    if (!result)
      return fail(KTRT_ERROR, result.error().message);
    return copyOut<int32_t>(*result, tokens, capacity, count);
  });
}

KtrtStatus ktrtDetokenize(const KtrtModel *model, const int32_t *tokens, size_t count, uint32_t flags,
                          char *text, size_t capacity, size_t *bytes) {
  return guard([&] {
    if (!model || (!tokens && count) || !bytes)
      return fail(KTRT_INVALID_ARGUMENT, "ktrtDetokenize: a required argument is missing");
    if (KtrtStatus status = requireText(*model); status != KTRT_OK)
      return status;
    for (size_t i = 0; i < count; ++i)
      if (tokens[i] < 0 || tokens[i] >= model->tokenizer->vocabularySize())
        return fail(KTRT_ERROR, ktrt::formatText("token %zu has the id %d, the vocabulary has ids 0 to %d", i,
                                                 tokens[i], model->tokenizer->vocabularySize() - 1));
    std::string result = model->tokenizer->decode({tokens, count}, flags & KTRT_SHOW_SPECIAL);
    return copyOut<char>(result, text, capacity, bytes);
  });
}
