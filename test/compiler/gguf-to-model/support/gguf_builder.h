// GgufBuilder: makes small GGUF files for tests, right by default and wrong on request.
//
// Every field that the reader checks can be overridden, so that a hostile file is a valid file with one change.
#pragma once

#include "runtime/abi/kt_types.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

namespace ktc::test {

using Bytes = std::vector<uint8_t>;

template <typename T> void append(Bytes &bytes, T value) {
  const uint8_t *data = reinterpret_cast<const uint8_t *>(&value);
  bytes.insert(bytes.end(), data, data + sizeof(T));
}

inline void appendString(Bytes &bytes, const std::string &text) {
  append<uint64_t>(bytes, text.size());
  bytes.insert(bytes.end(), text.begin(), text.end());
}

// Ids of metadata value types, as numbers: tests also write wrong ones.
enum : uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };

// A tensor to be written. Optional members override what the builder would compute.
struct TensorSpec {
  std::string name;
  std::vector<uint64_t> ne;
  uint32_t type = KT_TYPE_F32;
  std::optional<uint32_t> dimensions;
  std::optional<uint64_t> offset;
  std::optional<uint64_t> dataBytes;
};

class GgufBuilder {
public:
  // Preamble fields; counts default to the truth.
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> tensorCount;
  std::optional<uint64_t> metadataCount;
  uint64_t alignment = 32; // of the layout; does not write the key
  bool omitData = false;

  // Where parts begin in the last build: start of each metadata entry and tensor info, and of the data.
  std::vector<size_t> sections;
  size_t headerBytes = 0;

  // Metadata, in the order of the calls.
  template <typename T> GgufBuilder &scalar(const std::string &key, uint32_t type, T value) {
    Bytes entry = start(key, type);
    append(entry, value);
    return raw(entry);
  }
  GgufBuilder &u32(const std::string &key, uint32_t value) { return scalar(key, U32, value); }
  GgufBuilder &f32(const std::string &key, float value) { return scalar(key, F32, value); }
  GgufBuilder &boolean(const std::string &key, bool value) { return scalar<uint8_t>(key, Bool, value); }
  GgufBuilder &string(const std::string &key, const std::string &value) {
    Bytes entry = start(key, String);
    appendString(entry, value);
    return raw(entry);
  }
  GgufBuilder &strings(const std::string &key, const std::vector<std::string> &values) {
    Bytes entry = start(key, Array);
    append<uint32_t>(entry, String);
    append<uint64_t>(entry, values.size());
    for (const std::string &value : values)
      appendString(entry, value);
    return raw(entry);
  }
  template <typename T>
  GgufBuilder &array(const std::string &key, uint32_t elementType, const std::vector<T> &values,
                     std::optional<uint64_t> count = std::nullopt) {
    Bytes entry = start(key, Array);
    append<uint32_t>(entry, elementType);
    append<uint64_t>(entry, count.value_or(values.size()));
    for (T value : values)
      append(entry, value);
    return raw(entry);
  }
  GgufBuilder &raw(const Bytes &entry) {
    metadata.push_back(entry);
    return *this;
  }
  static Bytes start(const std::string &key, uint32_t type) {
    Bytes entry;
    appendString(entry, key);
    append(entry, type);
    return entry;
  }

  GgufBuilder &tensor(TensorSpec spec) {
    tensors.push_back(std::move(spec));
    return *this;
  }
  GgufBuilder &tensor(const std::string &name, std::vector<uint64_t> ne, uint32_t type = KT_TYPE_F32) {
    return tensor(TensorSpec{name, std::move(ne), type, {}, {}, {}});
  }

