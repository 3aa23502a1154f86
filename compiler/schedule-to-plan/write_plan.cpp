// Puts a plan together: tables first, then sections, a check of the whole, and the file.
#include "compiler/schedule-to-plan/write_plan.h"

#include "compiler/schedule-to-plan/plan_tables.h"
#include "compiler/schedule-to-plan/tokenizer.h"
#include "runtime/plan/verifier.h"

#include <filesystem>

using namespace mlir;
using namespace ktrt::plan;

namespace ktc {

namespace {

// Sections 1..n hold code; section 0 is the program.
constexpr uint32_t firstCodeSection = 1;

std::string directoryOf(const std::string &path) {
  std::string directory = std::filesystem::path(path).parent_path().string();
  return directory.empty() ? "." : directory;
}

kt::Status buildText(PlanTables &tables) {
  const GgufMetadata &metadata = tables.model.metadata();
  kt::Result<std::unique_ptr<TokenizerT>> tokenizer = buildTokenizer(metadata, tables.plan.model->vocab);
  if (!tokenizer)
    return tokenizer.error();
  kt::Result<std::string> chatTemplate = buildChatTemplate(metadata);
  if (!chatTemplate)
    return chatTemplate.error();
  kt::Result<std::unique_ptr<SamplingT>> sampling = buildSampling(metadata);
  if (!sampling)
    return sampling.error();
  tables.plan.tokenizer = std::move(*tokenizer);
  tables.plan.chat_template = std::move(*chatTemplate);
  tables.plan.sampling = std::move(*sampling);
  return {};
}

void buildWeightLayout(PlanTables &tables) {
  const PlanOptions &options = tables.options;
  if (options.memoryNodes <= 1 && !options.hugePages)
    return;
  tables.plan.weight_layout = std::make_unique<WeightLayoutT>();
  tables.plan.weight_layout->nodes = options.memoryNodes;
  tables.plan.weight_layout->huge_pages = options.hugePages;
}

void buildProvenance(PlanTables &tables) {
  const PlanOptions &options = tables.options;
  auto provenance = std::make_unique<ProvenanceT>();
  provenance->compiler = options.compiler;
  provenance->options = options.options;
  provenance->policy_name = options.policyName;
  provenance->policy = options.policy;
  provenance->machine = options.machine;
  provenance->placement = options.placement;
  provenance->predicted_decode_tokens_per_s = options.predictedDecode;
  provenance->predicted_prefill_tokens_per_s = options.predictedPrefill;
  for (const policy::PredictedStep &step : options.predictedSteps) {
    auto predicted = std::make_unique<PredictedStepT>();
    predicted->entry = step.entry;
    predicted->tokens = static_cast<uint32_t>(step.tokens);
    predicted->seconds = step.seconds;
    predicted->seconds_per_position = step.secondsPerPosition;
    predicted->reading_seconds = step.readingSeconds;
    provenance->predicted_steps.push_back(std::move(predicted));
  }
  provenance->read_bandwidth = options.predictedReadBandwidth;
  provenance->transforms = options.transforms;
  tables.plan.provenance = std::move(provenance);
}

void addPlannedBytes(PlanT &plan) {
  for (const auto &weight : plan.weights)
    plan.devices[weight->device]->planned_bytes += weight->bytes;
  for (const auto &arena : plan.arenas)
    plan.devices[arena->device]->planned_bytes += arena->bytes;
}

kt::Status buildTables(PlanTables &tables) {
  tables.plan.abi_version = KT_ABI_VERSION;
  if (kt::Status status = buildMemoryTables(tables); !status)
    return status;
  buildKernelTable(tables, firstCodeSection);
  if (kt::Status status = buildEntries(tables); !status)
    return status;
  if (kt::Status status = buildModelInfo(tables); !status)
    return status;
  if (kt::Status status = buildText(tables); !status)
    return status;
  buildWeightLayout(tables);
  buildProvenance(tables);
  return {};
}

// What the runtime would say about the program, before any byte is written.
kt::Status check(const flatbuffers::FlatBufferBuilder &program, const std::vector<SectionSource> &sections) {
  std::vector<PlanSection> table;
  for (const SectionSource &section : sections)
    table.push_back({section.kind(), 0, 0, section.bytes(), 0});
  if (program.GetSize() >= FLATBUFFERS_MAX_BUFFER_SIZE)
    return kt::Error{"the program takes " + std::to_string(program.GetSize()) + " bytes, which is too large"};
  return verifyPlan(*GetPlan(program.GetBufferPointer()), table);
}

} // namespace

kt::Status writePlan(ModuleOp module, const CodeImage &image, const GgufModel &model,
                     const PlanOptions &options, const std::string &path, const WriteProgress &progress) {
  PlanTables tables(module, image, model, options, directoryOf(path));
  if (kt::Status status = buildTables(tables); !status)
    return kt::Error{path + ": " + status.error().message};

  std::vector<SectionSource> sections(1, SectionSource(SectionKind::Program));
  auto addCode = [&](const auto &segments) {
    for (const auto &segment : segments)
      if (!segment.bytes.empty()) {
        sections.emplace_back(SectionKind::Code);
        sections.back().add(segment.bytes.data(), segment.bytes.size());
      }
  };
  addCode(image.segments);
  addCode(image.gpuSegments);
  tables.weights.finish(tables.plan, sections);
  addPlannedBytes(tables.plan);

  flatbuffers::FlatBufferBuilder builder;
  FinishPlanBuffer(builder, ktrt::plan::Plan::Pack(builder, &tables.plan));
  sections[0].add(builder.GetBufferPointer(), builder.GetSize());
  if (kt::Status status = check(builder, sections); !status)
    return kt::Error{path + ": the compiler made a plan that the runtime refuses: " + status.error().message};
  return ktrt::plan::writePlan(path, sections, progress);
}

} // namespace ktc
