// Text <-> token ids, for the tokenizer families that GGUF files carry: `gpt2` (byte-level BPE) and `llama`
// (SentencePiece BPE).
//
// The vocabulary is given as views, because it lies in the mapped plan; nothing of 150 000 tokens is copied. A
// vocabulary is untrusted: sizes and ids are checked once in create(), after which nothing can go out of range.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ktrt {

// tokenizer.ggml.token_type
enum class TokenType : int32_t { Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6 };

// A vocabulary as the model file gives it. The viewed bytes must outlive the Tokenizer made from it.
struct TokenizerData {
  std::string model; // tokenizer.ggml.model: "gpt2", "llama" or "no_vocab"
  std::string pre;   // tokenizer.ggml.pre; empty = absent
  std::vector<std::string_view> tokens;
  std::vector<float> scores;            // one per token for "llama"; empty = absent
  std::vector<int32_t> types;           // one TokenType per token; empty = all normal
  std::vector<std::string_view> merges; // "left right", best first; for "gpt2"
  int32_t bos = -1, eos = -1, eot = -1, eom = -1, unk = -1, pad = -1; // token ids; -1 = absent
  bool addBos = false, addEos = false;
  bool addSpacePrefix = true;           // "llama": texts start with a space
  std::vector<int32_t> endOfGeneration; // further ids that end a generation
};

// True if the pre-tokenizer family puts BOS in front when the file has no `add_bos_token` key.
bool defaultAddBos(std::string_view model, std::string_view pre);

// A piece of text for Tokenizer::encodeMarked: only trusted text may contain special tokens.
struct MarkedText {
  std::string text;
  bool trusted;
};

class BpeModel;
class SpmModel;

// Immutable after creation: all functions may be called from several threads at once.
class Tokenizer {
public:
  // Checks `data` and builds the tables. Errors: unknown model or pre-tokenizer, arrays of unequal length,
  // a "llama" vocabulary without scores. Ids that lie outside the vocabulary are ignored with a warning.
  static kt::Result<std::unique_ptr<Tokenizer>> create(TokenizerData data);
  ~Tokenizer();

  // Sentences about doubtful but usable vocabularies; for the log.
  const std::vector<std::string> &warnings() const { return notes; }

  // False for a model without a vocabulary ("no_vocab"); then encode() fails and decode gives nothing.
  bool hasVocabulary() const { return data.model != "no_vocab"; }
  int32_t vocabularySize() const { return int32_t(data.tokens.size()); }
  int32_t bos() const { return data.bos; }
  int32_t eos() const { return data.eos; }
  int32_t pad() const { return data.pad; }
  bool addsBos() const { return data.addBos && data.bos >= 0; }

  // The text of token `id` as stored in the vocabulary; empty if `id` is outside it.
  std::string_view tokenText(int32_t id) const;

  // Token ids of `text`; ill-formed UTF-8 is read as U+FFFD. `addSpecial` adds BOS/EOS as the model asks;
  // `parseSpecial` lets control tokens written in the text ("<|im_end|>") become those tokens: only for trusted
  // text. User-defined tokens are always recognised. Fails if the text needs a byte that the vocabulary lacks.
  kt::Result<std::vector<int32_t>> encode(std::string_view text, bool addSpecial, bool parseSpecial) const;

  // As encode(), for text put together from trusted parts (a chat template) and untrusted parts (what users
  // wrote): a control token is recognised only if all of it is trusted. Other tokens may span parts, exactly as
  // if the whole were one text. BOS is not added a second time if the first token is already BOS.
  kt::Result<std::vector<int32_t>> encodeMarked(std::span<const MarkedText> parts, bool addSpecial) const;

  // The bytes that token `id` stands for; may be part of a UTF-8 character (see Utf8Stream). Control and
  // unknown tokens give "" unless `renderSpecial`. Ids outside the vocabulary give "".
  std::string decodeToken(int32_t id, bool renderSpecial) const;

  // The bytes of a whole sequence. For "llama" vocabularies the space that encode() put in front is removed.
  std::string decode(std::span<const int32_t> ids, bool renderSpecial) const;

  // True if a model that produces `id` has finished. Includes tokens known by their text ("<|im_end|>", ...),
  // because many files name a wrong EOS.
  bool isEndOfGeneration(int32_t id) const;

  // True for control tokens (never shown to users).
  bool isControl(int32_t id) const;

private:
  explicit Tokenizer(TokenizerData data);
  kt::Status prepare();
  kt::Status checkArrays() const;
  void dropBadIds();
  void findEndOfGeneration();
  void collectSpecialTokens();
  int32_t matchSpecial(std::string_view text, size_t trusted) const;
  struct TrustRange {
    size_t end; // a range begins where the one before it ends
    bool trusted;
  };
  kt::Status encodeRanges(std::string_view text, std::span<const TrustRange> ranges,
                          std::vector<int32_t> &out) const;
  kt::Status encodePlain(std::string_view text, bool spacePrefix, std::vector<int32_t> &out) const;

  TokenizerData data;
  std::vector<std::string> notes;
  std::vector<int32_t> endIds; // sorted
  struct Specials;
  std::unique_ptr<Specials> specials;
  std::unique_ptr<BpeModel> bpe;
  std::unique_ptr<SpmModel> spm;
};

} // namespace ktrt
