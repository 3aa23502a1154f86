// Splits text into the pieces that byte-pair merging may not cross.
//
// Each model family trained its vocabulary behind its own chain of regular expressions; a vocabulary used with
// another chain still works but gives other tokens than the model was trained on, which costs quality
// silently. So an unknown chain name is an error.
#pragma once

#include "runtime/abi/result.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ktrt {

// A range of bytes of the text that was split.
struct TextPiece {
  size_t offset, size;
};

// Facts about a pre-tokenizer name (`tokenizer.ggml.pre`): the regex chain, and what the name implies beside
// it.
struct PreTokenizerSpec {
  const char *name;            // canonical name
  const char *const *patterns; // PCRE2 patterns, null-terminated list; each splits the pieces of the one before
  bool ignoreMerges;           // a piece that is a token as a whole is taken without merging
  bool addBos;                 // the family starts texts with BOS unless the file says otherwise
};

// Finds the spec of `pre` by name or alias; null if the name is unknown. An empty name gives the default chain.
const PreTokenizerSpec *findPreTokenizer(std::string_view pre);

// Compiled chain. Immutable after creation, so that several threads may split at once.
class PreTokenizer {
public:
  PreTokenizer(PreTokenizer &&) noexcept;
  ~PreTokenizer();

  // Compiles the chain of `spec`; fails only if PCRE2 rejects a pattern.
  static kt::Result<PreTokenizer> create(const PreTokenizerSpec &spec);

  // Splits `text`, which must be well-formed UTF-8, into consecutive non-empty pieces that cover it. Fails if
  // a pattern needs more backtracking steps than a linear match can (bounded by the size of the text).
  kt::Status split(std::string_view text, std::vector<TextPiece> &pieces) const;

private:
  PreTokenizer();
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace ktrt
