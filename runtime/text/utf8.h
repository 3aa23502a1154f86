// UTF-8 helpers of the text layer: decode, encode, repair, and a stream that never emits half a character.
//
// Everything that enters the tokenizer is repaired first, so that the regex engine may skip its own check and
// so that ill-formed text has one defined meaning: U+FFFD for each maximal ill-formed sequence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ktrt {

// One decoded character: its code point and how many bytes it took (>= 1). Ill-formed input gives
// valid = false, codepoint U+FFFD and the length of the maximal ill-formed sequence.
struct Utf8Char {
  uint32_t codepoint;
  uint32_t length;
  bool valid;
};

// Decodes the character at the start of `text`, which must not be empty.
Utf8Char decodeUtf8(std::string_view text);

// Appends `codepoint` as UTF-8; surrogates and values above U+10FFFF append U+FFFD.
void appendUtf8(std::string &out, uint32_t codepoint);

// True if all of `text` is well-formed UTF-8.
bool isValidUtf8(std::string_view text);

// A copy of `text` in which each maximal ill-formed sequence is replaced by U+FFFD.
std::string repairUtf8(std::string_view text);

// Cuts a byte stream (decoded tokens) at character borders: a token may end in the middle of a character,
// and what is sent to a terminal or as JSON must not.
class Utf8Stream {
public:
  // Takes the next bytes and returns everything that is complete, ill-formed parts replaced by U+FFFD.
  // At most 3 bytes are held back.
  std::string feed(std::string_view bytes);

  // Ends the stream: an incomplete rest becomes one U+FFFD. The stream is then empty and reusable.
  std::string finish();

private:
  std::string pending;
};

} // namespace ktrt
