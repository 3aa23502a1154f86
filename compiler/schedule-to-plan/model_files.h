// ModelFiles: reads the bytes of a model's GGUF files without mapping them.
//
// A pass over all weights of a mapping would count as memory of this process; descriptors and small buffers do
// not.
#pragma once

#include "compiler/gguf-to-model/reader.h"
#include "runtime/abi/result.hpp"

#include <cstdint>
#include <vector>

namespace ktc {

class ModelFiles {
public:
  // `model` must outlive the object. Files are opened when they are first needed.
  explicit ModelFiles(const GgufModel &model);
  ModelFiles(const ModelFiles &) = delete;
  ModelFiles &operator=(const ModelFiles &) = delete;
  ~ModelFiles();

  // A descriptor of file `file` for pread, owned by this object. Errors: no such file in the model, cannot be
  // opened, no longer of the size that the reader saw.
  kt::Result<int> descriptor(uint32_t file);

  // Checks that [offset, offset + bytes) lies in file `file`; `what` begins the error.
  kt::Status checkRange(uint32_t file, uint64_t offset, uint64_t bytes, const std::string &what) const;

  // Reads `bytes` bytes from `offset` of file `file`, all or an error. Safe from several threads once
  // descriptor() has succeeded for the file.
  kt::Status read(uint32_t file, uint64_t offset, void *destination, uint64_t bytes);

  // sampleHash (runtime/plan/hash.h) of file `file`.
  kt::Result<uint64_t> sampleHash(uint32_t file);

  const GgufFile &info(uint32_t file) const { return model.files()[file]; }

private:
  const GgufModel &model;
  std::vector<int> descriptors; // -1: not opened yet
};

} // namespace ktc