  // Removes the metadata entry or the tensor of that name, for tests that replace it or miss it.
  GgufBuilder &without(const std::string &name) {
    std::erase_if(metadata, [&](const Bytes &entry) {
      return entry.size() >= 8 + name.size() && entry[0] == name.size() &&
             std::equal(name.begin(), name.end(), entry.begin() + 8);
    });
    std::erase_if(tensors, [&](const TensorSpec &spec) { return spec.name == name; });
    return *this;
  }
  // Gives the tensor `name` another shape or type.
  GgufBuilder &change(const std::string &name, std::vector<uint64_t> ne, uint32_t type = KT_TYPE_F32) {
    for (TensorSpec &spec : tensors)
      if (spec.name == name)
        spec = TensorSpec{name, ne, type, {}, {}, {}};
    return *this;
  }

  Bytes build() {
    Bytes bytes(magic.begin(), magic.end());
    sections.assign(1, 0);
    append(bytes, version);
    append<uint64_t>(bytes, tensorCount.value_or(tensors.size()));
    append<uint64_t>(bytes, metadataCount.value_or(metadata.size()));
    for (const Bytes &entry : metadata) {
      sections.push_back(bytes.size());
      bytes.insert(bytes.end(), entry.begin(), entry.end());
    }
    uint64_t running = 0;
    for (const TensorSpec &spec : tensors) {
      sections.push_back(bytes.size());
      appendString(bytes, spec.name);
      append<uint32_t>(bytes, spec.dimensions.value_or(static_cast<uint32_t>(spec.ne.size())));
      for (uint64_t ne : spec.ne)
        append(bytes, ne);
      append(bytes, spec.type);
      append<uint64_t>(bytes, spec.offset.value_or(running));
      running = padded(running + size(spec));
    }
    headerBytes = bytes.size();
    sections.push_back(headerBytes);
    if (omitData)
      return bytes;
    bytes.resize(padded(bytes.size()));
    sections.push_back(bytes.size());
    bytes.resize(bytes.size() + running);
    return bytes;
  }

  // Writes the file; its bytes are those of build().
  void write(const std::string &path) {
    Bytes bytes = build();
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }

private:
  uint64_t padded(uint64_t value) const { return (value + alignment - 1) / alignment * alignment; }
  static uint64_t size(const TensorSpec &spec) {
    if (spec.dataBytes)
      return *spec.dataBytes;
    const KtTypeInfo *type = ktTypeInfo(spec.type);
    uint64_t bytes = type ? type->blockBytes : 0;
    for (size_t i = 0; i < spec.ne.size(); ++i)
      bytes *= i == 0 && type ? spec.ne[0] / type->blockElements : spec.ne[i];
    return bytes;
  }

  std::vector<Bytes> metadata;
  std::vector<TensorSpec> tensors;
};

// A valid file with every metadata type and some tensors.
inline GgufBuilder validModel() {
  GgufBuilder builder;
  builder.string("general.architecture", "llama").u32("llama.block_count", 2);
  builder.scalar<uint8_t>("t.u8", U8, 200).scalar<int8_t>("t.i8", I8, -3).scalar<uint16_t>("t.u16", U16, 60000);
  builder.scalar<int16_t>("t.i16", I16, -300).scalar<int32_t>("t.i32", I32, -70000).f32("t.f32", 1.5f);
  builder.boolean("t.bool", true).scalar<uint64_t>("t.u64", U64, 1ull << 40);
  builder.scalar<int64_t>("t.i64", I64, -(1ll << 40)).scalar<double>("t.f64", F64, 0.25);
  builder.array<int32_t>("t.ints", I32, {1, 2, 3}).array<float>("t.floats", F32, {0.5f, -1.f});
  builder.strings("tokenizer.ggml.tokens", {"a", "b", "<0x0A>"});
  builder.array<int32_t>("tokenizer.ggml.token_type", I32, {1, 3, 6});
  builder.array<float>("tokenizer.ggml.scores", F32, {0.f, 1.f, 2.f});
  builder.tensor("token_embd.weight", {32, 3}, KT_TYPE_Q8_0).tensor("output_norm.weight", {5});
  return builder.tensor("blk.0.ffn_up_exps.weight", {256, 2, 3}, KT_TYPE_Q4_K);
}

} // namespace ktc::test
