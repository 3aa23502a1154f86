// ktc probe: measure this machine.
#include "compiler/probe/probe.h"
#include "compiler/tools/commands.h"

#include <CLI/CLI.hpp>

namespace ktc {

void addProbeCommand(CLI::App &app, int &exitCode) {
  auto output = std::make_shared<std::string>();
  CLI::App *command =
      app.add_subcommand("probe", "Measure this machine: ISA, cores, bandwidth, arithmetic, GPU");
  command->add_option("-o,--output", *output, "Write the description here (default: stdout)");
  command->callback([output, &exitCode] {
    if (kt::Status folder = checkOutputFolder(*output); !output->empty() && !folder) {
      exitCode = fail(folder.error().message);
      return;
    }
    policy::Machine machine = probeMachine();
    if (kt::Status status = writeText(*output, policy::machineToYaml(machine)); !status)
      exitCode = fail(status.error().message);
  });
}

} // namespace ktc
