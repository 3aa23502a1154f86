// ktc compile: model + policy → plan; stops at any stage with --emit.
#include "compiler/cost/device_bytes.h"
#include "compiler/cost/schedule_cost.h"
#include "compiler/model-to-placed/ModuleRefs.h"
#include "compiler/policy/explain.h"
#include "compiler/schedule-to-kernels/dump_kernels.h"
#include "compiler/schedule-to-plan/write_plan.h"
#include "compiler/tools/commands.h"
#include "compiler/tools/progress.h"
#include "dialects/model/Transforms.h"
#include "runtime/plan/dump.h"

#include "kt_version.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace ktc {

namespace {

struct CompileOptions {
  TargetOptions target;
  ScheduleOptions schedule;
  std::string output, cpu = "native", gpu = "none", nvrtc, weights = "auto", emit, dumpKernels;
  int64_t context = 0; // 0: the model's, at most 4096
};

// Wrong spellings of --cpu and --gpu; empty if there is nothing to say. What they name is looked at later.
std::string checkCpuList(const std::string &text) {
  std::stringstream list(text);
  size_t levels = 0;
  for (std::string name; std::getline(list, name, ','); ++levels)
    if (name != "native" && !x64::parseIsa(name))
      return "expected native, avx2, avx512 or amx, found '" + name + "'";
  return levels ? "" : "expected at least one instruction-set level";
}

std::string checkGpuList(const std::string &text) {
  if (text == "none" || text == "native")
    return "";
  std::stringstream list(text);
  size_t count = 0;
  for (std::string name; std::getline(list, name, ','); ++count)
    if (kt::Result<cuda::Target> target = cuda::parseTarget(name); !target)
      return target.error().message + ", none or native";
  return count ? "" : "expected at least one GPU target";
}

// What --cpu names: instruction-set levels in the order asked for. `avx2` covers CPUs with and without
// AVX-VNNI.
kt::Result<std::vector<x64::Isa>> parseCpu(const std::string &text, const policy::Machine &machine) {
  std::vector<x64::Isa> isas;
  auto add = [&](x64::Isa isa) {
    if (std::find(isas.begin(), isas.end(), isa) == isas.end())
      isas.push_back(isa);
  };
  std::stringstream list(text);
  for (std::string name; std::getline(list, name, ',');) {
    if (name == "native") {
      if (machine.cpu.isa.empty())
        return kt::Error{"--cpu native: this CPU has no AVX2, which every kernel needs"};
      name = machine.cpu.isa.back();
    } else if (name == "avx2") {
      add(x64::Isa::Avx2);
      name = "avx2vnni";
    }
    if (std::optional<x64::Isa> isa = x64::parseIsa(name))
      add(*isa);
  }
  return isas;
}

// What --gpu names: targets in the order asked for. `native`: those of the machine's GPUs.
kt::Result<std::vector<cuda::Target>> parseGpu(const std::string &text, const policy::Machine &machine) {
  std::vector<cuda::Target> targets;
  auto add = [&](const cuda::Target &target) {
    if (std::find(targets.begin(), targets.end(), target) == targets.end())
      targets.push_back(target);
  };
  if (text == "none")
    return targets;
  if (text == "native") {
    if (machine.gpus.empty())
      return kt::Error{"--gpu native: the machine has no GPU; name targets such as sm_90"};
    for (const policy::GpuMachine &gpu : machine.gpus) {
      kt::Result<cuda::Target> target = cuda::targetFor(gpu.sm / 10, gpu.sm % 10);
      if (!target)
        return kt::Error{"--gpu native: " + gpu.name + ": " + target.error().message};
      add(*target);
    }
    return targets;
  }
  std::stringstream list(text);
  for (std::string name; std::getline(list, name, ',');)
    if (kt::Result<cuda::Target> target = cuda::parseTarget(name))
      add(*target);
  return targets;
}

// Refuses placements that need GPU code where none is made, naming the first operation and its rule.
kt::Status checkDevices(mlir::ModuleOp module) {
  std::string first;
  size_t count = 0;
  module.walk([&](mlir::Operation *op) {
    auto placement = op->getAttrOfType<model::PlacementAttr>("placement");
    if (!placement || (placement.getDevice() == "cpu" && placement.getPrefill() == "cpu"))
      return;
    llvm::StringRef device = placement.getDevice() == "cpu" ? placement.getPrefill() : placement.getDevice();
    if (++count == 1)
      first = (op->getAttrOfType<mlir::StringAttr>("path").getValue() + " is placed on " + device + " by " +
               placement.getRule())
                  .str();
  });
  if (count == 0)
    return {};
  return kt::Error{first + " (and " + std::to_string(count - 1) +
                   " more operations), but no GPU code is to be made: add --gpu native or targets such as "
                   "--gpu sm_90, or use "
                   "--rules cpu; `ktc explain` shows the placement"};
}

std::string printModule(mlir::ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  return text;
}

std::string readFileOrEmpty(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Records in the plan how it was made. Placement and prediction are added when the schedule is known.
PlanOptions describePlan(const Target &target, const CompileOptions &options, int64_t context) {
  PlanOptions plan;
  plan.weights = options.weights == "link"   ? WeightStorage::Link
                 : options.weights == "pack" ? WeightStorage::Pack
                                             : WeightStorage::Auto;
  plan.context = static_cast<uint64_t>(context);
  plan.memoryNodes = static_cast<uint32_t>(target.machine.cpu.numaNodes);
  plan.hugePages = target.machine.usesHugePages();
  plan.compiler = "ktc " KT_VERSION " (" KT_COMMIT ")";
  plan.options = "--cpu " + options.cpu + (options.gpu == "none" ? "" : " --gpu " + options.gpu) + " --ctx " +
                 std::to_string(context) + " --weights " + options.weights + " --kv-type " +
                 options.schedule.kvType;
  if (options.schedule.chunk > 0)
    plan.options += " --chunk " + std::to_string(options.schedule.chunk);
  if (options.schedule.parts > 0)
    plan.options += " --prefill-parts " + std::to_string(options.schedule.parts);
  if (options.schedule.deferExperts > 0)
    plan.options += " --defer-experts " + std::to_string(options.schedule.deferExperts);
  if (options.schedule.expertHints != "auto")
    plan.options += " --expert-hints " + options.schedule.expertHints;
  if (!options.target.gpuMem.empty())
    plan.options += " --gpu-mem " + options.target.gpuMem;
  plan.policyName = target.policy.name;
  if (target.policy.spelling != policy::Spelling::BuiltIn)
    plan.policy = readFileOrEmpty(options.target.rules);
  plan.machine = policy::machineToYaml(target.machine);
  return plan;
}

// Predicts the rates of the schedule in `target` at the best level of `isas` that the machine runs.
void addPrediction(const Target &target, const std::vector<policy::ModuleRef> &modules,
                   const policy::PlacementTable &table, const std::vector<x64::Isa> &isas, PlanOptions &plan) {
  x64::Isa best = bestIsa(target.machine), used = isas.front();
  for (x64::Isa isa : isas)
    if (isa <= best && (isa > used || used > best))
      used = isa;
  policy::Prediction prediction = policy::predict(modules, table, target.machine);
  predictSchedule(*target.module, target.machine, {used}, prediction);
  prediction.memory = memoryPerDevice(*target.module);
  plan.placement = policy::explainText(modules, table, target.machine, prediction);
  plan.predictedDecode = prediction.decodeTokensPerS;
  plan.predictedPrefill = prediction.prefillTokensPerS;
  plan.predictedSteps = prediction.steps;
  plan.predictedReadBandwidth = prediction.readBandwidth;
}

// The KV cache's positions: what was asked for, or what the model was trained for up to 4096.
int64_t chooseContext(mlir::ModuleOp module, int64_t asked) {
  auto trained = module->getAttrOfType<mlir::IntegerAttr>(model::attr::kTrainedContext);
  int64_t limit = trained ? trained.getInt() : 4096;
  if (asked > limit)
    report("ktc: warning: --ctx " + std::to_string(asked) + " is longer than the " + std::to_string(limit) +
           " positions the model was trained for");
  return asked > 0 ? asked : std::min<int64_t>(limit, 4096);
}

// Ends a compilation at a stage: writes its text.
int emit(const std::string &output, const std::string &text) {
  kt::Status status = writeText(output, text);
  return status ? 0 : fail(status.error().message);
}

std::string defaultOutput(const std::string &model) {
  std::filesystem::path path = std::filesystem::path(model).filename();
  return path.replace_extension(".ktp").string();
}

// Writes the plan to a temporary file, reads it back and prints its text form: what the runtime will see.
int emitPlan(mlir::ModuleOp module, const CodeImage &image, const GgufModel &gguf, const PlanOptions &options,
             const std::string &output) {
  std::string folder = (std::filesystem::temp_directory_path() / "ktc-XXXXXX").string();
  if (!mkdtemp(folder.data()))
    return fail(folder + ": cannot be made: " + std::strerror(errno));
  std::string path = folder + "/plan.ktp";
  int exitCode = 1;
  if (kt::Status written = writePlan(module, image, gguf, options, path); !written)
    fail(written.error().message);
  else if (kt::Result<ktrt::plan::PlanFile> file = ktrt::plan::PlanFile::open(path); !file)
    fail(file.error().message);
  else
    exitCode = emit(output, ktrt::plan::dumpPlan(*file));
  std::filesystem::remove_all(folder);
  return exitCode;
}

int compile(CompileOptions options) {
  const bool writesFile = options.emit.empty() || !options.output.empty();
  const std::string output = options.output.empty() ? defaultOutput(options.target.model) : options.output;
  if (kt::Status folder = checkOutputFolder(output); writesFile && !folder)
    return fail(folder.error().message);
  Progress progress;
  progress.phase("reading " + options.target.model);
  kt::Result<std::unique_ptr<Target>> opened = openModel(options.target.model);
  if (!opened)
    return fail(opened.error().message);
  Target &target = **opened;
  if (options.emit == "model")
    return emit(options.output, printModule(*target.module));

  options.target.gpuCode = options.gpu != "none"; // a rules file that names a GPU is refused below
  kt::Result<policy::PlacementTable> table = placeModel(target, options.target);
  if (!table)
    return fail(table.error().message);
  if (options.emit == "placed")
    return emit(options.output, printModule(*target.module));
  kt::Result<std::vector<cuda::Target>> gpus = parseGpu(options.gpu, target.machine);
  if (!gpus)
    return fail(gpus.error().message);
  const kt::Status devices = gpus->empty() ? checkDevices(*target.module) : kt::Status();
  kt::Result<std::vector<x64::Isa>> isas = parseCpu(options.cpu, target.machine);
  if (!isas)
    return fail(isas.error().message);

  int64_t context = chooseContext(*target.module, options.context);
  options.schedule.context = context;
  options.schedule.memoryNodes = target.machine.cpu.numaNodes;
  options.schedule.prefetch = target.machine.cpu.usesPrefetch();
  PlanOptions plan = describePlan(target, options, context);
  std::vector<policy::ModuleRef> modules = collectNetworkOps(*target.module).modules; // gone after scheduling
  progress.phase("scheduling");
  kt::Status scheduled = runPasses(
      *target.module, [&](mlir::OpPassManager &passes) { addSchedulePasses(passes, options.schedule); });
  if (!scheduled)
    return fail(options.target.model + ": " + scheduled.error().message);
  if (auto transforms = (*target.module)->getAttrOfType<mlir::ArrayAttr>(model::attr::kTransforms))
    for (mlir::Attribute transform : transforms)
      plan.transforms.push_back(mlir::cast<mlir::StringAttr>(transform).str());
  setBudgets(*target.module, *table);
  if (kt::Status fits = checkMemory(memoryPerDevice(*target.module), *table); !fits)
    return fail(fits.error().message);
  if (options.emit == "schedule")
    return emit(options.output, printModule(*target.module));
  if (!devices)
    return fail(devices.error().message);

  addPrediction(target, modules, *table, *isas, plan);

  progress.phase("generating kernels");
  std::string message;
  mlir::ScopedDiagnosticHandler handler(target.context.get(), [&](mlir::Diagnostic &diagnostic) {
    if (message.empty())
      message = diagnostic.str();
    return mlir::success();
  });
  GpuOptions gpu = {*gpus, {options.nvrtc}, [&](size_t done, size_t total) {
                      progress.bytes("compiling GPU kernels", done, total);
                    }};
  mlir::FailureOr<CodeImage> image = generateKernels(*target.module, *isas, gpu);
  if (failed(image))
    return fail(options.target.model + ": " + message);
  if (!options.dumpKernels.empty())
    if (kt::Status dumped = dumpKernels(*image, options.dumpKernels); !dumped)
      return fail(dumped.error().message);
  if (options.emit == "kernels") {
    std::string text;
    llvm::raw_string_ostream stream(text);
    printKernels(*image, stream, true);
    return emit(options.output, stream.str());
  }

  if (options.emit == "plan")
    return emitPlan(*target.module, *image, target.gguf, plan, options.output);
  kt::Status written =
      writePlan(*target.module, *image, target.gguf, plan, output,
                [&](uint64_t done, uint64_t total) { progress.bytes("writing " + output, done, total); });
  progress.finish();
  if (!written)
    return fail(written.error().message);
  std::fprintf(stderr, "ktc: wrote %s\n", output.c_str());
  return 0;
}

} // namespace

void addCompileCommand(CLI::App &app, int &exitCode) {
  auto options = std::make_shared<CompileOptions>();
  CLI::App *command = app.add_subcommand("compile", "Compile a model to a plan");
  addTargetOptions(*command, options->target, true);
  command->add_option("-o,--output", options->output, "Plan to write (default: MODEL.ktp in this folder)");
  command
      ->add_option("--cpu", options->cpu, "Instruction-set levels: native, avx2, avx512, amx, comma-separated")
      ->check(checkCpuList)
      ->capture_default_str();
  command->add_option("--gpu", options->gpu, "GPU targets: none, native, sm_80, compute_80, …, comma-separated")
      ->check(checkGpuList)
      ->capture_default_str();
  command->add_option(
      "--nvrtc", options->nvrtc,
      "The library that compiles GPU kernels (default: $KTC_NVRTC, or where CUDA or Python has it)");
  command->add_option("--ctx", options->context, "Positions of the KV cache")->check(CLI::Range(1, 1 << 22));
  addScheduleOptions(*command, options->schedule);
  command->add_option("--kv-type", options->schedule.kvType, "Element type of the KV cache")
      ->check(CLI::IsMember({"bf16", "f16", "f32", "q8_0"}))
      ->capture_default_str();
  command
      ->add_option("--defer-experts", options->schedule.deferExperts,
                   "Add this many of a token's experts on the CPU one layer later; changes results")
      ->check(CLI::Range(0, 255))
      ->capture_default_str();
  command
      ->add_option("--weights", options->weights, "Leave weights in the GGUF file or copy them into the plan")
      ->check(CLI::IsMember({"auto", "link", "pack"}))
      ->capture_default_str();
  command->add_option("--emit", options->emit, "Stop after this stage and print it")
      ->check(CLI::IsMember({"model", "placed", "schedule", "kernels", "plan"}));
  command->add_option("--dump-kernels", options->dumpKernels,
                      "Write code and disassembly of every kernel here");
  command->callback([options, &exitCode] { exitCode = compile(*options); });
}

} // namespace ktc
