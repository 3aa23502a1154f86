// SentencePiece BPE: the text (spaces spelled as U+2581) starts as characters; the neighbouring pair whose
// joined text is the token with the best score is merged, leftmost first among equals, until no pair is a
// token.
#include "runtime/text/spm.h"
#include "runtime/text/utf8.h"

#include <algorithm>

namespace ktrt {

namespace {

constexpr uint32_t none = UINT32_MAX;
constexpr std::string_view spaceMark = "\xE2\x96\x81"; // U+2581

struct Symbol {
  uint32_t offset, size; // size 0 = merged away
  uint32_t prev, next;
};

struct Candidate {
  float score;
  uint32_t left, size; // index of the left symbol; bytes of the joined text, to recognise stale entries
  bool operator<(const Candidate &o) const { return score != o.score ? score < o.score : left > o.left; }
};

int hexDigit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

} // namespace

int parseByteToken(std::string_view t) {
  if (t.size() != 6 || t.substr(0, 3) != "<0x" || t[5] != '>')
    return -1;
  int high = hexDigit(t[3]), low = hexDigit(t[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

SpmModel::SpmModel(const TokenizerData &data) : data(data) {
  std::fill(std::begin(byteTokens), std::end(byteTokens), -1);
  vocabulary.reset(data.tokens.size());
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    TokenType type = data.types.empty() ? TokenType::Normal : TokenType(data.types[id]);
    int byte = parseByteToken(data.tokens[id]);
    if (byte >= 0 && (type == TokenType::Byte || data.types.empty())) {
      if (byteTokens[byte] < 0)
        byteTokens[byte] = int32_t(id);
      continue;
    }
    // Only these come out of merging; control tokens are found before, by the partition into special tokens.
    if (type == TokenType::Normal || type == TokenType::UserDefined || type == TokenType::Unused)
      vocabulary.insert(data.tokens[id], int32_t(id));
  }
}

kt::Status SpmModel::emit(std::string_view symbol, std::vector<int32_t> &out) const {
  if (int32_t id = vocabulary.find(symbol); id >= 0) {
    out.push_back(id);
    return {};
  }
  size_t before = out.size();
  for (char c : symbol) {
    int32_t id = byteTokens[uint8_t(c)];
    if (id < 0) { // one unknown token stands for the whole character
      out.resize(before);
      if (data.unk < 0)
        return kt::Error{"tokenizer: the vocabulary has no token for '" + std::string(symbol) +
                         "', lacks byte " + std::to_string(uint8_t(c)) + " and has no unknown token"};
      out.push_back(data.unk);
      return {};
    }
    out.push_back(id);
  }
  return {};
}

kt::Status SpmModel::encode(std::string_view text, bool spacePrefix, std::vector<int32_t> &out) const {
  if (text.empty())
    return {};
  if (text.size() > UINT32_MAX / 4)
    return kt::Error{"tokenizer: a text of " + std::to_string(text.size()) + " bytes is too long"};
  std::string spelled;
  if (spacePrefix)
    spelled += spaceMark;
  for (char c : text)
    if (c == ' ')
      spelled += spaceMark;
    else
      spelled += c;

  std::string_view all = spelled;
  std::vector<Symbol> symbols;
  for (uint32_t offset = 0; offset < all.size();) {
    uint32_t size = decodeUtf8(all.substr(offset)).length, i = uint32_t(symbols.size());
    symbols.push_back({offset, size, i == 0 ? none : i - 1, i + 1});
    offset += size;
  }
  symbols.back().next = none;

  std::vector<Candidate> heap;
  auto consider = [&](uint32_t left, uint32_t right) {
    if (left == none || right == none)
      return;
    uint32_t size = symbols[left].size + symbols[right].size;
    int32_t id = vocabulary.find(all.substr(symbols[left].offset, size));
    if (id < 0)
      return;
    heap.push_back({data.scores[size_t(id)], left, size});
    std::push_heap(heap.begin(), heap.end());
  };
  for (uint32_t i = 0; i + 1 < symbols.size(); ++i)
    consider(i, i + 1);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    Candidate best = heap.back();
    heap.pop_back();
    Symbol &left = symbols[best.left];
    if (left.size == 0 || left.next == none || left.size + symbols[left.next].size != best.size)
      continue;
    Symbol &right = symbols[left.next];
    left.size = best.size;
    right.size = 0;
    left.next = right.next;
    if (left.next != none)
      symbols[left.next].prev = best.left;
    consider(left.prev, best.left);
    consider(best.left, left.next);
  }
  for (uint32_t i = 0; i != none; i = symbols[i].next)
    if (kt::Status status = emit(all.substr(symbols[i].offset, symbols[i].size), out); !status)
      return status;
  return {};
}

std::string SpmModel::decode(int32_t id) const {
  std::string_view text = data.tokens[size_t(id)];
  bool isByte = data.types.empty() || TokenType(data.types[size_t(id)]) == TokenType::Byte;
  if (int byte = isByte ? parseByteToken(text) : -1; byte >= 0)
    return std::string(1, char(byte));
  std::string out;
  while (!text.empty()) {
    if (text.substr(0, spaceMark.size()) == spaceMark) {
      out += ' ';
      text.remove_prefix(spaceMark.size());
    } else {
      out += text[0];
      text.remove_prefix(1);
    }
  }
  return out;
}

} // namespace ktrt
