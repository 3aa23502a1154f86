// ktrt tokenize: text to token ids.
#include "runtime/tools/commands.h"
#include "runtime/tools/common.h"
#include "runtime/tools/json.h"

#include <cstdio>

namespace ktrt::tools {
namespace {

// The ids, and beside them what each stands for; a piece that is no whole character shows as U+FFFD.
KtrtStatus printJson(const Model &model, const std::vector<int32_t> &tokens) {
  JsonWriter json;
  json.beginObject().key("tokens").beginArray();
  for (int32_t token : tokens)
    json.value(token);
  json.endArray().key("pieces").beginArray();
  for (int32_t token : tokens) {
    std::string piece;
    if (KtrtStatus status = model.detokenize({token}, KTRT_SHOW_SPECIAL, piece); status != KTRT_OK)
      return status;
    json.value(piece);
  }
  json.endArray().endObject();
  std::printf("%s\n", json.text().c_str());
  return KTRT_OK;
}

} // namespace

int tokenizeCommand(int argc, char **argv) {
  Arguments arguments("ktrt tokenize", "Prints the token ids of a text.");
  LoadOptions load;
  TextOptions source;
  bool json = false, noBos = false, special = false;
  load.declare(arguments);
  source.declare(arguments, "text");
  arguments.option("--no-bos", nullptr, &noBos, "do not add a begin-of-text token");
  arguments.option("--special", nullptr, &special, "recognise special tokens in the text");
  arguments.option("--json", nullptr, &json, "print one JSON object");
  if (auto code = arguments.parse(argc, argv))
    return *code;
  int code = kExitDone;
  auto text = source.read(arguments, code);
  if (!text)
    return code;
  Model model;
  if (auto failed = load.open(model))
    return *failed;
  std::vector<int32_t> tokens;
  uint32_t flags = (noBos ? 0 : uint32_t(KTRT_ADD_BOS)) | (special ? uint32_t(KTRT_PARSE_SPECIAL) : 0);
  KtrtStatus status = model.tokenize(*text, flags, tokens);
  if (status == KTRT_OK && json)
    status = printJson(model, tokens);
  if (status != KTRT_OK)
    return reportFailure(status);
  for (size_t i = 0; !json && i < tokens.size(); ++i)
    std::printf("%d%c", tokens[i], i + 1 < tokens.size() ? ' ' : '\n');
  return kExitDone;
}

} // namespace ktrt::tools
