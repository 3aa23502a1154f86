// The toy plan; see toy_plan.h.
#include "toy_plan.h"

#include "runtime/abi/kt_abi.h"
#include "runtime/plan/hash.h"
#include "runtime/plan/writer.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>

// Three kernels over struct KtKernelArgs in rdi: operands at 0, step at 8, unitBegin at 24, unitEnd at 28.
asm(R"(
  .pushsection .text
  .intel_syntax noprefix
  .global toy_store_begin, toy_store_end, toy_prefix_begin, toy_prefix_end, toy_logits_begin, toy_logits_end

# cache[position[u]] = token[u]; operands: tokens, positions, cache; one unit per token
toy_store_begin:
  mov rax, [rdi]
  mov rcx, [rax]
  mov rdx, [rax + 8]
  mov r8, [rax + 16]
  mov esi, [rdi + 24]
1:
  cmp esi, [rdi + 28]
  jae 2f
  mov r10d, [rdx + rsi*4]
  cvtsi2ss xmm0, dword ptr [rcx + rsi*4]
  movss [r8 + r10*4], xmm0
  inc esi
  jmp 1b
2:
  ret
toy_store_end:

# hidden[u] = bias + sum of cache[0 .. position[u]]; operands: positions, cache, bias, hidden; one unit per token
toy_prefix_begin:
  mov rax, [rdi]
  mov rcx, [rax]
  mov rdx, [rax + 8]
  mov r8, [rax + 16]
  mov r9, [rax + 24]
  mov esi, [rdi + 24]
1:
  cmp esi, [rdi + 28]
  jae 4f
  movss xmm0, [r8]
  mov r10d, [rcx + rsi*4]
  xor r11d, r11d
2:
  addss xmm0, [rdx + r11*4]
  inc r11d
  cmp r11d, r10d
  jbe 2b
  movss [r9 + rsi*4], xmm0
  inc esi
  jmp 1b
4:
  ret
toy_prefix_end:

# logits[r][u] = hidden[rowOffset + r] * u for all r < nTokens; operands: hidden, logits; 10 units
toy_logits_begin:
  mov rax, [rdi]
  mov rcx, [rax]
  mov rdx, [rax + 8]
  mov r8, [rdi + 8]
  mov r9d, [r8 + 8]
  lea rcx, [rcx + r9*4]
  mov r8d, [r8]
  mov esi, [rdi + 24]
1:
  cmp esi, [rdi + 28]
  jae 4f
  cvtsi2ss xmm1, esi
  xor r9d, r9d
  mov r10d, esi
2:
  movss xmm0, [rcx + r9*4]
  mulss xmm0, xmm1
  movss [rdx + r10*4], xmm0
  add r10d, 10
  inc r9d
  cmp r9d, r8d
  jb 2b
  inc esi
  jmp 1b
4:
  ret
toy_logits_end:
  .att_syntax prefix
  .popsection
)");

extern "C" const uint8_t toy_store_begin[], toy_store_end[], toy_prefix_begin[], toy_prefix_end[],
    toy_logits_begin[], toy_logits_end[];

