// ktrt run: continues a text.
#include "runtime/tools/commands.h"
#include "runtime/tools/common.h"
#include "runtime/tools/terminal.h"

#include <cstdio>
#include <unistd.h>

namespace ktrt::tools {
namespace {

struct RunOptions {
  LoadOptions load;
  SamplingOptions sampling;
  TextOptions text;
  std::vector<std::string> stops;
  uint32_t maxTokens = 0;
  bool ignoreEnd = false, echo = false, special = false, quiet = false;

  void declare(Arguments &arguments) {
    load.declare(arguments);
    text.declare(arguments, "text to continue");
    arguments.option("-n,--predict", "N", &maxTokens, "tokens to generate (default 0: until the text ends)");
    sampling.declare(arguments);
    arguments.option("--stop", "TEXT", &stops, "end before this text; may be repeated");
    arguments.option("--ignore-eos", nullptr, &ignoreEnd, "never choose an end-of-text token");
    arguments.option("--special", nullptr, &special, "recognise special tokens in the text");
    arguments.option("--echo", nullptr, &echo, "print the text before its continuation");
    arguments.option("-q,--quiet", nullptr, &quiet, "print no statistics");
  }
};

// What the callbacks of one generation share.
struct Output {
  ProgressBar bar{"prompt"};

  static int onText(void *user, const char *text, size_t bytes) {
    static_cast<Output *>(user)->bar.clear();
    return printText(nullptr, text, bytes);
  }
  static void onPrompt(void *user, size_t done, size_t total) {
    static_cast<Output *>(user)->bar.update(done, total);
  }
};

int generate(Model &model, const RunOptions &options, const KtrtSampling &sampling, const std::string &text) {
  std::vector<int32_t> prompt;
  uint32_t flags = KTRT_ADD_BOS | (options.special ? uint32_t(KTRT_PARSE_SPECIAL) : 0);
  if (KtrtStatus status = model.tokenize(text, flags, prompt); status != KTRT_OK)
    return reportFailure(status);
  if (prompt.empty())
    return failure("the text is empty and the model has no begin-of-text token to start from");

  Output output;
  std::vector<const char *> stops;
  for (const std::string &stop : options.stops)
    stops.push_back(stop.c_str());
  KtrtGenerateOptions generation = KTRT_INIT(KtrtGenerateOptions);
  generation.sampling = &sampling;
  generation.maxTokens = options.maxTokens;
  generation.ignoreEnd = options.ignoreEnd;
  generation.stops = stops.data();
  generation.stopCount = stops.size();
  generation.onText = Output::onText;
  // Watching the prompt costs a little, so only where somebody can see it.
  generation.onPrompt = isatty(STDERR_FILENO) ? Output::onPrompt : nullptr;
  generation.user = &output;

  Interrupts interrupts(model);
  if (options.echo)
    printText(nullptr, text.data(), text.size());
  KtrtGenerateResult result = KTRT_INIT(KtrtGenerateResult);
  KtrtStatus status = model.generate(prompt, generation, result);
  output.bar.clear();
  if (status != KTRT_OK)
    return reportFailure(status);
  std::fputs("\n", stdout);
  std::fflush(stdout);
  if (!options.quiet)
    std::fprintf(stderr, "\n%s", statistics(model, result, sampling.seed).c_str());
  return interrupts.raised() ? kExitInterrupted : kExitDone;
}

} // namespace

int runCommand(int argc, char **argv) {
  Arguments arguments("ktrt run",
                      "Continues a text. The continuation goes to standard output, statistics to standard "
                      "error. Ctrl-C ends it after the\ncurrent token with exit code 130.");
  RunOptions options;
  options.declare(arguments);
  if (auto code = arguments.parse(argc, argv))
    return *code;
  int code = kExitDone;
  auto text = options.text.read(arguments, code);
  if (!text)
    return code;
  Model model;
  if (auto failed = options.load.open(model))
    return *failed;
  auto sampling = options.sampling.resolve(model);
  if (!sampling)
    return arguments.usageError(sampling.error().message);
  return generate(model, options, *sampling, *text);
}

} // namespace ktrt::tools
