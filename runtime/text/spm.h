// SentencePiece BPE (`tokenizer.ggml.model` = "llama"): merges by score, bytes as a last resort.
#pragma once

#include "runtime/text/text_table.h"
#include "runtime/text/tokenizer.h"

namespace ktrt {

// The value of a byte token's text, "<0x00>" to "<0xFF>" exactly; -1 for any other text.
int parseByteToken(std::string_view tokenText);

class SpmModel {
public:
  // Builds the tables from `data`, which must outlive the model; its arrays are already checked.
  explicit SpmModel(const TokenizerData &data);

  // Appends the tokens of `text` (well-formed UTF-8, no special tokens in it). `spacePrefix` puts a space in
  // front. Fails if a character is neither a token nor spelled by byte tokens and there is no unknown token.
  kt::Status encode(std::string_view text, bool spacePrefix, std::vector<int32_t> &out) const;

  // The bytes of token `id`: the byte of a byte token, else the text with U+2581 as space.
  std::string decode(int32_t id) const;

private:
  kt::Status emit(std::string_view symbol, std::vector<int32_t> &out) const;

  const TokenizerData &data;
  TextTable vocabulary;
  int32_t byteTokens[256];
};

} // namespace ktrt
