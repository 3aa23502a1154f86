// The subcommands of ktc. Each function adds one to the command line; running it sets `exitCode` (0 done, 1 the
// input or the machine does not allow it). Wrong usage is the command line's business (exit code 2).
#pragma once

#include "compiler/gguf-to-model/import.h"
#include "compiler/model-to-placed/ApplyPolicy.h"
#include "compiler/pipeline/Pipeline.h"
#include "compiler/policy/cost.h"
#include "templates/x64/x64.h"

#include "mlir/Pass/PassManager.h"

#include <functional>
#include <memory>
#include <string>

namespace CLI {
class App;
}

namespace ktc {

void addCompileCommand(CLI::App &app, int &exitCode);
void addExplainCommand(CLI::App &app, int &exitCode);
void addCheckRulesCommand(CLI::App &app, int &exitCode);
void addInspectCommand(CLI::App &app, int &exitCode);
void addProbeCommand(CLI::App &app, int &exitCode);

// Prints a line on stderr, in place of a progress bar that may stand there.
void report(const std::string &line);

// Prints `ktc: <message>` on stderr and returns 1.
int fail(const std::string &message);

// Writes `text` to `path` beside and renamed, or to stdout if `path` is empty.
kt::Status writeText(const std::string &path, const std::string &text);

// An error if no file can be made in the folder of `path`. For long work: better known before than after.
kt::Status checkOutputFolder(const std::string &path);

// Options that say what is compiled for what: shared by compile, explain and check-rules.
struct TargetOptions {
  std::string model;
  std::string rules = "auto";
  std::string machineFile; // empty: this machine, detected
  std::string gpuMem;      // budget of cuda:0, e.g. "24GiB"; empty: as the policy says
  bool gpuCode = true;     // false: `auto` must not choose a GPU, since no code can be generated for it
};
void addTargetOptions(CLI::App &command, TargetOptions &options, bool modelRequired);
// Options that shape the schedule and mean the same for compile and explain.
void addScheduleOptions(CLI::App &command, ScheduleOptions &options);

// A model, imported and prepared, with the machine and policy it is to be placed for.
struct Target {
  std::unique_ptr<mlir::MLIRContext> context;
  GgufModel gguf;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  policy::Machine machine;
  policy::Policy policy;
  policy::Diagnostics diagnostics;
};

// Reads the machine description of `options` (or detects this machine).
kt::Result<policy::Machine> loadMachineOf(const TargetOptions &options, policy::Diagnostics &diagnostics);

// Opens and imports the model. Importer warnings go to stderr.
kt::Result<std::unique_ptr<Target>> openModel(const std::string &path);

// Loads machine and policy, prepares the module and places it. Policy diagnostics go to stderr.
kt::Result<policy::PlacementTable> placeModel(Target &target, const TargetOptions &options);

// The highest level that the machine runs; Avx2 if its description names none.
x64::Isa bestIsa(const policy::Machine &machine);

// True if everything runs on the CPU.
bool onlyCpu(const policy::PlacementTable &table);

// Runs passes on a module; the error is the first diagnostic they emit.
kt::Status runPasses(mlir::ModuleOp module, const std::function<void(mlir::OpPassManager &)> &add);

} // namespace ktc
