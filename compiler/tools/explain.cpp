// ktc explain: what runs where, bytes per device, predicted rates; loads nothing.
#include "compiler/policy/explain.h"
#include "compiler/cost/device_bytes.h"
#include "compiler/cost/schedule_cost.h"
#include "compiler/model-to-placed/ModuleRefs.h"
#include "compiler/tools/commands.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace ktc {

namespace {

struct ExplainOptions {
  TargetOptions target;
  ScheduleOptions schedule;
  int prompt = 512;
  int64_t depth = 0;
  int64_t context = 0; // 0: enough for depth and prompt, at least 4096
  bool json = false;
};

int explain(ExplainOptions options) {
  kt::Result<std::unique_ptr<Target>> opened = openModel(options.target.model);
  if (!opened)
    return fail(opened.error().message);
  Target &target = **opened;
  kt::Result<policy::PlacementTable> table = placeModel(target, options.target);
  if (!table)
    return fail(table.error().message);
  std::vector<policy::ModuleRef> modules = collectNetworkOps(*target.module).modules;
  policy::CostOptions cost;
  cost.prefillTokens = options.prompt;
  policy::Prediction prediction = policy::predict(modules, *table, target.machine, cost);
  options.schedule.context =
      options.context > 0 ? options.context : std::max<int64_t>(options.depth + options.prompt, 4096);
  options.schedule.memoryNodes = target.machine.cpu.numaNodes;
  options.schedule.prefetch = target.machine.cpu.usesPrefetch();
  kt::Status scheduled = runPasses(
      *target.module, [&](mlir::OpPassManager &passes) { addSchedulePasses(passes, options.schedule); });
  if (!scheduled && onlyCpu(*table))
    return fail(options.target.model + ": " + scheduled.error().message);
  if (!scheduled) {
    prediction.assumptions.push_back("there is no schedule, so only weights are counted: " +
                                     scheduled.error().message);
  } else {
    predictSchedule(*target.module, target.machine, {bestIsa(target.machine), options.prompt, options.depth},
                    prediction);
    prediction.memory = memoryPerDevice(*target.module);
    if (kt::Status fits = checkMemory(prediction.memory, *table); !fits)
      report("ktc: warning: " + fits.error().message);
  }
  std::string text = options.json
                         ? policy::explainJson(modules, *table, target.machine, prediction).dump(2) + "\n"
                         : policy::explainText(modules, *table, target.machine, prediction);
  (void)writeText("", text);
  return 0;
}

} // namespace

void addExplainCommand(CLI::App &app, int &exitCode) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App *command = app.add_subcommand("explain", "Show what runs where and how fast it will be");
  addTargetOptions(*command, options->target, true);
  command->add_option("--prompt", options->prompt, "Tokens of the prompt that prefill is predicted for")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--depth", options->depth, "Tokens in the KV cache before prompt and decode")
      ->check(CLI::Range(0, 1 << 22))
      ->capture_default_str();
  command
      ->add_option("--ctx", options->context,
                   "Positions of the KV cache (default: 4096, or enough for --depth and --prompt)")
      ->check(CLI::Range(1, 1 << 22));
  command
      ->add_option("--defer-experts", options->schedule.deferExperts,
                   "Predict for a plan that adds this many of a token's experts one layer later")
      ->check(CLI::Range(0, 255))
      ->capture_default_str();
  addScheduleOptions(*command, options->schedule);
  command->add_flag("--json", options->json, "One JSON object on stdout");
  command->callback([options, &exitCode] { exitCode = explain(*options); });
}

} // namespace ktc
