// checkMetadata: contradictions in metadata that have crashed other readers are errors here.
//
// Values are otherwise checked where they are used; this is for what several stages index with: per-token
// arrays that must run in step, byte tokens that name a byte, and the number of blocks.
#include "compiler/gguf-to-model/cursor.h"
#include "compiler/gguf-to-model/reader.h"

namespace ktc {

namespace {

// Ids of tokenizer.ggml.token_type.
constexpr int64_t firstTokenType = 0;
constexpr int64_t lastTokenType = 6;
constexpr int64_t byteTokenType = 6;

class MetadataChecker {
public:
  MetadataChecker(const std::string &fileName, const GgufMetadata &metadata)
      : fileName(fileName), metadata(metadata) {}

  ::kt::Status run() {
    // Files without an architecture can still be inspected; the importer asks for it.
    if (const GgufValue *architecture = metadata.find("general.architecture")) {
      if (architecture->isArray || architecture->elementType != GgufValueType::String)
        return mismatch("general.architecture", "a string", architecture->typeText());
      std::string key = std::string(*architecture->asString()) + ".block_count";
      ::kt::Result<uint64_t> blocks = metadata.getUIntOr(key, 0, ggufMaxBlocks);
      if (!blocks)
        return blocks.error();
    }
    return checkTokenizer();
  }

private:
  ::kt::Error mismatch(std::string_view key, const std::string &expected, const std::string &found) const {
    return ::kt::Error{fileName + ": metadata key '" + std::string(key) + "': expected " + expected +
                       ", found " + found};
  }

  // An array under `key`, if present, must have elements of `type` and, unless 0, this length.
  ::kt::Status checkArray(std::string_view key, bool (*accepts)(GgufValueType), const char *type,
                          uint64_t length) const {
    const GgufValue *value = metadata.find(key);
    if (!value)
      return {};
    if (!value->isArray || !accepts(value->elementType))
      return mismatch(key, std::string("an array of ") + type, value->typeText());
    if (length != 0 && value->count != length)
      return mismatch(key, std::to_string(length) + " elements, one per token", std::to_string(value->count));
    return {};
  }

  ::kt::Status checkTokenizer() const {
    auto isString = [](GgufValueType type) { return type == GgufValueType::String; };
    auto isInteger = [](GgufValueType type) {
      return type == GgufValueType::I32 || type == GgufValueType::U32;
    };
    auto isFloat = [](GgufValueType type) { return type == GgufValueType::F32; };
    const GgufValue *tokens = metadata.find("tokenizer.ggml.tokens");
    uint64_t count = tokens ? tokens->count : 0;
    if (tokens && count > static_cast<uint64_t>(INT32_MAX))
      return mismatch("tokenizer.ggml.tokens", "at most 2^31-1 tokens", std::to_string(count));
    ::kt::Status status = checkArray("tokenizer.ggml.tokens", isString, "strings", 0);
    if (status)
      status = checkArray("tokenizer.ggml.merges", isString, "strings", 0);
    if (status)
      status = checkArray("tokenizer.ggml.scores", isFloat, "f32", count);
    if (status)
      status = checkArray("tokenizer.ggml.token_type", isInteger, "i32", count);
    return status ? checkTokenTypes() : status;
  }

  ::kt::Status checkTokenTypes() const {
    const GgufValue *tokens = metadata.find("tokenizer.ggml.tokens");
    const GgufValue *types = metadata.find("tokenizer.ggml.token_type");
    ::kt::Result<std::string> model = metadata.getStringOr("tokenizer.ggml.model", "");
    if (!model)
      return model.error();
    bool isSpm = *model == "llama";
    for (uint64_t i = 0; tokens && types && i < types->count; ++i) {
      std::optional<int64_t> type = types->asInt(i);
      if (!type || *type < firstTokenType || *type > lastTokenType)
        return mismatch("tokenizer.ggml.token_type", "types in 0..6",
                        types->elementText(i) + " for token " + std::to_string(i));
      // Byte-level BPE spells byte tokens as one character; a "<0x" that names no byte is wrong everywhere.
      bool mustBeByte = isSpm || tokens->strings[i].substr(0, 3) == "<0x";
      if (*type == byteTokenType && mustBeByte && !isByteToken(tokens->strings[i]))
        return mismatch("tokenizer.ggml.tokens", "byte token " + std::to_string(i) + " to be <0x00>..<0xFF>",
                        "'" + printable(tokens->strings[i]) + "'");
    }
    return {};
  }

  static bool isByteToken(std::string_view text) {
    auto isHex = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
    };
    return text.size() == 6 && text.substr(0, 3) == "<0x" && isHex(text[3]) && isHex(text[4]) && text[5] == '>';
  }

  const std::string &fileName;
  const GgufMetadata &metadata;
};

} // namespace

::kt::Status checkMetadata(const std::string &fileName, const GgufMetadata &metadata) {
  return MetadataChecker(fileName, metadata).run();
}

} // namespace ktc
