// parseGgufFile: see the header.
//
// Layout of a file: "GGUF", u32 version, u64 tensor count, u64 metadata count; metadata entries; tensor infos;
// padding to the alignment; tensor data, each tensor padded to the alignment. All little-endian.
#include "compiler/gguf-to-model/file_parser.h"

#include "compiler/gguf-to-model/cursor.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

namespace ktc {

namespace {

// The fewest bytes that an entry of each kind can take: what bounds the counts before anything is allocated.
constexpr uint64_t minMetadataBytes = 8 + 1 + 4 + 1;
constexpr uint64_t minTensorInfoBytes = 8 + 1 + 4 + 8 + 4 + 8;
constexpr uint64_t minStringBytes = 8;
constexpr uint64_t maxStringLength = 1ull << 30;
// Entries cost more memory than their bytes in the file; real models have some thousands.
constexpr uint64_t maxEntries = 1ull << 20;
constexpr uint64_t defaultAlignment = 32;

class FileParser {
public:
  FileParser(const std::string &name, std::span<const uint8_t> bytes)
      : name(name), fileBytes(bytes.size()), cursor(name, bytes) {
    file.metadata = GgufMetadata(name);
  }

  ::kt::Result<ParsedGgufFile> run() {
    parsePreamble();
    for (uint64_t i = 0; i < metadataCount && !cursor.failed(); ++i)
      parseMetadataEntry();
    readAlignment();
    for (uint64_t i = 0; i < tensorCount && !cursor.failed(); ++i)
      parseTensorInfo();
    placeTensors();
    if (cursor.failed())
      return cursor.error();
    return std::move(file);
  }

private:
  // One tensor as the file states it, before its data is located.
  struct PendingOffset {
    uint64_t stated;   // relative to the start of the data
    uint64_t position; // of the number in the file
  };

  void parsePreamble();
  void parseVersion();
  uint64_t parseCount(const char *what, uint64_t minBytes, uint64_t max);
  void parseMetadataEntry();
  GgufValueType parseValueType(const char *what);
  void parseElements(GgufValue &value, const std::string &key);
  void readAlignment();
  void parseTensorInfo();
  void parseShape(GgufTensor &tensor);
  void computeBytes(GgufTensor &tensor, uint64_t position);
  void placeTensors();
  void failTensor(uint64_t position, const GgufTensor &tensor, const std::string &expected,
                  const std::string &found);

