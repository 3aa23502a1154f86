// ktc inspect: metadata and tensors of a GGUF model.
#include "compiler/gguf-to-model/inspect.h"
#include "compiler/tools/commands.h"

#include <CLI/CLI.hpp>

namespace ktc {

void addInspectCommand(CLI::App &app, int &exitCode) {
  struct Options {
    std::string model;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App *command = app.add_subcommand("inspect", "Show metadata and tensors of a model");
  command->add_option("model", options->model, "GGUF file (the first of a split set)")->required();
  command->add_flag("--json", options->json, "One JSON object on stdout");
  command->callback([options, &exitCode] {
    kt::Result<GgufModel> gguf = GgufModel::open(options->model);
    if (!gguf) {
      exitCode = fail(gguf.error().message);
      return;
    }
    (void)writeText("", options->json ? inspectJson(*gguf) + "\n" : inspectText(*gguf));
  });
}

} // namespace ktc
