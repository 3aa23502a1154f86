// ktrt chat: a conversation on the terminal, or line by line from a pipe.
//
// Each turn sends the whole conversation through the model's template; the KV cache keeps what has not changed,
// so that only the new message is evaluated. If the conversation outgrows the context, its oldest exchange is
// dropped.
#include "runtime/plan/message.h"
#include "runtime/tools/commands.h"
#include "runtime/tools/common.h"

#include <cstdio>
#include <cstdlib>
#include <unistd.h>

namespace ktrt::tools {
namespace {

struct ChatOptions {
  LoadOptions load;
  SamplingOptions sampling;
  std::string system;
  uint32_t maxTokens = 0;
  bool verbose = false;

  void declare(Arguments &arguments) {
    load.declare(arguments);
    arguments.option("--system", "TEXT", &system, "instructions that precede the conversation");
    arguments.option("-n,--predict", "N", &maxTokens, "tokens per answer (default 0: until it ends)");
    sampling.declare(arguments);
    arguments.option("-v,--verbose", nullptr, &verbose, "print statistics after each answer");
  }
};

// Reads one line without its end. False at the end of the input or when Ctrl-C interrupts the read.
bool readLine(std::string &line) {
  char *buffer = nullptr;
  size_t capacity = 0;
  ssize_t length = getline(&buffer, &capacity, stdin);
  if (length > 0)
    line.assign(buffer, static_cast<size_t>(length));
  std::free(buffer);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r'))
    line.pop_back();
  return length > 0;
}

int collectText(void *user, const char *text, size_t bytes) {
  static_cast<std::string *>(user)->append(text, bytes);
  return printText(nullptr, text, bytes);
}

class Conversation {
public:
  Conversation(Model &model, const ChatOptions &options, const KtrtSampling &sampling)
      : model(model), options(options), sampling(sampling) {
    clear();
  }

  // Forgets everything but the system message.
  void clear() {
    messages.clear();
    if (!options.system.empty())
      messages.push_back({"system", options.system});
  }

  // Answers `text` on standard output.
  KtrtStatus answer(const std::string &text);

private:
  KtrtStatus tokenize(std::vector<int32_t> &tokens);
  bool dropOldestExchange();

  Model &model;
  const ChatOptions &options;
  const KtrtSampling &sampling;
  std::vector<Message> messages;
};

// Removes the oldest question and its answer; false if only the current question is left.
bool Conversation::dropOldestExchange() {
  size_t first = options.system.empty() ? 0 : 1;
  if (messages.size() < first + 3)
    return false;
  messages.erase(messages.begin() + static_cast<ptrdiff_t>(first),
                 messages.begin() + static_cast<ptrdiff_t>(first + 2));
  return true;
}

// The prompt of the next answer, shortened until it leaves room for one.
KtrtStatus Conversation::tokenize(std::vector<int32_t> &tokens) {
  uint32_t context = model.info().context;
  // An eighth of the context is room for a useful answer; -n may ask for less.
  uint32_t room = options.maxTokens ? std::min(options.maxTokens, context / 8) : context / 8;
  uint32_t dropped = 0;
  while (true) {
    if (KtrtStatus status = model.tokenizeChat(messages, true, tokens); status != KTRT_OK)
      return status;
    if (tokens.size() + room <= context || !dropOldestExchange())
      break;
    ++dropped;
  }
  if (dropped)
    std::fprintf(stderr, "[the context of %u positions is full: the oldest %u exchanges were forgotten]\n",
                 context, dropped);
  return KTRT_OK;
}

KtrtStatus Conversation::answer(const std::string &text) {
  messages.push_back({"user", text});
  std::vector<int32_t> prompt;
  std::string reply;
  KtrtGenerateOptions generation = KTRT_INIT(KtrtGenerateOptions);
  generation.sampling = &sampling;
  generation.maxTokens = options.maxTokens;
  generation.onText = collectText;
  generation.user = &reply;
  KtrtGenerateResult result = KTRT_INIT(KtrtGenerateResult);
  KtrtStatus status = tokenize(prompt);
  if (status == KTRT_OK)
    status = model.generate(prompt, generation, result);
  if (status != KTRT_OK) {
    messages.pop_back();
    return status;
  }
  printText(nullptr, "\n", 1);
  messages.push_back({"assistant", reply});
  if (result.finish == KTRT_FINISH_CONTEXT)
    std::fputs("[the answer was cut: the context is full]\n", stderr);
  if (options.verbose)
    std::fputs(statistics(model, result, sampling.seed).c_str(), stderr);
  return KTRT_OK;
}

int converse(Model &model, const ChatOptions &options, const KtrtSampling &sampling) {
  bool interactive = isatty(STDIN_FILENO);
  Conversation conversation(model, options, sampling);
  Interrupts interrupts(model);
  if (interactive)
    std::fputs("/clear starts anew, /exit or Ctrl-D ends, Ctrl-C stops an answer.\n", stderr);
  while (true) {
    if (interactive)
      std::fputs("> ", stderr);
    std::string line;
    if (!readLine(line) || line == "/exit")
      break;
    if (line.empty())
      continue;
    if (line == "/clear") {
      conversation.clear();
      continue;
    }
    KtrtStatus status = conversation.answer(line);
    if (status == KTRT_CONTEXT_FULL) {
      // The message alone is too long. The conversation goes on without it, but a script must notice.
      int code = reportFailure(status);
      if (!interactive)
        return code;
    } else if (status != KTRT_OK) {
      return reportFailure(status);
    }
    if (interrupts.raised() && !interactive)
      return kExitInterrupted;
    interrupts.reset();
  }
  if (interactive)
    std::fputs("\n", stderr);
  return interrupts.raised() && !interactive ? kExitInterrupted : kExitDone;
}

} // namespace

int chatCommand(int argc, char **argv) {
  Arguments arguments("ktrt chat",
                      "Holds a conversation in the model's chat template. Every line of standard input is "
                      "one message; answers go to\nstandard output.");
  ChatOptions options;
  options.declare(arguments);
  if (auto code = arguments.parse(argc, argv))
    return *code;
  Model model;
  if (auto failed = options.load.open(model))
    return *failed;
  auto sampling = options.sampling.resolve(model);
  if (!sampling)
    return arguments.usageError(sampling.error().message);
  // Find out before the first message is typed whether the model can chat at all.
  std::string text;
  if (KtrtStatus status = model.applyChatTemplate({{"user", "Hello"}}, true, text); status != KTRT_OK)
    return reportFailure(status);
  return converse(model, options, *sampling);
}

} // namespace ktrt::tools
