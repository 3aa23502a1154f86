// Text form of a plan; see dump.h.
#include "runtime/plan/dump.h"

#include "runtime/abi/kt_types.h"
#include "runtime/plan/message.h"

#include <cinttypes>

namespace ktrt::plan {

namespace {

const char *text(const flatbuffers::String *string) { return string ? string->c_str() : ""; }

template <typename T> uint32_t sizeOf(const flatbuffers::Vector<T> *vector) {
  return vector ? vector->size() : 0;
}

class Dumper {
public:
  explicit Dumper(const PlanFile &file) : file(file), plan(file.plan()) {}

  std::string run() {
    dumpFile();
    dumpModel();
    dumpPlaces();
    dumpWeights();
    dumpKernels();
    for (uint32_t i = 0; i < sizeOf(plan.entries()); ++i)
      dumpEntry(i);
    dumpText();
    dumpProvenance();
    return std::move(out);
  }

private:
  [[gnu::format(printf, 2, 3)]] void line(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    out += formatList(format, arguments);
    va_end(arguments);
    out += '\n';
  }

  // A block of text, each line indented and marked, so that it cannot be mistaken for the dump itself.
  void block(const char *title, const flatbuffers::String *string) {
    if (!string || string->size() == 0)
      return;
    line("  %s:", title);
    std::string_view rest = string->string_view();
    while (!rest.empty()) {
      size_t end = rest.find('\n');
      out += "    | ";
      out += rest.substr(0, end);
      out += '\n';
      rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    }
  }

  static std::string operandText(const Operand *operand) {
    if (!operand || operand->kind() == OperandKind::None)
      return "-";
    return formatText("%s[%u]+0x%" PRIx64, operand->kind() == OperandKind::Arena ? "arena" : "weight",
                      operand->index(), operand->offset());
  }

  void dumpFile() {
    const PlanHeader &header = file.header();
    line("plan version %u abi %u bytes %" PRIu64, header.formatVersion, plan.abi_version(), header.fileBytes);
    for (uint32_t i = 0; i < file.sections().size(); ++i) {
      const PlanSection &section = file.sections()[i];
      line("section[%u] %s offset 0x%" PRIx64 " bytes %" PRIu64 " hash %016" PRIx64, i,
           sectionKindName(section.kind), section.offset, section.bytes, section.hash);
    }
  }

  void dumpModel() {
    const Model &model = *plan.model();
    line("model '%s' architecture %s layers %u embedding %u vocab %u context %u of %u", text(model.name()),
         text(model.architecture()), model.layers(), model.embedding(), model.vocab(), model.context(),
         model.trained_context());
    line("  weight_bytes %" PRIu64 " weight_bytes_per_token %" PRIu64 " kv_bytes_per_token %" PRIu64,
         model.weight_bytes(), model.weight_bytes_per_token(), model.kv_bytes_per_token());
  }

  void dumpPlaces() {
    static constexpr const char *arenaKinds[] = {"activation", "kv_cache", "io"};
    for (uint32_t i = 0; i < sizeOf(plan.devices()); ++i) {
      const Device &device = *plan.devices()->Get(i);
      line("device[%u] '%s' %s budget %" PRIu64 " planned %" PRIu64, i, text(device.name()),
           device.kind() == DeviceKind::Cpu ? "cpu" : "cuda", device.budget_bytes(), device.planned_bytes());
    }
    for (uint32_t i = 0; i < sizeOf(plan.lanes()); ++i) {
      const Lane &lane = *plan.lanes()->Get(i);
      line("lane[%u] '%s' %s device %u", i, text(lane.name()),
           lane.kind() == LaneKind::CpuTeam ? "cpu_team" : "cuda_stream", lane.device());
    }
    for (uint32_t i = 0; i < sizeOf(plan.arenas()); ++i) {
      const Arena &arena = *plan.arenas()->Get(i);
      line("arena[%u] '%s' %s device %u bytes %" PRIu64 "%s", i, text(arena.name()),
           arenaKinds[unsigned(arena.kind())], arena.device(), arena.bytes(), arena.mapped() ? " mapped" : "");
    }
  }

