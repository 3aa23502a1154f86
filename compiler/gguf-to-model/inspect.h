// What `ktc inspect` prints: the metadata and tensors of a model, for people and for programs.
#pragma once

#include "compiler/gguf-to-model/reader.h"

#include <string>

namespace ktc {

// Several lines of text: files, metadata (long arrays and strings shortened, control characters escaped),
// tensors in file order, and totals per type.
std::string inspectText(const GgufModel &model);

// One JSON object without a trailing newline:
// - "files": [{path, bytes, version, alignment}]
// - "metadata": {key: {type, value}}, arrays {type, element_type, count, first} with at most 16 elements
// - "tensors": [{name, type, shape (contiguous dimension first), elements, bytes, file, offset}]
// - "totals": {tensors, elements, bytes, types: {name: {tensors, elements, bytes}}}
// Malformed UTF-8 in strings is replaced; numbers that JSON has no spelling for (NaN, Inf) become null.
std::string inspectJson(const GgufModel &model);

} // namespace ktc
