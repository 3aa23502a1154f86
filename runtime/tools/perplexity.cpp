// ktrt perplexity: how well a text is predicted, by llama.cpp's protocol.
#include "runtime/plan/message.h"
#include "runtime/tools/commands.h"
#include "runtime/tools/common.h"
#include "runtime/tools/json.h"
#include "runtime/tools/terminal.h"

#include <cstdio>

namespace ktrt::tools {
namespace {

int onChunk(void *user, uint32_t done, uint32_t total, double perplexity) {
  static_cast<ProgressBar *>(user)->update(done, total, formatText("perplexity %.3f", perplexity));
  return 0;
}

void print(const KtrtPerplexityResult &result, uint32_t window, bool json) {
  if (!json) {
    std::printf("perplexity %.4f +/- %.4f over %llu tokens (%u windows of %u)\n", result.perplexity,
                result.uncertainty, static_cast<unsigned long long>(result.tokens), result.chunks, window);
    std::fprintf(stderr, "%.1f s, %.1f tokens/s\n", result.seconds,
                 result.seconds > 0 ? double(result.chunks) * window / result.seconds : 0);
    return;
  }
  JsonWriter writer;
  writer.beginObject();
  writer.member("perplexity", result.perplexity).member("uncertainty", result.uncertainty);
  writer.member("tokens", result.tokens).member("chunks", result.chunks).member("ctx", window);
  writer.member("seconds", result.seconds).endObject();
  std::printf("%s\n", writer.text().c_str());
}

} // namespace

int perplexityCommand(int argc, char **argv) {
  Arguments arguments(
      "ktrt perplexity",
      "Perplexity of a text, measured as llama.cpp does: windows of --ctx tokens, first token replaced "
      "by begin-of-text,\nsecond half scored.");
  LoadOptions load;
  TextOptions source;
  uint32_t window = 512, chunks = 0;
  bool json = false;
  // Here --ctx is the window, so the loader's option of that name is not offered.
  load.declare(arguments, false);
  source.declare(arguments, "text");
  arguments.option("-c,--ctx", "N", &window, "tokens per window (default 512)");
  arguments.option("--chunks", "N", &chunks, "windows at most (default: all)");
  arguments.option("--json", nullptr, &json, "print one JSON object");
  if (auto code = arguments.parse(argc, argv))
    return *code;
  if (window < 4)
    return arguments.usageError("option '--ctx' expects at least 4");
  int code = kExitDone;
  auto text = source.read(arguments, code);
  if (!text)
    return code;
  Model model;
  if (auto failed = load.open(model))
    return *failed;
  std::vector<int32_t> tokens;
  if (KtrtStatus status = model.tokenize(*text, KTRT_ADD_BOS, tokens); status != KTRT_OK)
    return reportFailure(status);

  ProgressBar bar("perplexity");
  Interrupts interrupts(model);
  KtrtPerplexityOptions options = KTRT_INIT(KtrtPerplexityOptions);
  options.window = window;
  options.maxChunks = chunks;
  options.onChunk = onChunk;
  options.user = &bar;
  KtrtPerplexityResult result = KTRT_INIT(KtrtPerplexityResult);
  KtrtStatus status = ktrtPerplexity(model.get(), tokens.data(), tokens.size(), &options, &result);
  bar.clear();
  if (status != KTRT_OK)
    return reportFailure(status);
  print(result, window, json);
  return kExitDone;
}

} // namespace ktrt::tools
