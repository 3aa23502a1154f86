// GgufModel: opening, and joining of split sets. See the header; one file's parsing is in file_parser.cpp.
#include "compiler/gguf-to-model/reader.h"

#include "compiler/gguf-to-model/cursor.h"
#include "compiler/gguf-to-model/file_parser.h"

#include <cstdio>
#include <optional>

namespace ktc {

namespace {

// `prefix-00002-of-00005.gguf`, taken apart.
struct SplitName {
  std::string prefix;
  uint64_t number = 0; // from 1
  uint64_t count = 0;
};

std::string splitPath(const std::string &prefix, uint64_t number, uint64_t count) {
  char suffix[40];
  std::snprintf(suffix, sizeof suffix, "-%05u-of-%05u.gguf", static_cast<unsigned>(number),
                static_cast<unsigned>(count));
  return prefix + suffix;
}

std::optional<SplitName> parseSplitName(const std::string &path) {
  constexpr std::string_view pattern = "-#####-of-#####.gguf";
  if (path.size() < pattern.size())
    return std::nullopt;
  std::string_view tail = std::string_view(path).substr(path.size() - pattern.size());
  uint64_t numbers[2] = {0, 0};
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '#' && pattern[i] != tail[i])
      return std::nullopt;
    if (pattern[i] == '#' && (tail[i] < '0' || tail[i] > '9'))
      return std::nullopt;
    if (pattern[i] == '#')
      numbers[i > 6] = numbers[i > 6] * 10 + static_cast<uint64_t>(tail[i] - '0');
  }
  return SplitName{path.substr(0, path.size() - pattern.size()), numbers[0], numbers[1]};
}

std::string partText(uint64_t number, uint64_t count) {
  return "part " + std::to_string(number) + " of " + std::to_string(count);
}

} // namespace

std::string GgufTensor::shapeText() const {
  std::string text = "[";
  for (uint32_t i = 0; i < dimensions; ++i)
    text += (i ? ", " : "") + std::to_string(ne[i]);
  return text + "]";
}

const GgufTensor *GgufModel::findTensor(std::string_view name) const {
  auto found = tensorIndex.find(name);
  return found == tensorIndex.end() ? nullptr : &tensorList[found->second];
}

::kt::Status GgufModel::addTensors(std::vector<GgufTensor> tensors, const std::string &path) {
  for (GgufTensor &tensor : tensors) {
    tensor.file = static_cast<uint32_t>(fileList.size() - 1);
    auto [entry, isNew] = tensorIndex.try_emplace(tensor.name, tensorList.size());
    if (!isNew)
      return ::kt::Error{path + ": tensor '" + printable(tensor.name) +
                         "': expected one entry in all parts, found another in " +
                         fileList[tensorList[entry->second].file].path};
    tensorList.push_back(tensor);
  }
  return {};
}

::kt::Status GgufModel::addFile(const std::string &path, std::span<const uint8_t> bytes) {
  ::kt::Result<ParsedGgufFile> parsed = parseGgufFile(path, bytes);
  if (!parsed)
    return parsed.error();
  if (!fileList.empty()) {
    ::kt::Status status = checkPart(path, parsed->metadata);
    if (!status)
      return status;
  }
  bool isFirst = fileList.empty();
  views.push_back(bytes);
  fileList.push_back({path, bytes.size(), parsed->version, parsed->alignment});
  if (isFirst)
    meta = std::move(parsed->metadata);
  return addTensors(std::move(parsed->tensors), path);
}

// A later part must say that it is what its name says.
::kt::Status GgufModel::checkPart(const std::string &path, const GgufMetadata &partMeta) const {
  const std::pair<const char *, uint64_t> expectations[] = {{"split.no", fileList.size()},
                                                            {"split.count", *meta.getUInt("split.count")}};
  for (auto [key, expected] : expectations) {
    ::kt::Result<uint64_t> found = partMeta.getUInt(key, UINT16_MAX);
    if (!found)
      return found.error();
    if (*found != expected)
      return ::kt::Error{path + ": metadata key '" + key + "': expected " + std::to_string(expected) +
                         ", found " + std::to_string(*found)};
  }
  return {};
}

// Checks that `firstPath`, already added, is the first of its set, and adds the other parts.
::kt::Status GgufModel::openParts(const std::string &firstPath) {
  ::kt::Result<uint64_t> count = meta.getUIntOr("split.count", 1, UINT16_MAX);
  ::kt::Result<uint64_t> number = meta.getUIntOr("split.no", 0, UINT16_MAX);
  if (!count || !number)
    return count ? number.error() : count.error();
  std::optional<SplitName> name = parseSplitName(firstPath);
  if (*number != 0 || (name && name->number != 1)) {
    uint64_t part = name ? name->number : *number + 1;
    std::string first = name ? "; open " + splitPath(name->prefix, 1, name->count) : "";
    return ::kt::Error{firstPath + ": expected the first part of the split model, found " +
                       partText(part, name ? name->count : *count) + first};
  }
  if (name && name->count != *count)
    return ::kt::Error{firstPath + ": metadata key 'split.count': expected " + std::to_string(name->count) +
                       " as in the file's name, found " + std::to_string(*count)};
  if (!name && *count > 1)
    return ::kt::Error{firstPath + ": expected a name that ends in -00001-of-" +
                       splitPath("", 1, *count).substr(10) + ", because metadata key 'split.count' is " +
                       std::to_string(*count) + ", found another name"};
  for (uint64_t part = 2; part <= *count; ++part) {
    std::string path = splitPath(name->prefix, part, *count);
    ::kt::Result<MappedFile> mapping = MappedFile::open(path);
    if (!mapping)
      return ::kt::Error{mapping.error().message + " (it is " + partText(part, *count) + " of the model " +
                         firstPath + ")"};
    ::kt::Status status = addFile(path, mapping->bytes());
    if (!status)
      return status;
    mappings.push_back(std::move(*mapping));
  }
  return {};
}

::kt::Result<GgufModel> GgufModel::open(const std::string &path) {
  ::kt::Result<MappedFile> mapping = MappedFile::open(path);
  if (!mapping)
    return mapping.error();
  GgufModel model;
  ::kt::Status status = model.addFile(path, mapping->bytes());
  model.mappings.push_back(std::move(*mapping));
  if (status)
    status = model.openParts(path);
  if (!status)
    return status.error();
  if (model.meta.find("split.tensors.count")) {
    ::kt::Result<uint64_t> total = model.meta.getUInt("split.tensors.count");
    if (!total)
      return total.error();
    if (*total != model.tensorList.size())
      return ::kt::Error{path + ": metadata key 'split.tensors.count': expected " +
                         std::to_string(model.tensorList.size()) + ", the tensors in all parts, found " +
                         std::to_string(*total)};
  }
  status = checkMetadata(path, model.meta);
  if (!status)
    return status.error();
  return model;
}

::kt::Result<GgufModel> GgufModel::parse(const std::string &name, std::span<const uint8_t> bytes) {
  GgufModel model;
  ::kt::Status status = model.addFile(name, bytes);
  if (status)
    status = checkMetadata(name, model.meta);
  if (!status)
    return status.error();
  return model;
}

} // namespace ktc
