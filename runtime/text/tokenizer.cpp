// The tokenizer around the two merge models: checks, special tokens, begin/end tokens, decoding.
//
// Text is first cut at special tokens, leftmost first and the longest of those that start at the same place;
// what lies between goes to the merge model.
#include "runtime/text/tokenizer.h"
#include "runtime/text/bpe.h"
#include "runtime/text/spm.h"
#include "runtime/text/utf8.h"

#include <algorithm>
#include <cmath>

namespace ktrt {

namespace {

// Tokens that end a turn in some model family, whatever the file says its EOS is.
constexpr std::string_view endTexts[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "<|end_of_text|>",
    "<|return|>",
    "<|call|>",
    "<end_of_utterance>",
    "<\xEF\xBD\x9C"
    "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
    "<|end_of_sentence|>",
    "[EOS]",
    "</s>",
};

constexpr const char *noVocabulary =
    "the model has no vocabulary (tokenizer.ggml.model = no_vocab), so text cannot be tokenized";

std::string count(size_t n, const char *what) { return std::to_string(n) + " " + what; }

} // namespace

// Special tokens by text. Lengths are kept per first byte, so that a scan looks up a few substrings at each
// "<" instead of comparing with a thousand reserved tokens.
struct Tokenizer::Specials {
  TextTable byText;
  std::vector<uint32_t> lengths[256]; // longest first
};

bool defaultAddBos(std::string_view model, std::string_view pre) {
  if (model == "llama")
    return true;
  const PreTokenizerSpec *spec = pre.empty() ? nullptr : findPreTokenizer(pre);
  return spec && spec->addBos;
}

Tokenizer::Tokenizer(TokenizerData d) : data(std::move(d)), specials(std::make_unique<Specials>()) {}
Tokenizer::~Tokenizer() = default;

kt::Result<std::unique_ptr<Tokenizer>> Tokenizer::create(TokenizerData data) {
  std::unique_ptr<Tokenizer> tokenizer(new Tokenizer(std::move(data)));
  if (kt::Status status = tokenizer->prepare(); !status)
    return status.error();
  return tokenizer;
}

kt::Status Tokenizer::prepare() {
  if (!hasVocabulary())
    return {};
  if (kt::Status status = checkArrays(); !status)
    return status;
  if (data.types.empty())
    notes.push_back("tokenizer: the file gives no token types; special tokens are not recognised in text");
  dropBadIds();
  findEndOfGeneration();
  collectSpecialTokens();
  if (data.model == "llama") {
    spm = std::make_unique<SpmModel>(data);
    return {};
  }
  if (data.pre.empty())
    notes.push_back("tokenizer: the file names no pre-tokenizer (tokenizer.ggml.pre); using 'default', which "
                    "may give other tokens than the model was trained with");
  auto model = BpeModel::create(data);
  if (!model)
    return model.error();
  bpe = std::move(*model);
  if (bpe->skippedMerges)
    notes.push_back("tokenizer: " + count(bpe->skippedMerges, "merges") +
                    " are malformed or name tokens that are not in the vocabulary; they are ignored");
  return {};
}

kt::Status Tokenizer::checkArrays() const {
  if (data.model != "gpt2" && data.model != "llama")
    return kt::Error{"tokenizer: unsupported model '" + data.model +
                     "' (tokenizer.ggml.model); supported are gpt2, llama and no_vocab"};
  size_t n = data.tokens.size();
  if (n == 0)
    return kt::Error{"tokenizer: the vocabulary is empty (tokenizer.ggml.tokens)"};
  if (n > INT32_MAX / 4)
    return kt::Error{"tokenizer: a vocabulary of " + count(n, "tokens") + " is too large"};
  if (!data.types.empty() && data.types.size() != n)
    return kt::Error{"tokenizer: tokenizer.ggml.token_type has " + count(data.types.size(), "entries") +
                     ", expected one per token: " + std::to_string(n)};
  if (!data.scores.empty() && data.scores.size() != n)
    return kt::Error{"tokenizer: tokenizer.ggml.scores has " + count(data.scores.size(), "entries") +
                     ", expected one per token: " + std::to_string(n)};
  if (data.model != "llama")
    return {};
  if (data.scores.empty())
    return kt::Error{"tokenizer: a 'llama' vocabulary needs tokenizer.ggml.scores, which the file lacks"};
  for (size_t i = 0; i < n; ++i)
    if (std::isnan(data.scores[i])) // would make the merge order undefined
      return kt::Error{"tokenizer: tokenizer.ggml.scores[" + std::to_string(i) + "] is not a number"};
  return {};
}

void Tokenizer::dropBadIds() {
  auto check = [&](int32_t &id, const char *name) {
    if (id >= -1 && id < vocabularySize())
      return;
    notes.push_back(std::string("tokenizer: ") + name + " is " + std::to_string(id) +
                    ", outside the vocabulary of " + count(data.tokens.size(), "tokens") + "; it is ignored");
    id = -1;
  };
  check(data.bos, "tokenizer.ggml.bos_token_id");
  check(data.eos, "tokenizer.ggml.eos_token_id");
  check(data.eot, "tokenizer.ggml.eot_token_id");
  check(data.eom, "tokenizer.ggml.eom_token_id");
  check(data.unk, "tokenizer.ggml.unknown_token_id");
  check(data.pad, "tokenizer.ggml.padding_token_id");
  for (int32_t &id : data.endOfGeneration)
    check(id, "an end-of-generation id");
  if (data.addBos && data.bos < 0)
    notes.push_back("tokenizer: add_bos_token is set but there is no BOS token; none is added");
}

void Tokenizer::findEndOfGeneration() {
  endIds = data.endOfGeneration;
  endIds.insert(endIds.end(), {data.eos, data.eot, data.eom});
  int32_t returnId = -1, callId = -1, endId = -1;
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    std::string_view text = data.tokens[i];
    if (text.size() < 4 || (text[0] != '<' && text[0] != '_' && text[0] != '['))
      continue;
    if (std::find(std::begin(endTexts), std::end(endTexts), text) == std::end(endTexts))
      continue;
    int32_t id = int32_t(i);
    endIds.push_back(id);
    if (text == "<|return|>")
      returnId = id;
    if (text == "<|call|>")
      callId = id;
    if (text == "<|end|>")
      endId = id;
    // Some files have these as normal tokens, which would show them to the user.
    if (!data.types.empty() && TokenType(data.types[i]) == TokenType::Normal)
      data.types[i] = int32_t(TokenType::Control);
  }
  // In the harmony format <|end|> only closes one channel; the turn ends with <|return|> or <|call|>.
  if (returnId >= 0 && callId >= 0 && endId >= 0 && endId != data.eos)
    std::erase(endIds, endId);
  std::erase(endIds, -1);
  std::sort(endIds.begin(), endIds.end());
  endIds.erase(std::unique(endIds.begin(), endIds.end()), endIds.end());
}

