// What the subcommands share: opening, placing, passes with readable errors, output files.
#include "compiler/tools/commands.h"

#include "compiler/probe/probe.h"
#include "runtime/abi/kt_abi.h"

#include "mlir/IR/Diagnostics.h"

#include <CLI/CLI.hpp>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <unistd.h>

namespace ktc {

void report(const std::string &line) {
  // A progress bar may stand in the terminal's current line.
  std::fprintf(stderr, "%s%s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", line.c_str());
}

int fail(const std::string &message) {
  report("ktc: " + message);
  return 1;
}

kt::Status checkOutputFolder(const std::string &path) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  if (access(folder.empty() ? "." : folder.c_str(), W_OK | X_OK) == 0)
    return {};
  return kt::Error{path + ": cannot be written: " + std::strerror(errno)};
}

kt::Status writeText(const std::string &path, const std::string &text) {
  if (path.empty()) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return {};
  }
  std::string beside = path + ".tmp-" + std::to_string(getpid());
  auto error = [&](const char *what) {
    std::string reason = std::strerror(errno);
    std::remove(beside.c_str());
    return kt::Error{path + ": " + what + ": " + reason};
  };
  FILE *file = std::fopen(beside.c_str(), "wb");
  if (!file)
    return error("cannot be written");
  bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (std::fclose(file) != 0 || !written)
    return error("cannot be written");
  if (std::rename(beside.c_str(), path.c_str()) != 0)
    return error("cannot be replaced");
  return {};
}

void addTargetOptions(CLI::App &command, TargetOptions &options, bool modelRequired) {
  if (modelRequired)
    command.add_option("model", options.model, "GGUF file (the first of a split set)")->required();
  command.add_option("--rules", options.rules, "Rules file, or `auto`, or `cpu`")->capture_default_str();
  command.add_option("--machine", options.machineFile,
                     "Machine description of `ktc probe` (default: this machine)");
  command.add_option("--gpu-mem", options.gpuMem, "Budget of the GPU, e.g. 24GiB")
      ->check([](const std::string &text) {
        kt::Result<uint64_t> bytes = policy::parseSize(text);
        return bytes ? std::string() : bytes.error().message;
      });
}

void addScheduleOptions(CLI::App &command, ScheduleOptions &options) {
  command
      .add_option("--chunk", options.chunk,
                  "Largest prefill chunk in tokens (default: 2048 for each of its parts)")
      ->check(CLI::Range(1, 8192));
  command
      .add_option("--prefill-parts", options.parts,
                  "Parts of a chunk that CPU and GPU work on at the same time (default: 2 if they take turns\n"
                  "and a part has 2048 tokens)")
      ->check(CLI::Range(1, KT_MAX_PARTS));
  command
      .add_option(
          "--expert-hints", options.expertHints,
          "Let a GPU guess the experts of the next layer for the CPU to prefetch: auto (large ones), on, off")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->capture_default_str();
}

kt::Result<policy::Machine> loadMachineOf(const TargetOptions &options, policy::Diagnostics &diagnostics) {
  if (!options.machineFile.empty())
    return policy::loadMachine(options.machineFile, diagnostics);
  return detectMachine();
}

kt::Result<std::unique_ptr<Target>> openModel(const std::string &path) {
  auto target = std::make_unique<Target>();
  kt::Result<GgufModel> gguf = GgufModel::open(path);
  if (!gguf)
    return gguf.error();
  target->gguf = std::move(*gguf);
  mlir::DialectRegistry registry;
  registerDialects(registry);
  target->context = std::make_unique<mlir::MLIRContext>(registry, mlir::MLIRContext::Threading::DISABLED);
  kt::Result<ImportedModel> imported = importModel(target->gguf, *target->context);
  if (!imported)
    return imported.error();
  for (const std::string &warning : imported->warnings)
    report("ktc: warning: " + warning);
  target->module = std::move(imported->module);
  return target;
}

x64::Isa bestIsa(const policy::Machine &machine) {
  x64::Isa best = x64::Isa::Avx2;
  for (const std::string &name : machine.cpu.isa)
    if (std::optional<x64::Isa> isa = x64::parseIsa(name); isa && *isa > best)
      best = *isa;
  return best;
}

bool onlyCpu(const policy::PlacementTable &table) {
  for (const policy::Placement &placement : table.placements)
    if (placement.device != "cpu" || placement.prefillDevice != "cpu")
      return false;
  return true;
}

kt::Status runPasses(mlir::ModuleOp module, const std::function<void(mlir::OpPassManager &)> &add) {
  std::string first;
  mlir::ScopedDiagnosticHandler handler(module.getContext(), [&](mlir::Diagnostic &diagnostic) {
    if (first.empty() && diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error)
      first = diagnostic.str();
    return mlir::success();
  });
  mlir::PassManager passes(module.getContext());
  add(passes);
  if (mlir::succeeded(passes.run(module)))
    return {};
  return kt::Error{first.empty() ? "a pass failed without a message" : first};
}

kt::Result<policy::PlacementTable> placeModel(Target &target, const TargetOptions &options) {
  kt::Result<policy::Machine> machine = loadMachineOf(options, target.diagnostics);
  if (!machine)
    return machine.error();
  target.machine = std::move(*machine);
  kt::Result<policy::Policy> loaded = policy::loadPolicy(options.rules, target.diagnostics);
  if (!loaded)
    return loaded.error();
  target.policy = std::move(*loaded);
  if (!options.gpuCode && target.policy.spelling == policy::Spelling::BuiltIn)
    target.machine.gpus.clear();
  if (!options.gpuMem.empty()) {
    kt::Result<uint64_t> bytes = policy::parseSize(options.gpuMem);
    if (!bytes)
      return kt::Error{"--gpu-mem: " + bytes.error().message};
    policy::overrideBudget(target.policy, "cuda:0", *bytes, "--gpu-mem");
  }
  if (kt::Status status = runPasses(*target.module, addPreparePasses); !status)
    return status.error();
  kt::Result<policy::PlacementTable> table =
      applyPolicyToModule(*target.module, target.policy, target.machine, target.diagnostics);
  for (const policy::Diagnostic &diagnostic : target.diagnostics.all())
    if (table || diagnostic.str() != target.diagnostics.firstError())
      report(diagnostic.str());
  return table;
}

} // namespace ktc
