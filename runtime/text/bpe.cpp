// Byte-level BPE: pieces from the regex chain, each merged best rank first.
//
// A piece starts as one token per byte in a linked list; a heap holds the merges that are possible now, and the
// best (lowest rank, then leftmost) is applied until none is left: O(n log n), so one very long "word" is no
// attack. Text repeats its words, so finished pieces are remembered for the length of one call.
#include "runtime/text/bpe.h"
#include "runtime/text/utf8.h"

#include <algorithm>

namespace ktrt {

namespace {

bool isPrintable(uint32_t b) {
  return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
}

// Both directions of the byte alphabet: bytes that are not printable take U+0100, U+0101, ... in order.
struct ByteAlphabet {
  uint16_t toCode[256];
  int16_t toByte[512];
  constexpr static uint32_t size = 512;

  ByteAlphabet() {
    std::fill(std::begin(toByte), std::end(toByte), int16_t(-1));
    uint16_t next = 256;
    for (uint32_t b = 0; b < 256; ++b) {
      toCode[b] = isPrintable(b) ? uint16_t(b) : next++;
      toByte[toCode[b]] = int16_t(b);
    }
  }
};
const ByteAlphabet alphabet;

constexpr uint32_t none = UINT32_MAX;
// Pieces longer than this are rare enough that remembering them only costs memory.
constexpr size_t longestRemembered = 64;

uint64_t mixPair(uint64_t pair) {
  pair *= 0x9E3779B97F4A7C15ull;
  return pair ^ pair >> 32;
}

} // namespace

uint32_t byteToAlphabet(uint8_t byte) { return alphabet.toCode[byte]; }

int alphabetToByte(uint32_t codepoint) {
  return codepoint < ByteAlphabet::size ? alphabet.toByte[codepoint] : -1;
}

std::string alphabetToBytes(std::string_view tokenText) {
  std::string bytes;
  for (std::string_view rest = tokenText; !rest.empty();) {
    Utf8Char c = decodeUtf8(rest);
    int byte = c.valid ? alphabetToByte(c.codepoint) : -1;
    if (byte < 0)
      return std::string(tokenText);
    bytes += char(byte);
    rest.remove_prefix(c.length);
  }
  return bytes;
}

// Buffers reused from piece to piece, and the memory of finished pieces.
struct BpeModel::Workspace {
  struct Symbol {
    int32_t id;
    uint32_t prev, next;
  };
  struct Candidate {
    uint32_t rank, left;
    int32_t leftId, rightId, result;
    // Greater = applied later; std heaps keep the greatest on top, so the order is reversed where it is used.
    bool operator<(const Candidate &o) const { return rank != o.rank ? rank > o.rank : left > o.left; }
  };
  struct Known {
    uint32_t begin, end; // in `ids`
  };

  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
  std::string spelled;
  TextTable seen;
  std::vector<Known> known;
  std::vector<int32_t> ids;
};

kt::Result<std::unique_ptr<BpeModel>> BpeModel::create(const TokenizerData &data) {
  const PreTokenizerSpec *spec = findPreTokenizer(data.pre);
  if (!spec)
    return kt::Error{
        "tokenizer: unknown pre-tokenizer '" + data.pre +
        "' (tokenizer.ggml.pre); using another one would give the model tokens it was not trained on"};
  auto split = PreTokenizer::create(*spec);
  if (!split)
    return split.error();
  std::unique_ptr<BpeModel> model(new BpeModel(data, std::move(*split), spec->ignoreMerges));
  model->buildVocabulary();
  model->buildMerges();
  return model;
}

void BpeModel::buildVocabulary() {
  vocabulary.reset(data.tokens.size());
  for (size_t id = 0; id < data.tokens.size(); ++id)
    vocabulary.insert(data.tokens[id], int32_t(id));
  for (uint32_t b = 0; b < 256; ++b) {
    std::string text;
    appendUtf8(text, byteToAlphabet(uint8_t(b)));
    byteTokens[b] = vocabulary.find(text);
  }
}

void BpeModel::buildMerges() {
  size_t size = 16;
  while (size < data.merges.size() * 2)
    size *= 2;
  merges.assign(size, Merge{});
  std::string joined;
  for (size_t rank = 0; rank < data.merges.size(); ++rank) {
    std::string_view merge = data.merges[rank];
    // The left part has at least one character, which may itself be a space in a strange vocabulary.
    size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos || space + 1 >= merge.size()) {
      ++skippedMerges;
      continue;
    }
    std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
    joined.assign(left).append(right);
    int32_t leftId = vocabulary.find(left), rightId = vocabulary.find(right), id = vocabulary.find(joined);
    if (leftId < 0 || rightId < 0 || id < 0) {
      ++skippedMerges;
      continue;
    }
    uint64_t pair = uint64_t(uint32_t(leftId)) << 32 | uint32_t(rightId);
    size_t i = mixPair(pair) & (size - 1);
    while (merges[i].pair != UINT64_MAX && merges[i].pair != pair)
      i = (i + 1) & (size - 1);
    if (merges[i].pair == UINT64_MAX) // the first of equal pairs has the better rank
      merges[i] = {pair, uint32_t(rank), id};
  }
}