  void dumpWeights() {
    for (uint32_t i = 0; i < sizeOf(plan.files()); ++i) {
      const WeightFile &source = *plan.files()->Get(i);
      line("file[%u] '%s' bytes %" PRIu64 " hash %016" PRIx64, i, text(source.path()), source.bytes(),
           source.hash());
    }
    for (uint32_t i = 0; i < sizeOf(plan.weights()); ++i) {
      const Weight &weight = *plan.weights()->Get(i);
      std::string shape;
      for (uint64_t dimension : *weight.shape())
        shape += (shape.empty() ? "" : "x") + std::to_string(dimension);
      line("weight[%u] '%s' %s %s %s[%d]+0x%" PRIx64 " bytes %" PRIu64 " device %u", i, text(weight.name()),
           ktTypeInfo(weight.type())->name, shape.c_str(), weight.file() >= 0 ? "file" : "section",
           weight.file() >= 0 ? weight.file() : weight.section(), weight.offset(), weight.bytes(),
           weight.device());
      if (weight.split_bytes())
        line("  split over nodes by %" PRIu64 " bytes", weight.split_bytes());
    }
    if (const WeightLayout *layout = plan.weight_layout())
      line("weight_layout nodes %u huge_pages %d", layout->nodes(), layout->huge_pages());
  }

  void dumpKernels() {
    for (uint32_t i = 0; i < sizeOf(plan.kernels()); ++i) {
      const Kernel &kernel = *plan.kernels()->Get(i);
      line("kernel[%u] '%s' family %s", i, text(kernel.name()), text(kernel.family()));
      for (const KernelVariant *variant : *kernel.variants())
        dumpVariant(*variant);
    }
  }

  void dumpVariant(const KernelVariant &variant) {
    std::string use = formatText("scratch %" PRIu64, variant.scratch_bytes());
    if (const Launch *launch = variant.launch())
      use = formatText("grid %ux%ux%u threads %u shared %u", launch->grid_x(), launch->grid_y(),
                       launch->grid_z(), launch->threads(), launch->shared_bytes());
    if (variant.early_start())
      use += " early";
    line("  %s section[%u]+0x%" PRIx64 " bytes %" PRIu64 " %s", text(variant.isa()), variant.section(),
         variant.offset(), variant.bytes(), use.c_str());
  }

  void dumpEntry(uint32_t index) {
    const Entry &entry = *plan.entries()->Get(index);
    line("entry[%u] '%s' capacity %u%s%s signals %u tokens %s positions %s logits %s", index,
         text(entry.name()), entry.capacity(), entry.dynamic() ? " dynamic" : "",
         entry.parts() > 1 ? formatText(" parts %u", entry.parts()).c_str() : "", entry.signals(),
         operandText(entry.tokens()).c_str(), operandText(entry.positions()).c_str(),
         operandText(entry.logits()).c_str());
    if (entry.best_count() != 0)
      line("  best %u ids %s logits %s sums %s", entry.best_count(), operandText(entry.best_ids()).c_str(),
           operandText(entry.best_logits()).c_str(), operandText(entry.best_sums()).c_str());
    for (const LaneProgram *program : *entry.programs()) {
      line("  on lane[%u] '%s' commands %u", program->lane(), text(plan.lanes()->Get(program->lane())->name()),
           sizeOf(program->commands()));
      for (uint32_t i = 0; i < sizeOf(program->commands()); ++i)
        dumpCommand(i, *program->commands()->Get(i));
    }
  }

