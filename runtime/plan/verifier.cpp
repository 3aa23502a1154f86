// Checks of everything that commands refer to; see verifier.h.
#include "runtime/plan/verifier.h"

#include "runtime/abi/kt_abi.h"
#include "runtime/plan/verifier_detail.h"

#include <cmath>

namespace ktrt::plan {

static constexpr uint32_t kMaxNodes = 1024; // memory nodes, as many as threads

// More than any plan needs; keeps sums and products of the checks far from overflow.
static constexpr uint64_t kMaxScratch = uint64_t(1) << 32;
static constexpr uint32_t kMaxDimensions = 8;

kt::Status verifyPlan(const Plan &plan, std::span<const PlanSection> sections) {
  VerifierState state(plan, sections);
  if (plan.abi_version() != KT_ABI_VERSION)
    return failure("kernel ABI version %u, this runtime has %u: compile the plan again", plan.abi_version(),
                   KT_ABI_VERSION);
  bool good = state.checkDevices() && state.checkFiles() && state.checkWeights() && state.checkKernels() &&
              state.checkModel() && state.checkTokenizer() && state.checkSampling() &&
              state.checkWeightLayout() && state.checkEntries();
  if (!good)
    return kt::Error{std::move(state.message)};
  return {};
}

bool VerifierState::checkDevices() {
  if (sizeOf(plan.devices()) == 0)
    return fail("devices: the plan has none");
  for (uint32_t i = 0; i < plan.devices()->size(); ++i) {
    const Device &device = *plan.devices()->Get(i);
    if (!named(device.name(), "devices", i))
      return false;
    if (device.kind() != DeviceKind::Cpu && device.kind() != DeviceKind::Cuda)
      return fail("devices[%u].kind is %u, which is unknown", i, unsigned(device.kind()));
  }
  return checkLanes() && checkArenas();
}

bool VerifierState::checkLanes() {
  if (sizeOf(plan.lanes()) == 0)
    return fail("lanes: the plan has none");
  for (uint32_t i = 0; i < plan.lanes()->size(); ++i) {
    const Lane &lane = *plan.lanes()->Get(i);
    if (!named(lane.name(), "lanes", i) ||
        !inRange(formatText("lanes[%u].device", i), lane.device(), plan.devices()->size()))
      return false;
    if (lane.kind() != LaneKind::CpuTeam && lane.kind() != LaneKind::CudaStream)
      return fail("lanes[%u].kind is %u, which is unknown", i, unsigned(lane.kind()));
    bool cpuLane = lane.kind() == LaneKind::CpuTeam;
    bool cpuDevice = plan.devices()->Get(lane.device())->kind() == DeviceKind::Cpu;
    if (cpuLane != cpuDevice)
      return fail("lanes[%u] is a %s, but its device '%s' is not of that kind", i,
                  cpuLane ? "CPU team" : "CUDA stream", textOf(plan.devices()->Get(lane.device())->name()));
  }
  return true;
}

bool VerifierState::checkArenas() {
  for (uint32_t i = 0; i < sizeOf(plan.arenas()); ++i) {
    const Arena &arena = *plan.arenas()->Get(i);
    if (!named(arena.name(), "arenas", i) ||
        !inRange(formatText("arenas[%u].device", i), arena.device(), plan.devices()->size()))
      return false;
    if (arena.kind() > ArenaKind::Io)
      return fail("arenas[%u].kind is %u, which is unknown", i, unsigned(arena.kind()));
    if (arena.bytes() == 0)
      return fail("arenas[%u] ('%s') is empty", i, arena.name()->c_str());
    if (arena.mapped() && plan.devices()->Get(arena.device())->kind() != DeviceKind::Cpu)
      return fail("arenas[%u] ('%s') is mapped, but not in the memory of a CPU device", i,
                  arena.name()->c_str());
  }
  return true;
}

bool VerifierState::checkFiles() {
  for (uint32_t i = 0; i < sizeOf(plan.files()); ++i) {
    const WeightFile &file = *plan.files()->Get(i);
    if (!file.path() || file.path()->size() == 0)
      return fail("files[%u] has no path", i);
    if (file.path()->string_view().find('\0') != std::string_view::npos)
      return fail("files[%u].path has a zero byte", i);
  }
  return true;
}

bool VerifierState::checkWeights() {
  for (uint32_t i = 0; i < sizeOf(plan.weights()); ++i)
    if (!checkWeight(i))
      return false;
  return true;
}

bool VerifierState::checkWeight(uint32_t index) {
  const Weight &weight = *plan.weights()->Get(index);
  if (!named(weight.name(), "weights", index) ||
      !inRange(formatText("weights[%u].device", index), weight.device(), plan.devices()->size()))
    return false;
  std::string where = formatText("weights[%u] ('%s')", index, weight.name()->c_str());
  if ((weight.file() == -1) == (weight.section() == -1))
    return fail("%s: exactly one of file and section must be set, found file %d and section %d", where.c_str(),
                weight.file(), weight.section());
  uint64_t limit = 0;
  if (weight.file() != -1) {
    if (!inRange(where + ".file", uint32_t(weight.file()), sizeOf(plan.files())))
      return false;
    limit = plan.files()->Get(uint32_t(weight.file()))->bytes();
  } else {
    if (!inRange(where + ".section", uint32_t(weight.section()), sections.size()))
      return false;
    const PlanSection &section = sections[size_t(weight.section())];
    if (section.kind != SectionKind::Constants && section.kind != SectionKind::Weights)
      return fail("%s: section %d holds neither weights nor constants", where.c_str(), weight.section());
    limit = section.bytes;
  }
  if (weight.bytes() == 0)
    return fail("%s is empty", where.c_str());
  if (weight.split_bytes() > weight.bytes())
    return fail("%s: split_bytes is %" PRIu64 ", expected at most %" PRIu64, where.c_str(),
                weight.split_bytes(), weight.bytes());
  return rangeFits(where, weight.offset(), weight.bytes(), limit) && checkShape(index);
}

// The shape's elements must fit into the weight's bytes. Padding behind them is allowed.
bool VerifierState::checkShape(uint32_t index) {
  const Weight &weight = *plan.weights()->Get(index);
  const KtTypeInfo *type = ktTypeInfo(weight.type());
  if (!type)
    return fail("weights[%u] ('%s') has the unknown type %u", index, weight.name()->c_str(), weight.type());
  uint32_t dimensions = sizeOf(weight.shape());
  if (dimensions == 0 || dimensions > kMaxDimensions)
    return fail("weights[%u] ('%s') has %u dimensions, expected 1 to %u", index, weight.name()->c_str(),
                dimensions, kMaxDimensions);
  // flatbuffers checks where a vector begins, but not that its 64-bit elements are aligned.
  if (reinterpret_cast<uintptr_t>(weight.shape()->Data()) % alignof(uint64_t) != 0)
    return fail("weights[%u] ('%s'): its shape is misaligned", index, weight.name()->c_str());
  uint64_t row = weight.shape()->Get(0);
  if (row == 0 || row % type->blockElements != 0)
    return fail("weights[%u] ('%s'): rows of %" PRIu64 " elements are no multiple of the %u in a block of %s",
                index, weight.name()->c_str(), row, type->blockElements, type->name);
  uint64_t bytes = 0;
  bool overflow = __builtin_mul_overflow(row / type->blockElements, uint64_t(type->blockBytes), &bytes);
  for (uint32_t i = 1; i < dimensions; ++i)
    overflow |= __builtin_mul_overflow(bytes, weight.shape()->Get(i), &bytes);
  if (overflow || bytes > weight.bytes())
    return fail("weights[%u] ('%s'): its shape needs more than its %" PRIu64 " bytes", index,
                weight.name()->c_str(), weight.bytes());
  return true;
}

bool VerifierState::checkKernels() {
  for (uint32_t i = 0; i < sizeOf(plan.kernels()); ++i)
    if (!named(plan.kernels()->Get(i)->name(), "kernels", i) || !checkVariants(i))
      return false;
  return true;
}

static bool isCpuIsa(std::string_view isa) {
  return isa == "avx2" || isa == "avx2vnni" || isa == "avx512" || isa == "amx";
}

bool VerifierState::checkVariants(uint32_t index) {
  const Kernel &kernel = *plan.kernels()->Get(index);
  if (sizeOf(kernel.variants()) == 0)
    return fail("kernels[%u] ('%s') has no variants", index, kernel.name()->c_str());
  for (uint32_t i = 0; i < kernel.variants()->size(); ++i) {
    const KernelVariant &variant = *kernel.variants()->Get(i);
    std::string where = formatText("kernels[%u].variants[%u]", index, i);
    std::string_view isa = variant.isa() ? variant.isa()->string_view() : "";
    if (!isCpuIsa(isa) && !isGpuTarget(isa))
      return fail("%s: unknown ISA '%s'", where.c_str(), textOf(variant.isa()));
    for (uint32_t j = 0; j < i; ++j)
      if (kernel.variants()->Get(j)->isa()->string_view() == variant.isa()->string_view())
        return fail("%s: a second variant for %s", where.c_str(), variant.isa()->c_str());
    if (!inRange(where + ".section", variant.section(), sections.size()))
      return false;
    const PlanSection &section = sections[variant.section()];
    if (section.kind != SectionKind::Code)
      return fail("%s: section %u holds no code", where.c_str(), variant.section());
    if (variant.bytes() == 0)
      return fail("%s is empty", where.c_str());
    if (!rangeFits(where, variant.offset(), variant.bytes(), section.bytes))
      return false;
    if (variant.offset() % KT_BUFFER_ALIGNMENT != 0)
      return fail("%s: offset %" PRIu64 " is no multiple of %u", where.c_str(), variant.offset(),
                  KT_BUFFER_ALIGNMENT);
    if (variant.scratch_bytes() > kMaxScratch)
      return fail("%s: %" PRIu64 " bytes of scratch per thread are more than %" PRIu64, where.c_str(),
                  variant.scratch_bytes(), kMaxScratch);
    if (!checkLaunch(where, variant))
      return false;
  }
  return true;
}

bool VerifierState::checkModel() {
  const Model *model = plan.model();
  if (!model)
    return fail("model: missing");
  if (model->vocab() == 0 || model->vocab() > INT32_MAX)
    return fail("model.vocab is %u, expected 1 to %d", model->vocab(), INT32_MAX);
  if (model->context() == 0 || model->context() > INT32_MAX)
    return fail("model.context is %u, expected 1 to %d", model->context(), INT32_MAX);
  return true;
}

bool VerifierState::checkTokenizer() {
  const Tokenizer *tokenizer = plan.tokenizer();
  if (!tokenizer)
    return true; // same as no_vocab: text commands refuse the plan
  std::string_view kind = tokenizer->model() ? tokenizer->model()->string_view() : "";
  if (kind != "gpt2" && kind != "llama" && kind != "no_vocab")
    return fail("tokenizer.model is '%s', expected gpt2, llama or no_vocab", textOf(tokenizer->model()));
  uint32_t tokens = sizeOf(tokenizer->tokens());
  if (tokens > plan.model()->vocab() || (tokens == 0 && kind != "no_vocab"))
    return fail("tokenizer.tokens has %u entries, the model's vocabulary %u", tokens, plan.model()->vocab());
  uint32_t scores = sizeOf(tokenizer->scores()), types = sizeOf(tokenizer->types());
  if (scores != tokens && (scores != 0 || kind == "llama"))
    return fail("tokenizer.scores has %u entries, expected one per token (%u)", scores, tokens);
  if (types != 0 && types != tokens)
    return fail("tokenizer.types has %u entries, expected one per token (%u)", types, tokens);
  const struct {
    const char *name;
    int32_t id;
  } specials[] = {{"bos", tokenizer->bos()},
                  {"eos", tokenizer->eos()},
                  {"eot", tokenizer->eot()},
                  {"unk", tokenizer->unk()},
                  {"pad", tokenizer->pad()}};
  for (const auto &special : specials)
    if (special.id != -1 && uint32_t(special.id) >= plan.model()->vocab())
      return fail("tokenizer.%s is %d, expected -1 or less than %u", special.name, special.id,
                  plan.model()->vocab());
  return true;
}

bool VerifierState::checkWeightLayout() {
  const WeightLayout *layout = plan.weight_layout();
  if (!layout || (layout->nodes() >= 1 && layout->nodes() <= kMaxNodes))
    return true;
  return fail("weight_layout.nodes is %u, expected 1 to %u", layout->nodes(), kMaxNodes);
}

bool VerifierState::checkSampling() {
  const Sampling *sampling = plan.sampling();
  if (!sampling)
    return true;
  const struct {
    const char *name;
    float value, low, high;
  } ranges[] = {{"temperature", sampling->temperature(), 0, 1000},
                {"top_p", sampling->top_p(), 0, 1},
                {"min_p", sampling->min_p(), 0, 1},
                {"repeat_penalty", sampling->repeat_penalty(), 0.001f, 1000}};
  for (const auto &range : ranges)
    if (!(range.value >= range.low && range.value <= range.high)) // also refuses NaN
      return fail("sampling.%s is %g, expected %g to %g", range.name, double(range.value), double(range.low),
                  double(range.high));
  return true;
}

} // namespace ktrt::plan
