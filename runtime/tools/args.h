// Command-line parsing for ktrt: a table of options per subcommand, with help text and "did you mean".
//
// Written here because the program has a byte ceiling: CLI11, which ktc uses, takes 170 kB of it for one
// subcommand, this takes a few.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace ktrt::tools {

// What main() returns.
enum ExitCode : int {
  kExitDone = 0,
  kExitFailed = 1,       // the input or the machine does not allow it
  kExitUsage = 2,        // wrong usage
  kExitInterrupted = 130 // ended by Ctrl-C, as shells expect it
};

// Where the value of an option goes. Targets are owned by the caller and keep their value if the option is
// absent. bool is a flag without value; vectors collect repeated options.
using OptionTarget = std::variant<bool *, std::string *, std::optional<std::string> *, uint32_t *, uint64_t *,
                                  float *, std::vector<std::string> *>;

// Parser of one subcommand.
class Arguments {
public:
  // `command` is the name shown in messages ("ktrt run"), `summary` one sentence for the help text.
  Arguments(std::string command, std::string summary);

  // Adds a required positional argument.
  void positional(const char *name, std::string &target, const char *help);

  // Adds an option. `names` are its spellings, separated by ',' ("-n,--predict"); `value` names the value in
  // the help text and is ignored for flags.
  void option(const char *names, const char *value, OptionTarget target, const char *help);

  // Parses argv[2..]. Returns nothing if the command may go on, otherwise the exit code: kExitDone after
  // printing help on stdout, kExitUsage after printing one sentence on stderr.
  std::optional<int> parse(int argc, char **argv);

  // Prints a sentence about wrong usage on stderr and returns kExitUsage.
  int usageError(const std::string &message) const;

  // The help text.
  std::string help() const;

private:
  struct Positional {
    const char *name;
    std::string *target;
    const char *help;
  };
  struct Option {
    std::vector<std::string> names;
    const char *value;
    OptionTarget target;
    const char *help;
    bool isFlag() const { return std::holds_alternative<bool *>(target); }
  };

  const Option *find(const std::string &name) const;
  std::string unknown(const std::string &name) const;
  // Stores `text` in the option's target; returns what was expected if it does not fit, else nothing.
  static const char *assign(const OptionTarget &target, const std::string &text);

  std::string command;
  std::string summary;
  std::vector<Positional> positionals;
  std::vector<Option> options;
};

// Number of insertions, deletions and replacements that turn `a` into `b`.
size_t editDistance(const std::string &a, const std::string &b);

// Parses a list of token ids separated by spaces or commas. Returns nothing if something else is in it.
std::optional<std::vector<int32_t>> parseTokens(const std::string &text);

} // namespace ktrt::tools