const BpeModel::Merge *BpeModel::findMerge(int32_t left, int32_t right) const {
  uint64_t pair = uint64_t(uint32_t(left)) << 32 | uint32_t(right);
  size_t mask = merges.size() - 1, i = mixPair(pair) & mask;
  for (; merges[i].pair != UINT64_MAX; i = (i + 1) & mask)
    if (merges[i].pair == pair)
      return &merges[i];
  return nullptr;
}

// Merges `work.symbols` in place; merged-away symbols leave the list (their id becomes -1).
void BpeModel::mergeAll(Workspace &work) const {
  auto &symbols = work.symbols;
  auto &heap = work.heap;
  heap.clear();
  auto consider = [&](uint32_t left, uint32_t right) {
    if (left == none || right == none)
      return;
    if (const Merge *merge = findMerge(symbols[left].id, symbols[right].id))
      heap.push_back({merge->rank, left, symbols[left].id, symbols[right].id, merge->result});
  };
  for (uint32_t i = 0; i + 1 < symbols.size(); ++i)
    consider(i, i + 1);
  std::make_heap(heap.begin(), heap.end());
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    Workspace::Candidate best = heap.back();
    heap.pop_back();
    Workspace::Symbol &left = symbols[best.left];
    // Stale if either side was merged meanwhile.
    if (left.id != best.leftId || left.next == none || symbols[left.next].id != best.rightId)
      continue;
    Workspace::Symbol &right = symbols[left.next];
    left.id = best.result;
    right.id = -1;
    left.next = right.next;
    if (left.next != none)
      symbols[left.next].prev = best.left;
    for (auto [a, b] : {std::pair(left.prev, best.left), std::pair(best.left, left.next)}) {
      size_t before = heap.size();
      consider(a, b);
      if (heap.size() > before)
        std::push_heap(heap.begin(), heap.end());
    }
  }
}

kt::Status BpeModel::encodePiece(std::string_view piece, Workspace &work, std::vector<int32_t> &out) const {
  if (ignoreMerges) {
    work.spelled.clear();
    for (char c : piece)
      appendUtf8(work.spelled, byteToAlphabet(uint8_t(c)));
    if (int32_t id = vocabulary.find(work.spelled); id >= 0) {
      out.push_back(id);
      return {};
    }
  }
  work.symbols.clear();
  for (char c : piece) {
    int32_t id = byteTokens[uint8_t(c)];
    if (id < 0)
      id = data.unk;
    if (id < 0)
      return kt::Error{"tokenizer: the vocabulary has no token for byte " + std::to_string(uint8_t(c)) +
                       " and no unknown token"};
    uint32_t i = uint32_t(work.symbols.size());
    work.symbols.push_back({id, i == 0 ? none : i - 1, i + 1});
  }
  work.symbols.back().next = none;
  mergeAll(work);
  for (uint32_t i = 0; i != none; i = work.symbols[i].next)
    out.push_back(work.symbols[i].id);
  return {};
}

kt::Status BpeModel::encode(std::string_view text, std::vector<int32_t> &out) const {
  std::vector<TextPiece> pieces;
  if (kt::Status status = splitter.split(text, pieces); !status)
    return status;
  Workspace work;
  for (TextPiece range : pieces) {
    std::string_view piece = text.substr(range.offset, range.size);
    if (piece.size() == 1) { // most line breaks and digits: nothing to merge
      if (int32_t id = byteTokens[uint8_t(piece[0])]; id >= 0) {
        out.push_back(id);
        continue;
      }
    }
    bool remember = piece.size() <= longestRemembered;
    if (int32_t hit = remember ? work.seen.find(piece) : -1; hit >= 0) {
      Workspace::Known known = work.known[size_t(hit)];
      out.insert(out.end(), work.ids.begin() + known.begin, work.ids.begin() + known.end);
      continue;
    }
    size_t before = out.size();
    if (kt::Status status = encodePiece(piece, work, out); !status)
      return status;
    if (remember) {
      uint32_t begin = uint32_t(work.ids.size());
      work.ids.insert(work.ids.end(), out.begin() + ptrdiff_t(before), out.end());
      work.seen.insert(piece, int32_t(work.known.size()));
      work.known.push_back({begin, uint32_t(work.ids.size())});
    }
  }
  return {};
}

} // namespace ktrt