  void dumpCommand(uint32_t index, const Command &command) {
    std::string body;
    if (const Dispatch *dispatch = command.body_as_Dispatch()) {
      body = formatText("dispatch kernel[%u] '%s' (", dispatch->kernel(),
                        text(plan.kernels()->Get(dispatch->kernel())->name()));
      for (uint32_t i = 0; i < sizeOf(dispatch->operands()); ++i)
        body += (i ? ", " : "") + operandText(dispatch->operands()->Get(i));
      body += formatText(") units %u + %u/token reads %" PRIu64 " path '%s'", dispatch->units(),
                         dispatch->units_per_token(), dispatch->bytes_read(), text(dispatch->path()));
      for (uint32_t i = 0; i < sizeOf(dispatch->streams()); ++i)
        body +=
            formatText(" streams %u by %" PRIu64, dispatch->streams()->Get(i)->operand(),
                       dispatch->streams()->Get(i)->unit_bytes()) +
            (dispatch->hint() ? formatText(" of %" PRIu64, dispatch->streams()->Get(i)->expert_bytes()) : "");
      if (dispatch->grain() != 0)
        body += formatText(" grain %u", dispatch->grain());
      if (const Hint *hint = dispatch->hint())
        body += formatText(" hint %s: %u of %u experts", operandText(hint->ids()).c_str(), hint->choices(),
                           hint->experts());
    } else if (const Copy *copy = command.body_as_Copy()) {
      body =
          formatText("copy %s -> %s bytes %" PRIu64 " + %" PRIu64 "/token", operandText(copy->source()).c_str(),
                     operandText(copy->destination()).c_str(), copy->bytes(), copy->bytes_per_token());
    } else if (const Fill *fill = command.body_as_Fill()) {
      body = formatText("fill %s bytes %" PRIu64 " + %" PRIu64 "/token value %u",
                        operandText(fill->destination()).c_str(), fill->bytes(), fill->bytes_per_token(),
                        fill->value());
    } else if (const Signal *signal = command.body_as_Signal()) {
      body = formatText("signal %u", signal->signal());
    } else if (const Wait *wait = command.body_as_Wait()) {
      body = formatText("wait %u", wait->signal());
    }
    std::string order = command.barrier_before() ? "barrier; " : "";
    if (command.part() != 0)
      order += formatText("part %u ", command.part());
    for (uint32_t i = 0; i < sizeOf(command.after()); ++i)
      order += (i ? "," : "after ") + std::to_string(command.after()->Get(i));
    if (sizeOf(command.after()))
      order += "; ";
    line("    [%u] %s%s", index, order.c_str(), body.c_str());
  }

  void dumpText() {
    if (const Tokenizer *tokenizer = plan.tokenizer())
      line("tokenizer '%s' pre '%s' tokens %u merges %u bos %d eos %d eot %d unk %d pad %d add_bos %d add_eos "
           "%d "
           "add_space_prefix %d",
           text(tokenizer->model()), text(tokenizer->pre()), sizeOf(tokenizer->tokens()),
           sizeOf(tokenizer->merges()), tokenizer->bos(), tokenizer->eos(), tokenizer->eot(), tokenizer->unk(),
           tokenizer->pad(), tokenizer->add_bos(), tokenizer->add_eos(), tokenizer->add_space_prefix());
    if (plan.chat_template()) {
      line("chat_template");
      block("text", plan.chat_template());
    }
    if (const Sampling *sampling = plan.sampling())
      line("sampling temperature %g top_k %u top_p %g min_p %g repeat_penalty %g",
           double(sampling->temperature()), sampling->top_k(), double(sampling->top_p()),
           double(sampling->min_p()), double(sampling->repeat_penalty()));
  }

  void dumpProvenance() {
    const Provenance *provenance = plan.provenance();
    if (!provenance)
      return;
    line("provenance compiler '%s' options '%s' policy '%s'", text(provenance->compiler()),
         text(provenance->options()), text(provenance->policy_name()));
    line("  predicted decode %.2f prefill %.2f tokens/s", provenance->predicted_decode_tokens_per_s(),
         provenance->predicted_prefill_tokens_per_s());
    if (provenance->read_bandwidth() > 0)
      line("  predicted for %.2f GB/s read by the CPU", provenance->read_bandwidth() * 1e-9);
    for (uint32_t i = 0; i < sizeOf(provenance->predicted_steps()); ++i) {
      const PredictedStep *step = provenance->predicted_steps()->Get(i);
      line("  predicted %s tokens %u: %.3f ms + %.4f us per position, reading %.3f ms", text(step->entry()),
           step->tokens(), step->seconds() * 1e3, step->seconds_per_position() * 1e6,
           step->reading_seconds() * 1e3);
    }
    for (uint32_t i = 0; i < sizeOf(provenance->transforms()); ++i)
      line("  transform '%s'", text(provenance->transforms()->Get(i)));
    block("policy", provenance->policy());
    block("machine", provenance->machine());
    block("placement", provenance->placement());
  }

  const PlanFile &file;
  const Plan &plan;
  std::string out;
};

} // namespace

std::string dumpPlan(const PlanFile &file) { return Dumper(file).run(); }

} // namespace ktrt::plan