void Tokenizer::collectSpecialTokens() {
  for (size_t i = 0; i < data.types.size(); ++i) {
    TokenType type = TokenType(data.types[i]);
    std::string_view text = data.tokens[i];
    if ((type != TokenType::Control && type != TokenType::UserDefined && type != TokenType::Unknown) ||
        text.empty())
      continue;
    specials->byText.insert(text, int32_t(i));
    auto &lengths = specials->lengths[uint8_t(text[0])];
    uint32_t size = uint32_t(std::min<size_t>(text.size(), UINT32_MAX));
    if (std::find(lengths.begin(), lengths.end(), size) == lengths.end())
      lengths.push_back(size);
  }
  for (auto &lengths : specials->lengths)
    std::sort(lengths.rbegin(), lengths.rend());
}

// The longest special token that `text` starts with, or -1. Control tokens count only if they lie within the
// first `trusted` bytes.
int32_t Tokenizer::matchSpecial(std::string_view text, size_t trusted) const {
  for (uint32_t size : specials->lengths[uint8_t(text[0])]) {
    if (size > text.size())
      continue;
    int32_t id = specials->byText.find(text.substr(0, size));
    if (id >= 0 && (size <= trusted || TokenType(data.types[size_t(id)]) == TokenType::UserDefined))
      return id;
  }
  return -1;
}

kt::Status Tokenizer::encodePlain(std::string_view text, bool spacePrefix, std::vector<int32_t> &out) const {
  if (text.empty())
    return {};
  return spm ? spm->encode(text, spacePrefix, out) : bpe->encode(text, out);
}

