// From GGUF metadata to the plan's text tables; see the header.
#include "compiler/schedule-to-plan/tokenizer.h"

#include <algorithm>
#include <cmath>

using namespace ktrt::plan;

namespace ktc {

namespace {

// Byte-level BPE families that begin texts with BOS when the file does not say; the others do not.
constexpr std::string_view bosFamilies[] = {"llama-bpe", "llama3", "llama-v3", "falcon3"};

bool defaultAddBos(std::string_view model, std::string_view pre) {
  return model == "llama" ||
         std::find(std::begin(bosFamilies), std::end(bosFamilies), pre) != std::end(bosFamilies);
}

// An id under `tokenizer.ggml.<name>_token_id`; -1 if absent or outside the vocabulary.
int32_t specialId(const GgufMetadata &metadata, const std::string &name, uint64_t tokens) {
  const GgufValue *value = metadata.find("tokenizer.ggml." + name + "_token_id");
  std::optional<uint64_t> id = value && !value->isArray ? value->asUInt() : std::nullopt;
  return id && *id < tokens ? static_cast<int32_t>(*id) : -1;
}

kt::Status copyStrings(const GgufMetadata &metadata, const char *key, std::vector<std::string> &to) {
  if (!metadata.find(key))
    return {};
  kt::Result<std::vector<std::string_view>> strings = metadata.getStringArray(key);
  if (!strings)
    return strings.error();
  to.assign(strings->begin(), strings->end());
  return {};
}

// One number per token, or none; lengths and types were checked by the reader.
void copyNumbers(const GgufMetadata &metadata, TokenizerT &tokenizer) {
  const GgufValue *types = metadata.find("tokenizer.ggml.token_type");
  for (uint64_t i = 0; types && i < types->count; ++i)
    tokenizer.types.push_back(static_cast<int32_t>(types->asInt(i).value_or(1)));
  const GgufValue *scores = metadata.find("tokenizer.ggml.scores");
  if (tokenizer.model != "llama") // only SentencePiece merges by score
    return;
  for (uint64_t i = 0; scores && i < scores->count; ++i)
    tokenizer.scores.push_back(static_cast<float>(scores->asReal(i).value_or(0)));
}

kt::Status copyFlags(const GgufMetadata &metadata, TokenizerT &tokenizer) {
  kt::Result<bool> addBos =
      metadata.getBoolOr("tokenizer.ggml.add_bos_token", defaultAddBos(tokenizer.model, tokenizer.pre));
  kt::Result<bool> addEos = metadata.getBoolOr("tokenizer.ggml.add_eos_token", false);
  kt::Result<bool> addSpace = metadata.getBoolOr("tokenizer.ggml.add_space_prefix", tokenizer.model == "llama");
  for (const kt::Result<bool> *flag : {&addBos, &addEos, &addSpace})
    if (!*flag)
      return flag->error();
  tokenizer.add_bos = *addBos;
  tokenizer.add_eos = *addEos;
  tokenizer.add_space_prefix = *addSpace;
  return {};
}

} // namespace

kt::Result<std::unique_ptr<TokenizerT>> buildTokenizer(const GgufMetadata &metadata, uint32_t vocab) {
  auto tokenizer = std::make_unique<TokenizerT>();
  kt::Result<std::string> model = metadata.getStringOr("tokenizer.ggml.model", "no_vocab");
  kt::Result<std::string> pre = metadata.getStringOr("tokenizer.ggml.pre", "");
  if (!model || !pre)
    return model ? pre.error() : model.error();
  // Files made without a vocabulary spell it in two ways.
  tokenizer->model = *model == "none" ? "no_vocab" : *model;
  if (tokenizer->model == "no_vocab")
    return tokenizer;
  if (tokenizer->model != "gpt2" && tokenizer->model != "llama")
    return kt::Error{"metadata key 'tokenizer.ggml.model': expected gpt2, llama or no_vocab, found '" + *model +
                     "'"};
  tokenizer->pre = *pre;
  if (kt::Status status = copyStrings(metadata, "tokenizer.ggml.tokens", tokenizer->tokens); !status)
    return status.error();
  if (kt::Status status = copyStrings(metadata, "tokenizer.ggml.merges", tokenizer->merges); !status)
    return status.error();
  uint64_t tokens = tokenizer->tokens.size();
  if (tokens == 0 || tokens > vocab)
    return kt::Error{"metadata key 'tokenizer.ggml.tokens': expected 1 to " + std::to_string(vocab) +
                     " tokens, the columns of the logits, found " + std::to_string(tokens)};
  copyNumbers(metadata, *tokenizer);
  tokenizer->bos = specialId(metadata, "bos", tokens);
  tokenizer->eos = specialId(metadata, "eos", tokens);
  tokenizer->eot = specialId(metadata, "eot", tokens);
  tokenizer->unk = specialId(metadata, "unknown", tokens);
  tokenizer->pad = specialId(metadata, "padding", tokens);
  if (kt::Status status = copyFlags(metadata, *tokenizer); !status)
    return status.error();
  return tokenizer;
}

kt::Result<std::string> buildChatTemplate(const GgufMetadata &metadata) {
  return metadata.getStringOr("tokenizer.chat_template", "");
}

// A number in low..high under `general.sampling.<name>`.
static kt::Status readSampling(const GgufMetadata &metadata, const char *name, float low, float high,
                               float &value) {
  std::string key = std::string("general.sampling.") + name;
  kt::Result<double> found = metadata.getRealOr(key, value);
  if (!found)
    return found.error();
  if (!(*found >= low && *found <= high))
    return kt::Error{"metadata key '" + key + "': expected " + std::to_string(low) + " to " +
                     std::to_string(high) + ", found " + std::to_string(*found)};
  value = static_cast<float>(*found);
  return {};
}

kt::Result<std::unique_ptr<SamplingT>> buildSampling(const GgufMetadata &metadata) {
  auto sampling = std::make_unique<SamplingT>();
  const struct {
    const char *name;
    float low, high;
    float *value;
  } numbers[] = {{"temp", 0, 1000, &sampling->temperature},
                 {"top_p", 0, 1, &sampling->top_p},
                 {"min_p", 0, 1, &sampling->min_p},
                 {"penalty_repeat", 0.001f, 1000, &sampling->repeat_penalty}};
  for (const auto &number : numbers)
    if (kt::Status status = readSampling(metadata, number.name, number.low, number.high, *number.value);
        !status)
      return status.error();
  kt::Result<uint64_t> topK = metadata.getUIntOr("general.sampling.top_k", sampling->top_k, INT32_MAX);
  if (!topK)
    return topK.error();
  sampling->top_k = static_cast<uint32_t>(*topK);
  return sampling;
}

} // namespace ktc