  const std::string &name;
  uint64_t fileBytes;
  Cursor cursor;
  ParsedGgufFile file;
  uint64_t tensorCount = 0;
  uint64_t metadataCount = 0;
  std::unordered_set<std::string_view> tensorNames;
  std::vector<PendingOffset> offsets;
};

void FileParser::failTensor(uint64_t position, const GgufTensor &tensor, const std::string &expected,
                            const std::string &found) {
  cursor.fail(position, expected + " for tensor '" + printable(tensor.name) + "'", found);
}

void FileParser::parseVersion() {
  uint64_t at = cursor.position();
  uint32_t version = cursor.read<uint32_t>("the version");
  if (cursor.failed() || version == 2 || version == 3) {
    file.version = version;
    return;
  }
  std::string found = std::to_string(version);
  if (version != 0 && (version & 0xFFFF) == 0)
    found = "a big-endian file, which is not supported";
  else if (version == 1)
    found = "1, which is no longer in use: convert the model again";
  cursor.fail(at, "GGUF version 2 or 3", found);
}

uint64_t FileParser::parseCount(const char *what, uint64_t minBytes, uint64_t max) {
  uint64_t at = cursor.position();
  uint64_t count = cursor.read<uint64_t>(what);
  if (count > cursor.remaining() / minBytes)
    cursor.fail(at,
                std::string(what) + " that fits into the " + std::to_string(cursor.remaining()) +
                    " bytes that follow",
                std::to_string(count));
  if (count > max)
    cursor.fail(at, std::string(what) + " of at most " + std::to_string(max), std::to_string(count));
  return cursor.failed() ? 0 : count;
}

void FileParser::parsePreamble() {
  const uint8_t *magic = cursor.take(4, "the magic 'GGUF'");
  if (magic && std::memcmp(magic, "GGUF", 4) != 0)
    cursor.fail(0, "the magic 'GGUF'",
                "'" + printable(std::string_view(reinterpret_cast<const char *>(magic), 4)) + "'");
  parseVersion();
  tensorCount = parseCount("a tensor count", minTensorInfoBytes, maxEntries);
  metadataCount = parseCount("a metadata count", minMetadataBytes, maxEntries);
}

GgufValueType FileParser::parseValueType(const char *what) {
  uint64_t at = cursor.position();
  uint32_t id = cursor.read<uint32_t>(what);
  if (id > static_cast<uint32_t>(GgufValueType::F64))
    cursor.fail(at, std::string(what) + " in 0..12", std::to_string(id));
  return static_cast<GgufValueType>(id);
}

void FileParser::parseMetadataEntry() {
  uint64_t at = cursor.position();
  GgufMetadataEntry entry;
  entry.key = cursor.identifier("a metadata key", ggufMaxKeyLength);
  GgufValueType type = parseValueType("a metadata value type");
  if (cursor.failed())
    return;
  std::string key = "'" + printable(entry.key) + "'";
  GgufValue &value = entry.value;
  value.elementType = type;
  if (type == GgufValueType::Array) {
    uint64_t typeAt = cursor.position();
    value.isArray = true;
    value.elementType = parseValueType("an array element type");
    if (value.elementType == GgufValueType::Array)
      cursor.fail(typeAt, "elements of " + key + " that are no arrays", "a nested array");
    bool isString = value.elementType == GgufValueType::String;
    uint64_t elementBytes = isString ? minStringBytes : ggufValueTypeSize(value.elementType);
    value.count = parseCount("an array length", std::max<uint64_t>(elementBytes, 1), UINT64_MAX);
  }
  parseElements(value, key);
  if (!cursor.failed() && !file.metadata.insert(std::move(entry)))
    cursor.fail(at, "each metadata key once", "a second " + key);
}

void FileParser::parseElements(GgufValue &value, const std::string &key) {
  if (cursor.failed())
    return;
  if (value.elementType == GgufValueType::String) {
    value.strings.reserve(value.count);
    for (uint64_t i = 0; i < value.count && !cursor.failed(); ++i)
      value.strings.push_back(cursor.string("a string", maxStringLength));
    return;
  }
  uint64_t at = cursor.position();
  // The count was compared with the bytes that remain, so that this product cannot wrap.
  value.data = cursor.take(value.count * ggufValueTypeSize(value.elementType), "a metadata value");
  if (value.elementType != GgufValueType::Bool || !value.data)
    return;
  for (uint64_t i = 0; i < value.count; ++i)
    if (value.data[i] > 1) {
      cursor.fail(at + i, "a bool (0 or 1) in " + key, std::to_string(value.data[i]));
      return;
    }
}

void FileParser::readAlignment() {
  file.alignment = defaultAlignment;
  if (cursor.failed())
    return;
  const GgufValue *value = file.metadata.find("general.alignment");
  if (!value)
    return;
  bool isU32 = !value->isArray && value->elementType == GgufValueType::U32;
  uint64_t alignment = isU32 ? *value->asUInt() : 0;
  if (!std::has_single_bit(alignment)) {
    cursor.fail(cursor.position(), "'general.alignment' to be a u32 power of two",
                value->typeText() + (value->isArray ? "" : " '" + printable(value->elementText(0)) + "'"));
    return;
  }
  file.alignment = alignment;
}

void FileParser::parseShape(GgufTensor &tensor) {
  uint64_t at = cursor.position();
  tensor.dimensions = cursor.read<uint32_t>("a number of dimensions");
  if (cursor.failed())
    return;
  if (tensor.dimensions < 1 || tensor.dimensions > tensor.ne.size())
    return failTensor(at, tensor, "1..4 dimensions", std::to_string(tensor.dimensions));
  for (uint32_t i = 0; i < tensor.dimensions; ++i) {
    at = cursor.position();
    tensor.ne[i] = cursor.read<uint64_t>("a dimension");
    if (!cursor.failed() && (tensor.ne[i] == 0 || tensor.ne[i] > static_cast<uint64_t>(INT64_MAX)))
      return failTensor(at, tensor, "a dimension in 1..2^63-1", std::to_string(tensor.ne[i]));
  }
}

// Sets tensor.bytes, with every product checked; shapes that only fit after wrapping must not get further.
void FileParser::computeBytes(GgufTensor &tensor, uint64_t position) {
  const KtTypeInfo *type = ktTypeInfo(tensor.type);
  if (!type)
    return failTensor(position, tensor, "a known tensor type", "type id " + std::to_string(tensor.type));
  if (tensor.ne[0] % type->blockElements != 0)
    return failTensor(position, tensor,
                      std::string("rows of whole ") + type->name + " blocks of " +
                          std::to_string(type->blockElements) + " elements",
                      std::to_string(tensor.ne[0]) + " elements in a row");
  uint64_t bytes = type->blockBytes;
  uint64_t elements = 1;
  const uint64_t factors[] = {tensor.ne[0] / type->blockElements, tensor.ne[1], tensor.ne[2], tensor.ne[3]};
  bool wraps = false;
  for (uint32_t i = 0; i < 4; ++i) {
    wraps |= __builtin_mul_overflow(bytes, factors[i], &bytes);
    wraps |= __builtin_mul_overflow(elements, tensor.ne[i], &elements);
  }
  if (wraps || bytes > fileBytes)
    return failTensor(position, tensor, "data of at most " + std::to_string(fileBytes) + " bytes (the file)",
                      "shape " + tensor.shapeText() + " of " + type->name +
                          (wraps ? ", which no 64-bit size holds" : ", " + std::to_string(bytes) + " bytes"));
  tensor.bytes = bytes;
}

void FileParser::parseTensorInfo() {
  uint64_t at = cursor.position();
  GgufTensor tensor;
  tensor.name = cursor.identifier("a tensor name", ggufMaxTensorName - 1);
  parseShape(tensor);
  uint64_t typeAt = cursor.position();
  tensor.type = cursor.read<uint32_t>("a tensor type");
  PendingOffset offset{0, cursor.position()};
  offset.stated = cursor.read<uint64_t>("a tensor offset");
  if (cursor.failed())
    return;
  computeBytes(tensor, typeAt);
  if (!tensorNames.insert(tensor.name).second)
    failTensor(at, tensor, "one entry", "a second one");
  file.tensors.push_back(tensor);
  offsets.push_back(offset);
}

// Locates the data: tensors follow each other in order, each padded to the alignment, without gap or overlap.
void FileParser::placeTensors() {
  if (cursor.failed() || file.tensors.empty())
    return;
  // Positions and sizes are at most the file's size and the alignment at most 2^31: these sums cannot wrap.
  auto padded = [&](uint64_t value) { return (value + file.alignment - 1) & ~(file.alignment - 1); };
  uint64_t dataStart = padded(cursor.position());
  uint64_t running = 0;
  for (size_t i = 0; i < file.tensors.size() && !cursor.failed(); ++i) {
    GgufTensor &tensor = file.tensors[i];
    if (offsets[i].stated != running)
      return failTensor(offsets[i].position, tensor, "offset " + std::to_string(running),
                        std::to_string(offsets[i].stated));
    uint64_t available = dataStart > fileBytes ? 0 : fileBytes - dataStart;
    available = running > available ? 0 : available - running;
    if (tensor.bytes > available)
      return failTensor(offsets[i].position, tensor, std::to_string(tensor.bytes) + " bytes of data",
                        std::to_string(available) + " bytes before the end of the file");
    tensor.offset = dataStart + running;
    running = padded(running + tensor.bytes);
  }
}

} // namespace

::kt::Result<ParsedGgufFile> parseGgufFile(const std::string &name, std::span<const uint8_t> bytes) {
  return FileParser(name, bytes).run();
}

} // namespace ktc
