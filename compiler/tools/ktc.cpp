// ktc: the compiler's command line. Each subcommand is a file; this one only finds it.
#include "compiler/tools/commands.h"

#include "kt_version.h"

#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>

int main(int argc, char **argv) {
  std::signal(SIGPIPE, SIG_DFL); // `ktc inspect … | head` ends quietly
  CLI::App app("ktc compiles a GGUF model and a placement policy into a plan for ktrt.", "ktc");
  app.set_version_flag("--version", std::string("ktc " KT_VERSION " (" KT_COMMIT ")"));
  app.require_subcommand(0, 1); // none at all is looked at below: an unknown word then gets the better message
  int exitCode = 0;
  ktc::addCompileCommand(app, exitCode);
  ktc::addExplainCommand(app, exitCode);
  ktc::addCheckRulesCommand(app, exitCode);
  ktc::addInspectCommand(app, exitCode);
  ktc::addProbeCommand(app, exitCode);
  try {
    app.parse(argc, argv);
    if (app.get_subcommands().empty())
      throw CLI::RequiredError("A command");
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2; // help and version are successes, anything else is wrong usage
  }
  return exitCode;
}
