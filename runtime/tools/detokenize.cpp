// ktrt detokenize: token ids to text.
#include "runtime/tools/commands.h"
#include "runtime/tools/common.h"
#include "runtime/tools/json.h"

#include <cstdio>
#include <unistd.h>

namespace ktrt::tools {

int detokenizeCommand(int argc, char **argv) {
  Arguments arguments("ktrt detokenize",
                      "Prints the text that token ids stand for, without anything after it.");
  LoadOptions load;
  std::optional<std::string> ids;
  bool json = false, special = false;
  load.declare(arguments);
  arguments.option("--tokens", "IDS", &ids, "token ids, separated by spaces or commas");
  arguments.option("--special", nullptr, &special, "show special tokens");
  arguments.option("--json", nullptr, &json, "print one JSON object");
  if (auto code = arguments.parse(argc, argv))
    return *code;
  if (!ids)
    return arguments.usageError("missing --tokens IDS");
  auto tokens = parseTokens(*ids);
  if (!tokens)
    return arguments.usageError("option '--tokens' expects token ids, not '" + *ids + "'");
  Model model;
  if (auto failed = load.open(model))
    return *failed;
  std::string text;
  uint32_t flags = special ? uint32_t(KTRT_SHOW_SPECIAL) : 0;
  if (KtrtStatus status = model.detokenize(*tokens, flags, text); status != KTRT_OK)
    return reportFailure(status);
  if (json)
    text = JsonWriter().beginObject().member("text", std::string_view(text)).endObject().text() + "\n";
  else if (isatty(STDOUT_FILENO))
    text += '\n'; // for the prompt that follows; pipes get exactly the text
  printText(nullptr, text.data(), text.size());
  return kExitDone;
}

} // namespace ktrt::tools
