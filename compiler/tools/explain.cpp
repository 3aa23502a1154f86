// ktc explain: what runs where, bytes per device, predicted rates; loads nothing.
#include "compiler/policy/explain.h"
#include "compiler/model-to-placed/ModuleRefs.h"
#include "compiler/tools/commands.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace ktc {

static int explain(const TargetOptions &options, bool json) {
  kt::Result<std::unique_ptr<Target>> target = openModel(options.model);
  if (!target)
    return fail(target.error().message);
  kt::Result<policy::PlacementTable> table = placeModel(**target, options);
  if (!table)
    return fail(table.error().message);
  NetworkOps network = collectNetworkOps(*(*target)->module);
  policy::Prediction prediction = policy::predict(network.modules, *table, (*target)->machine);
  std::string text =
      json ? policy::explainJson(network.modules, *table, (*target)->machine, prediction).dump(2) + "\n"
           : policy::explainText(network.modules, *table, (*target)->machine, prediction);
  (void)writeText("", text);
  return 0;
}

void addExplainCommand(CLI::App &app, int &exitCode) {
  auto options = std::make_shared<TargetOptions>();
  auto json = std::make_shared<bool>(false);
  CLI::App *command = app.add_subcommand("explain", "Show what runs where and how fast it will be");
  addTargetOptions(*command, *options, true);
  command->add_flag("--json", *json, "One JSON object on stdout");
  command->callback([options, json, &exitCode] { exitCode = explain(*options, *json); });
}

} // namespace ktc
