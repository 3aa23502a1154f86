// The subcommands of ktrt. Each takes main's argc and argv, with argv[1] its own name, and returns the exit
// code.
#pragma once

namespace ktrt::tools {

int runCommand(int argc, char **argv);
int chatCommand(int argc, char **argv);
int logitsCommand(int argc, char **argv);
int tokenizeCommand(int argc, char **argv);
int detokenizeCommand(int argc, char **argv);
int perplexityCommand(int argc, char **argv);
int benchCommand(int argc, char **argv);
int dumpCommand(int argc, char **argv);
int verifyCommand(int argc, char **argv);

} // namespace ktrt::tools
