// Each branch of the semantic verifier: one edit of a good plan, and the message it must give.
#include "runtime/plan/verifier.h"

#include "runtime/abi/kt_abi.h"
#include "runtime/plan/reader.h"
#include "toy_plan.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace ktrt::plan;
using namespace toy;

namespace {

// What the edits reach for.
struct Edit {
  PlanT &plan;
  WeightT &weight = *plan.weights[0];
  KernelVariantT &variant = *plan.kernels[0]->variants[0];
  EntryT &decode = *plan.entries[Decode1];
  std::vector<CommandT *> commands = commandsOf(decode); // store, prefix, copy, fill, logits
};

void add(EntryT &entry, CommandT command) {
  entry.programs[0]->commands.push_back(std::make_unique<CommandT>(std::move(command)));
}

void addCuda(PlanT &plan) {
  plan.devices.push_back(std::make_unique<DeviceT>());
  plan.devices[1]->name = "cuda:0";
  plan.devices[1]->kind = DeviceKind::Cuda;
}

void addFillOverflow(PlanT &plan) {
  add(*plan.entries[Prefill], fill(arena(Io), 0, uint64_t(1) << 62, 0, false));
}

// Two lanes, each of which waits for the other before it signals.
void deadlock(PlanT &plan) {
  plan.lanes.push_back(std::make_unique<LaneT>(*plan.lanes[0]));
  EntryT &entry = *plan.entries[Decode1];
  entry.signals = 2;
  entry.programs[0]->commands.clear();
  entry.programs.push_back(std::make_unique<LaneProgramT>());
  entry.programs[1]->lane = 1;
  for (uint32_t lane = 0; lane < 2; ++lane) {
    auto &commands = entry.programs[lane]->commands;
    commands.push_back(std::make_unique<CommandT>(toy::wait(1 - lane)));
    commands.push_back(std::make_unique<CommandT>(signal(lane, true)));
  }
}

struct Case {
  const char *name;
  const char *message; // how it begins, after the path
  void (*edit)(Edit &);
};

const Case
    cases[] =
        {
            {"ABI", "kernel ABI version 5, this runtime has 4: compile the plan again",
             [](Edit &edit) { edit.plan.abi_version = KT_ABI_VERSION + 1; }},
            {"NoDevices", "devices: the plan has none", [](Edit &edit) { edit.plan.devices.clear(); }},
            {"DeviceName", "devices[0] has no name", [](Edit &edit) { edit.plan.devices[0]->name = ""; }},
            {"DeviceKind", "devices[0].kind is 7, which is unknown",
             [](Edit &edit) { edit.plan.devices[0]->kind = DeviceKind(7); }},
            {"NoLanes", "lanes: the plan has none", [](Edit &edit) { edit.plan.lanes.clear(); }},
            {"LaneName", "lanes[0] has no name", [](Edit &edit) { edit.plan.lanes[0]->name = ""; }},
            {"LaneDevice", "lanes[0].device is 1, expected less than 1",
             [](Edit &edit) { edit.plan.lanes[0]->device = 1; }},
            {"LaneKind", "lanes[0].kind is 9, which is unknown",
             [](Edit &edit) { edit.plan.lanes[0]->kind = LaneKind(9); }},
            {"LaneOnOtherDevice", "lanes[0] is a CUDA stream, but its device 'cpu' is not of that kind",
             [](Edit &edit) { edit.plan.lanes[0]->kind = LaneKind::CudaStream; }},
            {"TeamOnCuda", "lanes[0] is a CPU team, but its device 'cpu' is not of that kind",
             [](Edit &edit) { edit.plan.devices[0]->kind = DeviceKind::Cuda; }},
            {"ArenaName", "arenas[1] has no name", [](Edit &edit) { edit.plan.arenas[1]->name = ""; }},
            {"ArenaDevice", "arenas[1].device is 5, expected less than 1",
             [](Edit &edit) { edit.plan.arenas[1]->device = 5; }},
            {"ArenaKind", "arenas[1].kind is 3, which is unknown",
             [](Edit &edit) { edit.plan.arenas[1]->kind = ArenaKind(3); }},
            {"ArenaEmpty", "arenas[1] ('activations') is empty",
             [](Edit &edit) { edit.plan.arenas[1]->bytes = 0; }},
            {"FilePath", "files[0] has no path",
             [](Edit &edit) { edit.plan.files.push_back(std::make_unique<WeightFileT>()); }},
            {"FilePathZero", "files[0].path has a zero byte",
             [](Edit &edit) {
               edit.plan.files.push_back(std::make_unique<WeightFileT>());
               edit.plan.files[0]->path = std::string("a\0b", 3);
             }},
            {"WeightName", "weights[0] has no name", [](Edit &edit) { edit.weight.name = ""; }},
            {"WeightDevice", "weights[0].device is 1, expected less than 1",
             [](Edit &edit) { edit.weight.device = 1; }},
            {"WeightNowhere",
             "weights[0] ('bias'): exactly one of file and section must be set, found file -1 and section -1",
             [](Edit &edit) { edit.weight.section = -1; }},
            {"WeightTwice",
             "weights[0] ('bias'): exactly one of file and section must be set, found file 0 and section 2",
             [](Edit &edit) { edit.weight.file = 0; }},
            {"WeightFile", "weights[0] ('bias').file is 0, expected less than 0",
             [](Edit &edit) {
               edit.weight.section = -1;
               edit.weight.file = 0;
             }},
            {"WeightFileNegative", "weights[0] ('bias').file is 4294967294, expected less than 0",
             [](Edit &edit) {
               edit.weight.section = -1;
               edit.weight.file = -2;
             }},
            {"WeightSection", "weights[0] ('bias').section is 4, expected less than 4",
             [](Edit &edit) { edit.weight.section = 4; }},
            {"WeightInCode", "weights[0] ('bias'): section 1 holds neither weights nor constants",
             [](Edit &edit) { edit.weight.section = Code; }},
            {"WeightEmpty", "weights[0] ('bias') is empty", [](Edit &edit) { edit.weight.bytes = 0; }},
            {"WeightEnd", "weights[0] ('bias'): bytes 65 + 4 are outside its 68 bytes",
             [](Edit &edit) { edit.weight.offset = 65; }},
            {"WeightOffset", "weights[0] ('bias'): bytes 18446744073709551615 + 4 are outside its 68 bytes",
             [](Edit &edit) { edit.weight.offset = ~uint64_t(0); }},
            {"WeightBytes", "weights[0] ('bias'): bytes 64 + 18446744073709551615 are outside its 68 bytes",
             [](Edit &edit) { edit.weight.bytes = ~uint64_t(0); }},
            {"WeightType", "weights[0] ('bias') has the unknown type 5",
             [](Edit &edit) { edit.weight.type = 5; }},
            {"WeightNoShape", "weights[0] ('bias') has 0 dimensions, expected 1 to 8",
             [](Edit &edit) { edit.weight.shape.clear(); }},
            {"WeightRank", "weights[0] ('bias') has 9 dimensions, expected 1 to 8",
             [](Edit &edit) { edit.weight.shape.assign(9, 1); }},
            {"WeightRow",
             "weights[0] ('bias'): rows of 300 elements are no multiple of the 256 in a block of q4_k",
             [](Edit &edit) {
               edit.weight.type = KT_TYPE_Q4_K;
               edit.weight.shape = {300};
             }},
            {"WeightShape", "weights[0] ('bias'): its shape needs more than its 4 bytes",
             [](Edit &edit) { edit.weight.shape = {1, 2}; }},
            {"WeightShapeOverflow", "weights[0] ('bias'): its shape needs more than its 4 bytes",
             [](Edit &edit) { edit.weight.shape = {uint64_t(1) << 40, uint64_t(1) << 40}; }},
            {"KernelName", "kernels[2] has no name", [](Edit &edit) { edit.plan.kernels[2]->name = ""; }},
            {"KernelNoVariants", "kernels[2] ('toy_logits') has no variants",
             [](Edit &edit) { edit.plan.kernels[2]->variants.clear(); }},
            {"VariantIsa", "kernels[0].variants[0]: unknown ISA 'sse2'",
             [](Edit &edit) { edit.variant.isa = "sse2"; }},
            {"VariantNoIsa", "kernels[0].variants[0]: unknown ISA '?'",
             [](Edit &edit) { edit.variant.isa = ""; }},
            {"VariantTwice", "kernels[0].variants[1]: a second variant for avx2",
             [](Edit &edit) {
               edit.plan.kernels[0]->variants.push_back(std::make_unique<KernelVariantT>(edit.variant));
             }},
            {"VariantSection", "kernels[0].variants[0].section is 4, expected less than 4",
             [](Edit &edit) { edit.variant.section = 4; }},
            {"VariantNoCode", "kernels[0].variants[0]: section 2 holds no code",
             [](Edit &edit) { edit.variant.section = Constants; }},
            {"VariantEmpty", "kernels[0].variants[0] is empty", [](Edit &edit) { edit.variant.bytes = 0; }},
            {"VariantRange", "kernels[0].variants[0]: bytes 1048576 + ",
             [](Edit &edit) { edit.variant.offset = 1 << 20; }},
            {"VariantBytes", "kernels[0].variants[0]: bytes 0 + 18446744073709551615 are outside its",
             [](Edit &edit) { edit.variant.bytes = ~uint64_t(0); }},
            {"VariantAlignment", "kernels[0].variants[0]: offset 32 is no multiple of 64",
             [](Edit &edit) {
               edit.variant.offset = 32;
               edit.variant.bytes = 1;
             }},
            {"VariantScratch",
             "kernels[0].variants[0]: 1099511627776 bytes of scratch per thread are more than 4294967296",
             [](Edit &edit) { edit.variant.scratch_bytes = uint64_t(1) << 40; }},
            {"NoModel", "model: missing", [](Edit &edit) { edit.plan.model.reset(); }},
            {"ModelVocab", "model.vocab is 0, expected 1 to 2147483647",
             [](Edit &edit) { edit.plan.model->vocab = 0; }},
            {"ModelContext", "model.context is 4294967295, expected 1 to 2147483647",
             [](Edit &edit) { edit.plan.model->context = ~0u; }},
            {"TokenizerModel", "tokenizer.model is 'bert', expected gpt2, llama or no_vocab",
             [](Edit &edit) { edit.plan.tokenizer->model = "bert"; }},
            {"TokenizerNone", "tokenizer.model is '?', expected gpt2, llama or no_vocab",
             [](Edit &edit) { edit.plan.tokenizer->model = ""; }},
            {"TokenizerEmpty", "tokenizer.tokens has 0 entries, the model's vocabulary 10",
             [](Edit &edit) { edit.plan.tokenizer->model = "gpt2"; }},
            {"TokenizerTokens", "tokenizer.tokens has 11 entries, the model's vocabulary 10",
             [](Edit &edit) { edit.plan.tokenizer->tokens.assign(11, "a"); }},
            {"TokenizerScores", "tokenizer.scores has 9 entries, expected one per token (10)",
             [](Edit &edit) {
               edit.plan.tokenizer->tokens.assign(10, "a");
               edit.plan.tokenizer->scores.assign(9, 0);
             }},
            {"TokenizerLlama", "tokenizer.scores has 0 entries, expected one per token (10)",
             [](Edit &edit) {
               edit.plan.tokenizer->model = "llama";
               edit.plan.tokenizer->tokens.assign(10, "a");
             }},
            {"TokenizerTypes", "tokenizer.types has 11 entries, expected one per token (10)",
             [](Edit &edit) {
               edit.plan.tokenizer->tokens.assign(10, "a");
               edit.plan.tokenizer->types.assign(11, 1);
             }},
            {"TokenizerBos", "tokenizer.bos is 10, expected -1 or less than 10",
             [](Edit &edit) { edit.plan.tokenizer->bos = 10; }},
            {"TokenizerPad", "tokenizer.pad is -2, expected -1 or less than 10",
             [](Edit &edit) { edit.plan.tokenizer->pad = -2; }},
            {"SamplingTemperature", "sampling.temperature is nan, expected 0 to 1000",
             [](Edit &edit) { edit.plan.sampling->temperature = NAN; }},
            {"SamplingTopP", "sampling.top_p is 2, expected 0 to 1",
             [](Edit &edit) { edit.plan.sampling->top_p = 2; }},
            {"SamplingPenalty", "sampling.repeat_penalty is 0, expected 0.001 to 1000",
             [](Edit &edit) { edit.plan.sampling->repeat_penalty = 0; }},
            {"EntryName", "entries[0] has no name", [](Edit &edit) { edit.decode.name = ""; }},
            {"EntryTwice", "entries[1]: a second entry named 'decode_1'",
             [](Edit &edit) {
               edit.plan.entries[1]->name = "decode_1";
               edit.plan.entries[1]->capacity = 1;
             }},
            {"EntryUnknown", "entries[0] has the unknown name 'encode'",
             [](Edit &edit) { edit.decode.name = "encode"; }},
            {"EntryCapacityName", "entries[0] ('decode_3') has capacity 1",
             [](Edit &edit) { edit.decode.name = "decode_3"; }},
            {"EntryNoDecode", "entries: no entry named 'decode_<tokens>'",
             [](Edit &edit) {
               edit.plan.entries.erase(edit.plan.entries.begin(), edit.plan.entries.begin() + 2);
             }},
            {"EntryNoPrefill", "entries: no entry named 'prefill'",
             [](Edit &edit) { edit.plan.entries.erase(edit.plan.entries.begin() + Prefill); }},
            {"EntryNoHead", "entries: no entry named 'head'", [](Edit &edit) { edit.plan.entries.pop_back(); }},
            {"EntryCapacity", "entries[0].capacity is 0, expected 1 to 1048576",
             [](Edit &edit) { edit.decode.capacity = 0; }},
            {"EntrySignals", "entries[0].signals is 4294967295, expected at most 1048576",
             [](Edit &edit) { edit.decode.signals = ~0u; }},
            {"EntryNoParts",
             "entries[2].parts is 0, expected 1, or up to 4 that divide the capacity 8 of a dynamic entry",
             [](Edit &edit) { edit.plan.entries[Prefill]->parts = 0; }},
            {"EntryManyParts", "entries[2].parts is 8, expected 1, or up to 4",
             [](Edit &edit) { edit.plan.entries[Prefill]->parts = 8; }},
            {"EntryOddParts", "entries[2].parts is 3, expected 1, or up to 4",
             [](Edit &edit) { edit.plan.entries[Prefill]->parts = 3; }},
            {"EntryDecodeParts", "entries[1].parts is 2, expected 1, or up to 4",
             [](Edit &edit) { edit.plan.entries[Decode2]->parts = 2; }},
            {"CommandPart", "entries[2].programs[0].commands[1].part is 2, expected less than 2",
             [](Edit &edit) {
               edit.plan.entries[Prefill]->parts = 2;
               edit.plan.entries[Prefill]->programs[0]->commands[1]->part = 2;
             }},
            {"EntryDynamicDecode", "entries[0] ('decode_1') must not be dynamic",
             [](Edit &edit) { edit.decode.dynamic = true; }},
            {"EntryExactPrefill", "entries[2] ('prefill') must be dynamic",
             [](Edit &edit) { edit.plan.entries[Prefill]->dynamic = false; }},
            {"EntryNoTokens", "entries[0].tokens is missing", [](Edit &edit) { edit.decode.tokens.reset(); }},
            {"EntryNoneTokens", "entries[0].tokens is missing",
             [](Edit &edit) { *edit.decode.tokens = Operand(); }},
            {"EntryNoLogits", "entries[0].logits is missing", [](Edit &edit) { edit.decode.logits.reset(); }},
            {"EntryHeadTokens", "entries[3].tokens must be absent",
             [](Edit &edit) { edit.plan.entries[Head]->tokens = std::make_unique<Operand>(arena(Io)); }},
            {"EntryPrefillLogits", "entries[2].logits must be absent",
             [](Edit &edit) { edit.plan.entries[Prefill]->logits = std::make_unique<Operand>(arena(Io)); }},
            {"EntryBestCount", "entries[0].best_count is 11, expected at most the 10 of the vocabulary",
             [](Edit &edit) { edit.decode.best_count = 11; }},
            {"EntryBestMissing", "entries[0].best_ids is missing",
             [](Edit &edit) { edit.decode.best_count = 3; }},
            {"EntryBestRange", "entries[0].best_logits: bytes 240 + 12 are outside its 248 bytes",
             [](Edit &edit) {
               edit.decode.best_count = 3;
               edit.decode.best_ids = std::make_unique<Operand>(arena(Io));
               edit.decode.best_logits = std::make_unique<Operand>(arena(Io, 240));
             }},
            {"EntryBestUnasked", "entries[0].best_sums must be absent",
             [](Edit &edit) { edit.decode.best_sums = std::make_unique<Operand>(arena(Io)); }},
            {"EntryAlignment", "entries[0].positions: offset 66 is no multiple of 4",
             [](Edit &edit) { *edit.decode.positions = arena(Io, 66); }},
            {"EntryWeightTokens", "entries[0].tokens: weights cannot be written",
             [](Edit &edit) { *edit.decode.tokens = toy::weight(0); }},
            {"EntryTokensRange", "entries[2].tokens: bytes 224 + 32 are outside its 248 bytes",
             [](Edit &edit) { *edit.plan.entries[Prefill]->tokens = arena(Io, 224); }},
            {"EntryLogitsRange", "entries[3].logits: bytes 132 + 120 are outside its 248 bytes",
             [](Edit &edit) { *edit.plan.entries[Head]->logits = arena(Io, 132); }},
            {"EntryLogitsVocab", "entries[0].logits: bytes 128 + 4294967296 are outside its 248 bytes",
             [](Edit &edit) { edit.plan.model->vocab = 1 << 30; }},
            {"EntryBufferIndex", "entries[0].tokens.index (arena) is 3, expected less than 3",
             [](Edit &edit) { *edit.decode.tokens = Operand(OperandKind::Arena, 3, 0); }},
            {"EntryBufferKind", "entries[0].tokens.kind is 3, which is unknown",
             [](Edit &edit) { *edit.decode.tokens = Operand(OperandKind(3), 0, 0); }},
            {"EntryBufferDevice", "entries[0].tokens is not in the memory of a CPU device",
             [](Edit &edit) {
               addCuda(edit.plan);
               edit.plan.arenas[Io]->device = 1;
             }},
            {"EntryNoPrograms", "entries[0] ('decode_1') has no programs",
             [](Edit &edit) { edit.decode.programs.clear(); }},
            {"ProgramLane", "entries[0].programs[0].lane is 1, expected less than 1",
             [](Edit &edit) { edit.decode.programs[0]->lane = 1; }},
            {"ProgramTwice", "entries[0].programs[1]: a second program for lane 0",
             [](Edit &edit) { edit.decode.programs.push_back(std::make_unique<LaneProgramT>()); }},
            {"CommandNoBody", "entries[0].programs[0].commands[0] has no body",
             [](Edit &edit) { edit.commands[0]->body.Reset(); }},
            {"DispatchKernel", "entries[0].programs[0].commands[0].kernel is 3, expected less than 3",
             [](Edit &edit) { edit.commands[0]->body.AsDispatch()->kernel = 3; }},
            {"DispatchOperands", "entries[0].programs[0].commands[0] has 65 operands, expected at most 64",
             [](Edit &edit) { edit.commands[0]->body.AsDispatch()->operands.resize(65); }},
            {"DispatchOperandKind",
             "entries[0].programs[0].commands[0].operands[1].kind is 9, which is unknown",
             [](Edit &edit) { edit.commands[0]->body.AsDispatch()->operands[1] = Operand(OperandKind(9), 0, 0); }},
            {"DispatchOperandArena",
             "entries[0].programs[0].commands[0].operands[1].index (arena) is 9, expected less than 3",
             [](Edit &edit) {
               edit.commands[0]->body.AsDispatch()->operands[1] = Operand(OperandKind::Arena, 9, 0);
             }},
            {"DispatchOperandWeight",
             "entries[0].programs[0].commands[0].operands[1].index (weight) is 1, expected less than 1",
             [](Edit &edit) { edit.commands[0]->body.AsDispatch()->operands[1] = toy::weight(1); }},
            {"DispatchOperandOffset",
             "entries[0].programs[0].commands[0].operands[2]: offset 256 is outside its 256 bytes",
             [](Edit &edit) { edit.commands[0]->body.AsDispatch()->operands[2] = arena(Cache, 256); }},
            {"DispatchWeightOffset",
             "entries[0].programs[0].commands[1].operands[2]: offset 4 is outside its 4 bytes",
             [](Edit &edit) { edit.commands[1]->body.AsDispatch()->operands[2] = toy::weight(0, 4); }},
            {"SplitBytes", "weights[0] ('bias'): split_bytes is 5, expected at most 4",
             [](Edit &edit) { edit.plan.weights[0]->split_bytes = 5; }},
            {"LayoutNodes", "weight_layout.nodes is 0, expected 1 to 1024",
             [](Edit &edit) {
               edit.plan.weight_layout = std::make_unique<WeightLayoutT>();
               edit.plan.weight_layout->nodes = 0;
             }},
            {"StreamOperand",
             "entries[0].programs[0].commands[1].streams[1].operand is 4, expected less than 4",
             [](Edit &edit) { toy::addStream(*edit.commands[1]->body.AsDispatch(), 4, 1); }},
            {"StreamNoWeight", "entries[0].programs[0].commands[1].streams[1].operand: operand 1 is no weight",
             [](Edit &edit) { toy::addStream(*edit.commands[1]->body.AsDispatch(), 1, 1); }},
            {"HintChoices", "entries[0].programs[0].commands[1].hint: 3 of 2 experts",
             [](Edit &edit) { toy::addHint(*edit.commands[1]->body.AsDispatch(), arena(Cache), 3, 2, 1, 0); }},
            {"HintNone", "entries[0].programs[0].commands[1].hint: 0 of 2 experts",
             [](Edit &edit) { toy::addHint(*edit.commands[1]->body.AsDispatch(), arena(Cache), 0, 2, 1, 0); }},
            {"HintLists", "entries[0].programs[0].commands[1].hint.lists is 4, expected less than 4",
             [](Edit &edit) { toy::addHint(*edit.commands[1]->body.AsDispatch(), arena(Cache), 1, 2, 4, 0); }},
            {"HintListsRange", "entries[0].programs[0].commands[1].hint.lists: bytes 0 + 260 are outside its 256 bytes",
             [](Edit &edit) { toy::addHint(*edit.commands[1]->body.AsDispatch(), arena(Cache), 1, 49, 1, 0); }},
            {"HintListsWeight", "entries[0].programs[0].commands[1].hint.lists: weights cannot be written",
             [](Edit &edit) { toy::addHint(*edit.commands[1]->body.AsDispatch(), arena(Cache), 1, 2, 2, 0); }},
            {"HintNoIds", "entries[0].programs[0].commands[1].hint.ids is missing",
             [](Edit &edit) { toy::addHint(*edit.commands[1]->body.AsDispatch(), ktrt::plan::Operand(), 1, 2, 1, 0); }},
            {"HintIdsRange", "entries[0].programs[0].commands[1].hint.ids: bytes 252 + 8 are outside its 256 bytes",
             [](Edit &edit) { toy::addHint(*edit.commands[1]->body.AsDispatch(), arena(Cache, 252), 2, 2, 1, 0); }},
            {"HintIdsOffset", "entries[0].programs[0].commands[1].hint.ids: offset 2 is no multiple of 4",
             [](Edit &edit) { toy::addHint(*edit.commands[1]->body.AsDispatch(), arena(Cache, 2), 1, 2, 1, 0); }},
            {"HintExperts", "entries[0].programs[0].commands[1].streams[0]: bytes 0 + 8 are outside its 4 bytes",
             [](Edit &edit) { toy::addHint(*edit.commands[1]->body.AsDispatch(), arena(Cache), 1, 3, 1, 4); }},
            {"HintExpertsUnits", "entries[0].programs[0].commands[1].streams[0]: bytes 0 + 8 are outside its 4 bytes",
             [](Edit &edit) { edit.commands[1]->body.AsDispatch()->units = 2; toy::addHint(*edit.commands[1]->body.AsDispatch(), arena(Cache), 1, 1, 1, 4); }},
            {"HintOverflow", "entries[0].programs[0].commands[1].streams[0]: the number of bytes overflows",
             [](Edit &edit) { toy::addHint(*edit.commands[1]->body.AsDispatch(), arena(Cache), 1, 3, 1, ~uint64_t(0)); }},
            {"DispatchDevice",
             "entries[0].programs[0].commands[0].operands[2]: on device 'cuda:0', which lane 'cpu' cannot "
             "reach",
             [](Edit &edit) {
               addCuda(edit.plan);
               edit.plan.arenas[Cache]->device = 1;
             }},
            {"DispatchUnits",
             "entries[0].programs[0].commands[0]: 4294967296 units, expected at most 4294967295",
             [](Edit &edit) { edit.commands[0]->body.AsDispatch()->units = ~0u; }},
            {"CopyNoSource", "entries[0].programs[0].commands[2].source is missing",
             [](Edit &edit) { edit.commands[2]->body.AsCopy()->source.reset(); }},
            {"CopyNoDestination", "entries[0].programs[0].commands[2].destination is missing",
             [](Edit &edit) { *edit.commands[2]->body.AsCopy()->destination = Operand(); }},
            {"CopySource", "entries[0].programs[0].commands[2].source: bytes 93 + 4 are outside its 96 bytes",
             [](Edit &edit) { *edit.commands[2]->body.AsCopy()->source = arena(Activations, 93); }},
            {"CopyDestination",
             "entries[0].programs[0].commands[2].destination: bytes 4 + 94 are outside its 96 bytes",
             [](Edit &edit) {
               edit.commands[2]->body.AsCopy()->bytes = 90;
               *edit.commands[2]->body.AsCopy()->source = arena(Cache);
               *edit.commands[2]->body.AsCopy()->destination = arena(Activations, 4);
             }},
            {"CopyToWeight", "entries[0].programs[0].commands[2].destination: weights cannot be written",
             [](Edit &edit) { *edit.commands[2]->body.AsCopy()->destination = toy::weight(0); }},
            {"CopyOverflow", "entries[0].programs[0].commands[2].source: the number of bytes overflows",
             [](Edit &edit) { edit.commands[2]->body.AsCopy()->bytes = ~uint64_t(0); }},
            {"FillRange",
             "entries[0].programs[0].commands[3].destination: bytes 128 + 140 are outside its 248 bytes",
             [](Edit &edit) { edit.commands[3]->body.AsFill()->bytes = 100; }},
            {"FillOverflow", "entries[2].programs[0].commands[3].destination: the number of bytes overflows",
             [](Edit &edit) { addFillOverflow(edit.plan); }},
            {"SignalIndex", "entries[0].programs[0].commands[5].signal is 0, expected less than 0",
             [](Edit &edit) { add(edit.decode, signal(0, true)); }},
            {"WaitIndex", "entries[0].programs[0].commands[5].signal is 2, expected less than 0",
             [](Edit &edit) { add(edit.decode, toy::wait(2)); }},
            {"SignalTwice", "entries[0].programs[0].commands[6]: signal 0 is raised a second time",
             [](Edit &edit) {
               edit.decode.signals = 1;
               add(edit.decode, signal(0, true));
               add(edit.decode, signal(0, true));
             }},
            {"WaitBeforeSignal",
             "entries[0].programs[0].commands[5] waits for signal 0, which is never raised before",
             [](Edit &edit) {
               edit.decode.signals = 1;
               add(edit.decode, toy::wait(0));
               add(edit.decode, signal(0, true));
             }},
            {"WaitForNobody",
             "entries[0].programs[0].commands[6] waits for signal 0, which is never raised before",
             [](Edit &edit) {
               edit.decode.signals = 2;
               add(edit.decode, signal(1, true));
               add(edit.decode, toy::wait(0));
             }},
            {"LanesWaitForEachOther",
             "entries[0].programs[0].commands[0] waits for signal 1, which is never raised before",
             [](Edit &edit) { deadlock(edit.plan); }},
};

class VerifierTest : public testing::TestWithParam<Case> {};

TEST_P(VerifierTest, Refuses) {
  TemporaryDirectory directory;
  toy::Plan plan;
  Edit edit{plan.plan};
  GetParam().edit(edit);
  std::string path = plan.write(directory.path);
  auto file = PlanFile::open(path);
  ASSERT_FALSE(file);
  std::string expected = path + ": " + GetParam().message;
  EXPECT_EQ(file.error().message.substr(0, expected.size()), expected);
}

INSTANTIATE_TEST_SUITE_P(Branches, VerifierTest, testing::ValuesIn(cases),
                         [](const auto &info) { return std::string(info.param.name); });

TEST(Verifier, AcceptsWhatIsOptional) {
  TemporaryDirectory directory;
  toy::Plan plan;
  plan.plan.tokenizer.reset();
  plan.plan.sampling.reset();
  plan.plan.provenance.reset();
  plan.plan.entries[Decode1]->programs[0]->commands.clear();
  auto file = PlanFile::open(plan.write(directory.path));
  EXPECT_TRUE(file) << file.error().message;
}

} // namespace