// Encodes well-formed `text`, which consists of `ranges` of one trust each.
kt::Status Tokenizer::encodeRanges(std::string_view text, std::span<const TrustRange> ranges,
                                   std::vector<int32_t> &out) const {
  size_t plain = 0, range = 0;
  bool afterSpecial = true; // a "llama" text gets its space prefix at the start and after a special token
  auto flush = [&](size_t end) -> kt::Status {
    if (end == plain)
      return {};
    bool prefix = afterSpecial && data.addSpacePrefix;
    afterSpecial = false;
    return encodePlain(text.substr(plain, end - plain), prefix, out);
  };
  for (size_t i = 0; i < text.size();) {
    while (i >= ranges[range].end)
      ++range;
    int32_t id = matchSpecial(text.substr(i), ranges[range].trusted ? ranges[range].end - i : 0);
    if (id < 0) {
      ++i;
      continue;
    }
    if (kt::Status status = flush(i); !status)
      return status;
    out.push_back(id);
    afterSpecial = true;
    i += data.tokens[size_t(id)].size();
    plain = i;
  }
  return flush(text.size());
}

kt::Result<std::vector<int32_t>> Tokenizer::encode(std::string_view text, bool addSpecial,
                                                   bool parseSpecial) const {
  if (!hasVocabulary())
    return kt::Error{noVocabulary};
  std::string repaired;
  if (!isValidUtf8(text)) {
    repaired = repairUtf8(text);
    text = repaired;
  }
  std::vector<int32_t> out;
  if (addSpecial && addsBos())
    out.push_back(data.bos);
  const TrustRange all{text.size(), parseSpecial};
  if (kt::Status status = encodeRanges(text, {&all, 1}, out); !status)
    return status.error();
  if (addSpecial && data.addEos && data.eos >= 0)
    out.push_back(data.eos);
  return out;
}

kt::Result<std::vector<int32_t>> Tokenizer::encodeMarked(std::span<const MarkedText> parts,
                                                         bool addSpecial) const {
  if (!hasVocabulary())
    return kt::Error{noVocabulary};
  std::string text;
  std::vector<TrustRange> ranges;
  for (const MarkedText &part : parts) {
    text += repairUtf8(part.text);
    if (!ranges.empty() && ranges.back().trusted == part.trusted)
      ranges.back().end = text.size();
    else
      ranges.push_back({text.size(), part.trusted});
  }
  std::vector<int32_t> out;
  if (kt::Status status = encodeRanges(text, ranges, out); !status)
    return status.error();
  if (addSpecial && addsBos() && (out.empty() || out.front() != data.bos))
    out.insert(out.begin(), data.bos);
  return out;
}

std::string_view Tokenizer::tokenText(int32_t id) const {
  return id >= 0 && id < vocabularySize() ? data.tokens[size_t(id)] : std::string_view();
}

bool Tokenizer::isControl(int32_t id) const {
  return id >= 0 && size_t(id) < data.types.size() && TokenType(data.types[size_t(id)]) == TokenType::Control;
}

std::string Tokenizer::decodeToken(int32_t id, bool renderSpecial) const {
  if (id < 0 || id >= vocabularySize() || !hasVocabulary())
    return "";
  TokenType type = data.types.empty() ? TokenType::Normal : TokenType(data.types[size_t(id)]);
  if (type == TokenType::Control || type == TokenType::Unknown)
    return renderSpecial ? std::string(data.tokens[size_t(id)]) : "";
  if (spm)
    return type == TokenType::UserDefined ? std::string(data.tokens[size_t(id)]) : spm->decode(id);
  return type == TokenType::UserDefined ? std::string(data.tokens[size_t(id)]) : alphabetToBytes(tokenText(id));
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool renderSpecial) const {
  std::string out;
  bool atStart = true;
  for (int32_t id : ids) {
    std::string text = decodeToken(id, renderSpecial);
    bool special = isControl(id);
    if (spm && data.addSpacePrefix && atStart && !special && !text.empty() && text[0] == ' ')
      text.erase(0, 1);
    if (!special)
      atStart = false;
    out += text;
  }
  return out;
}

bool Tokenizer::isEndOfGeneration(int32_t id) const {
  return std::binary_search(endIds.begin(), endIds.end(), id);
}

} // namespace ktrt
