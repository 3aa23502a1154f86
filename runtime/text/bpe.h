// Byte-level byte-pair encoding (`tokenizer.ggml.model` = "gpt2").
#pragma once

#include "runtime/text/pre_tokenizer.h"
#include "runtime/text/text_table.h"
#include "runtime/text/tokenizer.h"

namespace ktrt {

// The alphabet in which byte-level vocabularies are written: printable bytes stand for themselves, the others
// are moved to U+0100 and up, so that token texts contain no spaces or control characters.
uint32_t byteToAlphabet(uint8_t byte);

// The byte that `codepoint` stands for, or -1 if it is not in the alphabet.
int alphabetToByte(uint32_t codepoint);

// The bytes that a token text in the byte alphabet stands for. A text with a character outside the alphabet is
// not written in it (an added token) and is returned as it is.
std::string alphabetToBytes(std::string_view tokenText);

class BpeModel {
public:
  // Builds the merge tables from `data`, which must outlive the model. Merges that name unknown tokens are
  // skipped and counted in `skippedMerges`.
  static kt::Result<std::unique_ptr<BpeModel>> create(const TokenizerData &data);

  // Appends the tokens of `text` (well-formed UTF-8, no special tokens in it).
  kt::Status encode(std::string_view text, std::vector<int32_t> &out) const;

  size_t skippedMerges = 0;

private:
  struct Merge {
    uint64_t pair = UINT64_MAX; // left id << 32 | right id; UINT64_MAX = free slot
    uint32_t rank = 0;
    int32_t result = -1;
  };
  struct Workspace;

  BpeModel(const TokenizerData &data, PreTokenizer split, bool ignoreMerges)
      : data(data), splitter(std::move(split)), ignoreMerges(ignoreMerges) {}
  void buildVocabulary();
  void buildMerges();
  const Merge *findMerge(int32_t left, int32_t right) const;
  kt::Status encodePiece(std::string_view piece, Workspace &work, std::vector<int32_t> &out) const;
  void mergeAll(Workspace &work) const;

  const TokenizerData &data;
  PreTokenizer splitter;
  bool ignoreMerges;
  TextTable vocabulary;
  int32_t byteTokens[256];
  std::vector<Merge> merges; // open addressing, power-of-two size
};

} // namespace ktrt
