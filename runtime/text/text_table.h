// A read-mostly hash table from text to a small integer, for vocabularies of 150 000 tokens.
//
// Keys are views: nothing is copied, so building it for a mapped plan costs one pass over the texts. Open
// addressing with linear probing keeps a lookup at one or two cache misses.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace ktrt {

// Mixes 8 bytes per step; not keyed, which is fine because a hostile vocabulary can only slow itself down
// and the number of its tokens is bounded by the plan.
inline uint64_t hashText(std::string_view text) {
  uint64_t h = 0x9E3779B97F4A7C15ull ^ text.size();
  const char *p = text.data();
  size_t n = text.size();
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    h = (h ^ word) * 0xFF51AFD7ED558CCDull;
    h ^= h >> 32;
  }
  uint64_t tail = 0;
  for (size_t i = 0; i < n; ++i)
    tail |= uint64_t(uint8_t(p[i])) << (8 * i);
  h = (h ^ tail) * 0xC4CEB9FE1A85EC53ull;
  return h ^ h >> 29;
}

class TextTable {
public:
  // Makes room for `count` keys and drops the old content.
  void reset(size_t count) {
    size_t size = 16;
    while (size < count * 2)
      size *= 2;
    slots.assign(size, Slot{});
    used = 0;
  }

  // Adds `text` -> `value` (>= 0) unless the text is already there: the first of several equal texts wins.
  // The bytes of `text` must outlive the table.
  void insert(std::string_view text, int32_t value) {
    if ((used + 1) * 2 > slots.size())
      grow();
    uint64_t hash = hashText(text);
    Slot &slot = slots[probe(text, hash)];
    if (slot.value >= 0)
      return;
    slot = {text, uint32_t(hash >> 32), value};
    ++used;
  }

  // The value of `text`, or -1.
  int32_t find(std::string_view text) const {
    return slots.empty() ? -1 : slots[probe(text, hashText(text))].value;
  }

private:
  struct Slot {
    std::string_view text;
    uint32_t tag = 0;
    int32_t value = -1;
  };

  // Index of the slot that holds `text`, or of the free slot where it belongs.
  size_t probe(std::string_view text, uint64_t hash) const {
    size_t mask = slots.size() - 1, i = hash & mask;
    while (slots[i].value >= 0 && (slots[i].tag != uint32_t(hash >> 32) || slots[i].text != text))
      i = (i + 1) & mask;
    return i;
  }

  void grow() {
    std::vector<Slot> old(slots.empty() ? 16 : slots.size() * 2);
    old.swap(slots);
    for (const Slot &slot : old)
      if (slot.value >= 0)
        slots[probe(slot.text, hashText(slot.text))] = slot;
  }

  std::vector<Slot> slots;
  size_t used = 0;
};

} // namespace ktrt
