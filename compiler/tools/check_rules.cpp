// ktc check-rules: parse a policy; with a model also match it.
#include "compiler/policy/check_rules.h"

#include "compiler/model-to-placed/ModuleRefs.h"
#include "compiler/tools/commands.h"

#include <CLI/CLI.hpp>

namespace ktc {

static int checkRulesFile(const std::string &file, const TargetOptions &options) {
  policy::CheckRulesResult result;
  if (options.model.empty()) {
    result = policy::checkRules(file);
  } else {
    kt::Result<std::unique_ptr<Target>> target = openModel(options.model);
    if (!target)
      return fail(target.error().message);
    policy::Diagnostics diagnostics;
    kt::Result<policy::Machine> machine = loadMachineOf(options, diagnostics);
    if (!machine)
      return fail(machine.error().message);
    NetworkOps network = collectNetworkOps(*(*target)->module);
    result = policy::checkRules(file, network.modules, *machine);
  }
  std::fputs(result.messages.c_str(), stderr);
  std::fputs(result.output.c_str(), stdout);
  return result.exitCode;
}

void addCheckRulesCommand(CLI::App &app, int &exitCode) {
  auto file = std::make_shared<std::string>();
  auto options = std::make_shared<TargetOptions>();
  CLI::App *command = app.add_subcommand("check-rules", "Check a rules file");
  command->add_option("file", *file, "Rules file, or `auto`, or `cpu`")->required();
  command->add_option("--model", options->model, "GGUF file to match the rules against");
  command->add_option("--machine", options->machineFile, "Machine description (default: this machine)");
  command->callback([file, options, &exitCode] { exitCode = checkRulesFile(*file, *options); });
}

} // namespace ktc
