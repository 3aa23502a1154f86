// GgufModel: a GGUF model, opened and fully checked before anything is believed.
//
// A model file comes from strangers. Every length and count is compared with the bytes that remain before it is
// used or allocated for, every product is checked for overflow on bytes, and each tensor's data is known to lie
// inside its file. What passes `open` can be indexed without further checks; what fails gives one sentence with
// the file, the byte or tensor, what was expected and what was found.
//
// Accepted: versions 2 and 3, little-endian, one file or a split set `name-00001-of-0000N.gguf`.
#pragma once

#include "compiler/gguf-to-model/mapped_file.h"
#include "compiler/gguf-to-model/metadata.h"
#include "runtime/abi/kt_types.h"
#include "runtime/abi/result.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ktc {

// Tensor names are shorter than this many bytes; metadata keys are at most ggufMaxKeyLength bytes.
constexpr uint64_t ggufMaxTensorName = 64;
constexpr uint64_t ggufMaxKeyLength = 65535;

// Layers a model may have; a limit of the format's users, and a guard for per-layer work.
constexpr uint64_t ggufMaxBlocks = 512;

// One tensor. ne[0] is the contiguous dimension; unused dimensions are 1, no dimension is 0.
struct GgufTensor {
  std::string_view name;
  uint32_t type = 0; // GGUF id, known to ktTypeInfo
  uint32_t dimensions = 0;
  std::array<uint64_t, 4> ne = {1, 1, 1, 1};
  uint32_t file = 0;   // index into GgufModel::files()
  uint64_t offset = 0; // absolute, in bytes, from the start of that file
  uint64_t bytes = 0;

  // "[256, 4096]", in ne order.
  std::string shapeText() const;
  uint64_t elements() const { return ne[0] * ne[1] * ne[2] * ne[3]; }
};

struct GgufFile {
  std::string path; // as given; parts of a split set share its folder
  uint64_t bytes = 0;
  uint32_t version = 0;
  uint64_t alignment = 0;
};

class GgufModel {
public:
  GgufModel() = default;
  GgufModel(GgufModel &&) = default;
  GgufModel &operator=(GgufModel &&) = default;
  GgufModel(const GgufModel &) = delete; // copies would share nothing but dangling views
  GgufModel &operator=(const GgufModel &) = delete;

  // Opens the file and, if it is the first of a split set, its other parts.
  // Errors: not readable, not GGUF, unsupported version or byte order, any damage, a later part of a split set,
  // missing or inconsistent parts, metadata that contradicts itself (checkMetadata).
  static ::kt::Result<GgufModel> open(const std::string &path);

  // Parses bytes in memory as a single file called `name`. The bytes must outlive the model.
  static ::kt::Result<GgufModel> parse(const std::string &name, std::span<const uint8_t> bytes);

  const std::vector<GgufFile> &files() const { return fileList; }
  const GgufMetadata &metadata() const { return meta; }
  const std::vector<GgufTensor> &tensors() const { return tensorList; }

  // The tensor called `name`, or null.
  const GgufTensor *findTensor(std::string_view name) const;

  // The tensor's data inside the mapping.
  std::span<const uint8_t> data(const GgufTensor &tensor) const {
    return views[tensor.file].subspan(tensor.offset, tensor.bytes);
  }

private:
  ::kt::Status addFile(const std::string &path, std::span<const uint8_t> bytes);
  ::kt::Status addTensors(std::vector<GgufTensor> tensors, const std::string &path);
  ::kt::Status openParts(const std::string &firstPath);
  ::kt::Status checkPart(const std::string &path, const GgufMetadata &partMeta) const;

  std::vector<MappedFile> mappings;
  std::vector<std::span<const uint8_t>> views; // one per file
  std::vector<GgufFile> fileList;
  GgufMetadata meta;
  std::vector<GgufTensor> tensorList;
  std::unordered_map<std::string_view, size_t> tensorIndex;
};

// Cross-checks metadata that later stages index with: architecture, block count, tokenizer arrays of the right
// types and equal lengths, well-formed byte tokens. `fileName` begins the messages.
::kt::Status checkMetadata(const std::string &fileName, const GgufMetadata &metadata);

} // namespace ktc
