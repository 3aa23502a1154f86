// UTF-8 decoding by the table of well-formed byte sequences (Unicode chapter 3, table 3-7).
#include "runtime/text/utf8.h"

namespace ktrt {

namespace {

constexpr uint32_t replacement = 0xFFFD;

// What a lead byte promises: sequence length (0 = not a lead byte) and the allowed range of the second byte,
// which is where overlong forms, surrogates and values above U+10FFFF are excluded.
struct LeadByte {
  uint32_t length;
  uint8_t low, high;
};

LeadByte classify(uint8_t lead) {
  if (lead < 0x80)
    return {1, 0, 0};
  if (lead < 0xC2)
    return {0, 0, 0};
  if (lead < 0xE0)
    return {2, 0x80, 0xBF};
  if (lead < 0xF0)
    return {3, uint8_t(lead == 0xE0 ? 0xA0 : 0x80), uint8_t(lead == 0xED ? 0x9F : 0xBF)};
  if (lead < 0xF5)
    return {4, uint8_t(lead == 0xF0 ? 0x90 : 0x80), uint8_t(lead == 0xF4 ? 0x8F : 0xBF)};
  return {0, 0, 0};
}

// Length of the longest suffix of `text` that is a proper prefix of some well-formed character.
size_t incompleteSuffix(std::string_view text) {
  for (size_t n = 1; n <= 3 && n <= text.size(); ++n) {
    std::string_view tail = text.substr(text.size() - n);
    LeadByte lead = classify(uint8_t(tail[0]));
    if (lead.length == 0)
      continue;
    // The decoder reports how much of the tail is a possible beginning; only a whole tail can be continued.
    Utf8Char c = decodeUtf8(tail);
    return !c.valid && lead.length > n && c.length == n ? n : 0;
  }
  return 0;
}

} // namespace

Utf8Char decodeUtf8(std::string_view text) {
  uint8_t first = uint8_t(text[0]);
  LeadByte lead = classify(first);
  if (lead.length == 1)
    return {first, 1, true};
  if (lead.length == 0)
    return {replacement, 1, false};
  uint32_t codepoint = first & (0x7Fu >> lead.length);
  for (uint32_t i = 1; i < lead.length; ++i) {
    uint8_t low = i == 1 ? lead.low : 0x80, high = i == 1 ? lead.high : 0xBF;
    if (i >= text.size() || uint8_t(text[i]) < low || uint8_t(text[i]) > high)
      return {replacement, i, false};
    codepoint = codepoint << 6 | (uint8_t(text[i]) & 0x3F);
  }
  return {codepoint, lead.length, true};
}

void appendUtf8(std::string &out, uint32_t c) {
  if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
    c = replacement;
  if (c < 0x80) {
    out += char(c);
  } else if (c < 0x800) {
    out += char(0xC0 | c >> 6);
    out += char(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += char(0xE0 | c >> 12);
    out += char(0x80 | (c >> 6 & 0x3F));
    out += char(0x80 | (c & 0x3F));
  } else {
    out += char(0xF0 | c >> 18);
    out += char(0x80 | (c >> 12 & 0x3F));
    out += char(0x80 | (c >> 6 & 0x3F));
    out += char(0x80 | (c & 0x3F));
  }
}

bool isValidUtf8(std::string_view text) {
  while (!text.empty()) {
    Utf8Char c = decodeUtf8(text);
    if (!c.valid)
      return false;
    text.remove_prefix(c.length);
  }
  return true;
}

std::string repairUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    Utf8Char c = decodeUtf8(text);
    if (c.valid)
      out.append(text.substr(0, c.length));
    else
      appendUtf8(out, replacement);
    text.remove_prefix(c.length);
  }
  return out;
}

std::string Utf8Stream::feed(std::string_view bytes) {
  pending.append(bytes);
  size_t keep = incompleteSuffix(pending);
  std::string out = repairUtf8(std::string_view(pending).substr(0, pending.size() - keep));
  pending.erase(0, pending.size() - keep);
  return out;
}

std::string Utf8Stream::finish() {
  std::string out = repairUtf8(pending);
  pending.clear();
  return out;
}

} // namespace ktrt