namespace toy {

using namespace ktrt::plan;

ktrt::plan::Operand arena(Arena index, uint64_t offset) { return {OperandKind::Arena, index, offset}; }
ktrt::plan::Operand weight(uint32_t index, uint64_t offset) { return {OperandKind::Weight, index, offset}; }

template <typename Body> static CommandT command(Body &&body, bool barrier) {
  CommandT result;
  result.body.Set(std::move(body));
  result.barrier_before = barrier;
  return result;
}

CommandT dispatch(Kernel kernel, std::vector<Operand> operands, uint32_t units, uint32_t unitsPerToken,
                  bool barrier) {
  DispatchT body;
  body.kernel = kernel;
  body.operands = std::move(operands);
  body.units = units;
  body.units_per_token = unitsPerToken;
  body.path = "model.layers.0";
  body.bytes_read = 4;
  return command(std::move(body), barrier);
}

void addStream(DispatchT &dispatch, uint32_t operand, uint64_t unitBytes) {
  auto stream = std::make_unique<StreamT>();
  stream->operand = operand;
  stream->unit_bytes = unitBytes;
  dispatch.streams.push_back(std::move(stream));
}

void addHint(DispatchT &dispatch, Operand ids, uint32_t choices, uint32_t experts, uint32_t lists,
             uint64_t expertBytes) {
  dispatch.hint = std::make_unique<HintT>();
  dispatch.hint->ids = std::make_unique<Operand>(ids);
  dispatch.hint->choices = choices;
  dispatch.hint->experts = experts;
  dispatch.hint->lists = lists;
  for (auto &stream : dispatch.streams)
    stream->expert_bytes = expertBytes;
}

CommandT copy(Operand source, Operand destination, uint64_t bytes, uint64_t bytesPerToken, bool barrier) {
  CopyT body;
  body.source = std::make_unique<Operand>(source);
  body.destination = std::make_unique<Operand>(destination);
  body.bytes = bytes;
  body.bytes_per_token = bytesPerToken;
  return command(std::move(body), barrier);
}

CommandT fill(Operand destination, uint64_t bytes, uint64_t bytesPerToken, uint8_t value, bool barrier) {
  FillT body;
  body.destination = std::make_unique<Operand>(destination);
  body.bytes = bytes;
  body.bytes_per_token = bytesPerToken;
  body.value = value;
  return command(std::move(body), barrier);
}

CommandT signal(uint32_t index, bool barrier) {
  SignalT body;
  body.signal = index;
  return command(std::move(body), barrier);
}

CommandT wait(uint32_t index) {
  WaitT body;
  body.signal = index;
  return command(std::move(body), false);
}

std::vector<CommandT *> commandsOf(EntryT &entry, size_t program) {
  std::vector<CommandT *> commands;
  for (auto &one : entry.programs[program]->commands)
    commands.push_back(one.get());
  return commands;
}

static void addKernel(Plan &toy, const char *name, const uint8_t *begin, const uint8_t *end) {
  auto kernel = std::make_unique<KernelT>();
  kernel->name = std::string("toy_") + name;
  kernel->family = name;
  auto variant = std::make_unique<KernelVariantT>();
  variant->isa = "avx2";
  variant->section = Code;
  variant->offset = toy.code.size();
  variant->bytes = uint64_t(end - begin);
  variant->scratch_bytes = 100;
  kernel->variants.push_back(std::move(variant));
  toy.plan.kernels.push_back(std::move(kernel));
  toy.code.insert(toy.code.end(), begin, end);
  toy.code.resize((toy.code.size() + 63) / 64 * 64, 0xcc);
}

static void addEntry(PlanT &plan, const std::string &name, uint32_t capacity, std::vector<CommandT> commands) {
  auto entry = std::make_unique<EntryT>();
  entry->name = name;
  entry->capacity = capacity;
  entry->dynamic = name == "prefill" || name == "head";
  if (name != "head") {
    entry->tokens = std::make_unique<Operand>(arena(Io, kTokensAt));
    entry->positions = std::make_unique<Operand>(arena(Io, kPositionsAt));
  }
  if (name != "prefill")
    entry->logits = std::make_unique<Operand>(arena(Io, kLogitsAt));
  auto program = std::make_unique<LaneProgramT>();
  for (CommandT &one : commands)
    program->commands.push_back(std::make_unique<CommandT>(std::move(one)));
  entry->programs.push_back(std::move(program));
  plan.entries.push_back(std::move(entry));
}

static void addArena(PlanT &plan, const char *name, ArenaKind kind, uint64_t bytes) {
  auto one = std::make_unique<ArenaT>();
  one->name = name;
  one->kind = kind;
  one->bytes = bytes;
  plan.arenas.push_back(std::move(one));
}

static std::vector<CommandT> bodyCommands() {
  std::vector<CommandT> commands;
  commands.push_back(
      dispatch(Store, {arena(Io, kTokensAt), arena(Io, kPositionsAt), arena(Cache)}, 0, 1, false));
  commands.push_back(dispatch(
      Prefix, {arena(Io, kPositionsAt), arena(Cache), weight(0), arena(Activations, kStagedAt)}, 0, 1, true));
  addStream(*commands.back().body.AsDispatch(), 2, 4);
  commands.push_back(copy(arena(Activations, kStagedAt), arena(Activations, kHiddenAt), 0, 4, true));
  return commands;
}

static std::vector<CommandT> headCommands() {
  std::vector<CommandT> commands;
  commands.push_back(fill(arena(Io, kLogitsAt), 0, 4 * kVocab, 0xff, true));
  commands.push_back(dispatch(Logits, {arena(Activations, kHiddenAt), arena(Io, kLogitsAt)}, kVocab, 0, true));
  return commands;
}

Plan::Plan() {
  plan.abi_version = KT_ABI_VERSION;
  plan.devices.push_back(std::make_unique<DeviceT>());
  plan.devices[0]->name = "cpu";
  plan.lanes.push_back(std::make_unique<LaneT>());
  plan.lanes[0]->name = "cpu";
  addArena(plan, "io", ArenaKind::Io, kLogitsAt + kHead * kVocab * 4);
  addArena(plan, "activations", ArenaKind::Activation, kStagedAt + kPrefill * 4);
  addArena(plan, "cache", ArenaKind::KvCache, kContext * 4);

  addKernel(*this, "store", toy_store_begin, toy_store_end);
  addKernel(*this, "prefix", toy_prefix_begin, toy_prefix_end);
  addKernel(*this, "logits", toy_logits_begin, toy_logits_end);

  auto both = [] {
    std::vector<CommandT> commands = bodyCommands();
    for (CommandT &one : headCommands())
      commands.push_back(std::move(one));
    return commands;
  };
  addEntry(plan, "decode_1", 1, both());
  addEntry(plan, "decode_2", 2, both());
  addEntry(plan, "prefill", kPrefill, bodyCommands());
  addEntry(plan, "head", kHead, headCommands());

  auto bias = std::make_unique<WeightT>();
  bias->name = "bias";
  bias->shape = {1};
  bias->section = Constants;
  bias->offset = 64;
  bias->bytes = 4;
  plan.weights.push_back(std::move(bias));
  constants.resize(68);
  memcpy(constants.data() + 64, &kBias, 4);
  packed.assign(10000, 0x5a);

  plan.model = std::make_unique<ModelT>();
  plan.model->name = "toy";
  plan.model->architecture = "toy";
  plan.model->context = kContext;
  plan.model->vocab = kVocab;
  plan.model->kv_bytes_per_token = 4;
  plan.model->weight_bytes_per_token = 1000;
  plan.tokenizer = std::make_unique<TokenizerT>();
  plan.tokenizer->model = "no_vocab";
  plan.sampling = std::make_unique<SamplingT>();
  plan.provenance = std::make_unique<ProvenanceT>();
  plan.provenance->compiler = "toy 1";
  plan.provenance->policy = "version: 1\nrules: []\n";
}

void Plan::linkBias(const std::filesystem::path &directory, const std::string &path, uint64_t bytes) {
  std::vector<uint8_t> file(bytes);
  for (size_t i = 0; i < file.size(); ++i)
    file[i] = uint8_t(i * 2654435761u >> 13);
  WeightT &bias = *plan.weights[0];
  bias.section = -1;
  bias.file = 0;
  bias.offset = bytes - 5; // unaligned on purpose
  memcpy(file.data() + bias.offset, &kBias, 4);
  writeFile(path[0] == '/' ? path : (directory / path).string(), file);
  plan.files.clear();
  plan.files.push_back(std::make_unique<WeightFileT>());
  plan.files[0]->path = path;
  plan.files[0]->bytes = bytes;
  plan.files[0]->hash = sampleHash(file.data(), bytes);
}

std::string Plan::write(const std::filesystem::path &directory, const std::string &name) {
  flatbuffers::FlatBufferBuilder builder;
  FinishPlanBuffer(builder, ktrt::plan::Plan::Pack(builder, &plan));
  std::vector<SectionSource> sections;
  sections.emplace_back(SectionKind::Program).add(builder.GetBufferPointer(), builder.GetSize());
  sections.emplace_back(SectionKind::Code).add(code.data(), code.size());
  sections.emplace_back(SectionKind::Constants).add(constants.data(), constants.size());
  sections.emplace_back(SectionKind::Weights).add(packed.data(), packed.size());
  std::string path = (directory / name).string();
  kt::Status status = writePlan(path, sections);
  EXPECT_TRUE(status) << status.error().message;
  return path;
}

float expectedLogit(const std::vector<int32_t> &tokens, size_t p, uint32_t v) {
  float sum = kBias;
  for (size_t i = 0; i <= p; ++i)
    sum += float(tokens[i]);
  return sum * float(v);
}

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "ktrt-test-XXXXXX").string();
  path = mkdtemp(pattern.data());
}
TemporaryDirectory::~TemporaryDirectory() { std::filesystem::remove_all(path); }

std::vector<uint8_t> readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void writeFile(const std::string &path, const std::vector<uint8_t> &bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char *>(bytes.data()), std::streamsize(bytes.size()));
}

void repairHashes(std::vector<uint8_t> &file) {
  PlanHeader header;
  if (file.size() < sizeof(header))
    return;
  memcpy(&header, file.data(), sizeof(header));
  uint64_t tableBytes = uint64_t(header.sectionCount) * header.sectionBytes;
  if (header.sectionBytes < sizeof(PlanSection) || header.headerBytes > file.size() ||
      tableBytes > file.size() - header.headerBytes)
    return;
  for (uint32_t i = 0; i < header.sectionCount; ++i) {
    uint8_t *record = file.data() + header.headerBytes + uint64_t(i) * header.sectionBytes;
    PlanSection section;
    memcpy(&section, record, sizeof(section));
    if (section.offset > file.size() || section.bytes > file.size() - section.offset)
      continue;
    section.hash = hash64(file.data() + section.offset, section.bytes);
    memcpy(record, &section, sizeof(section));
  }
  header.tableHash = hash64(file.data() + header.headerBytes, tableBytes);
  memcpy(file.data(), &header, sizeof(header));
}

} // namespace toy
