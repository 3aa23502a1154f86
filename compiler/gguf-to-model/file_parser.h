// parseGgufFile: the header of one GGUF file, checked in the order in which its bytes appear.
//
// Works on one file alone; the joining of split sets and the cross-checks of metadata are the reader's.
#pragma once

#include "compiler/gguf-to-model/reader.h"

namespace ktc {

struct ParsedGgufFile {
  uint32_t version = 0;
  uint64_t alignment = 0;
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors; // `file` is 0; offsets are absolute
};

// Parses and checks `bytes`. All views in the result point into them. `name` begins every message.
::kt::Result<ParsedGgufFile> parseGgufFile(const std::string &name, std::span<const uint8_t> bytes);

} // namespace ktc
