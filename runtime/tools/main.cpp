// Entry point of ktrt: finds the subcommand and makes sure that its output arrived.
#include "runtime/api/ktrt.h"
#include "runtime/tools/args.h"
#include "runtime/tools/commands.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

using namespace ktrt::tools;

static const struct Command {
  const char *name;
  int (*function)(int, char **);
  const char *summary;
} commands[] = {
    {"run", runCommand, "continue a text"},
    {"chat", chatCommand, "hold a conversation"},
    {"logits", logitsCommand, "write the logits of a sequence of tokens"},
    {"tokenize", tokenizeCommand, "turn text into token ids"},
    {"detokenize", detokenizeCommand, "turn token ids into text"},
    {"perplexity", perplexityCommand, "measure how well a text is predicted"},
    {"bench", benchCommand, "measure tokens per second"},
    {"dump", dumpCommand, "print a plan as text"},
    {"verify", verifyCommand, "check a plan completely"},
};

static int usage(std::FILE *stream, int code) {
  std::fputs("usage: ktrt COMMAND PLAN [options]\n\n", stream);
  for (const Command &command : commands)
    std::fprintf(stream, "  %-12s %s\n", command.name, command.summary);
  std::fputs("\n'ktrt COMMAND --help' lists the options, 'ktrt --version' the version.\n", stream);
  return code;
}

int main(int argc, char **argv) {
  if (argc < 2)
    return usage(stderr, kExitUsage);
  if (!std::strcmp(argv[1], "--help") || !std::strcmp(argv[1], "-h"))
    return usage(stdout, kExitDone);
  if (!std::strcmp(argv[1], "--version")) {
    std::printf("ktrt %s (%s)\n", ktrtVersion(), ktrtCommit());
    return kExitDone;
  }
  for (const Command &command : commands) {
    if (std::strcmp(argv[1], command.name))
      continue;
    int code = command.function(argc, argv);
    if (std::fflush(stdout) || std::ferror(stdout)) {
      std::fprintf(stderr, "ktrt: cannot write to standard output: %s\n", std::strerror(errno));
      return code == kExitDone ? kExitFailed : code;
    }
    return code;
  }
  std::fprintf(stderr, "ktrt: unknown command '%s'; see 'ktrt --help'\n", argv[1]);
  return kExitUsage;
}
