// SharedBytes: bytes of kernels one behind the other, aligned, with equal ones stored once.
#pragma once

#include "runtime/abi/kt_abi.h"

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace ktc {

class SharedBytes {
public:
  // Offset of `content` in the bytes, a multiple of KT_BUFFER_ALIGNMENT; appended if it is new.
  uint64_t add(std::span<const uint8_t> content) {
    auto [known, isNew] =
        offsets.try_emplace(std::string(reinterpret_cast<const char *>(content.data()), content.size()), 0);
    if (isNew) {
      all.resize((all.size() + KT_BUFFER_ALIGNMENT - 1) / KT_BUFFER_ALIGNMENT * KT_BUFFER_ALIGNMENT);
      known->second = all.size();
      all.insert(all.end(), content.begin(), content.end());
    }
    return known->second;
  }

  std::vector<uint8_t> take() { return std::move(all); }

private:
  std::vector<uint8_t> all;
  std::unordered_map<std::string, uint64_t> offsets; // by content
};

} // namespace ktc
