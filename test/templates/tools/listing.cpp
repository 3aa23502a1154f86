// The catalogue of kernels that the listing tests cover.
//
// Shapes are small but take every branch of a generator: rows of a full span and a rest (a K-quant needs two
// blocks for that), a full and a partial unit of rows. The matrix families have one token, four, and a run-time
// count that fills a tile, leaves a rest and, where there is a panel path, needs it.
#include "test/templates/tools/listing.h"

#include "runtime/abi/kt_types.h"

#include <string>
#include <utility>

namespace ktc::listing {

namespace {

using Entry = std::pair<std::string, Params>;

constexpr int64_t rows = 6, experts = 8, topK = 3, dynamicTokens = 17;

Params merge(Params params, const Params &more) {
  params.insert(more.begin(), more.end());
  return params;
}

void addMatrixFamilies(std::vector<Entry> &entries, const KtTypeInfo &format) {
  const std::string name = format.name;
  const Params shape = {{"n", rows}, {"k", int64_t(format.blockElements == 256 ? 512 : 288)}};
  const Params routed = merge(shape, {{"experts", experts}, {"top_k", topK}});
  for (int64_t tokens : {int64_t(1), int64_t(4), dynamicTokens}) {
    const Params count = {{"m", tokens}, {"dynamic", int64_t(tokens == dynamicTokens)}};
    entries.emplace_back("linear", merge(merge(shape, count), {{"format", name}}));
    entries.emplace_back(
        "gate_up", merge(merge(routed, count), {{"format_gate", name}, {"format_up", name}, {"act", "silu"}}));
    entries.emplace_back("down", merge(merge(routed, count), {{"format", name}}));
  }
  entries.emplace_back("embed",
                       Params{{"format", name}, {"vocab", rows}, {"k", shape.at("k")}, {"m", int64_t(1)}});
}

// What the matrix families have besides formats: bias, accumulation, batches, other activations, dense layers.
void addMatrixOptions(std::vector<Entry> &entries) {
  const int64_t one = 1, k = 288;
  const Params linear = {{"format", "q8_0"}, {"n", rows}, {"k", k}, {"m", one}};
  entries.emplace_back("linear", merge(linear, {{"bias", one}}));
  entries.emplace_back("linear", merge(linear, {{"accumulate", one}}));
  entries.emplace_back("linear", merge(linear, {{"batch", int64_t(3)}}));
  entries.emplace_back("linear", merge(linear, {{"prefetch", one}}));
  const Params dense = {{"n", rows}, {"k", k}, {"m", one}, {"experts", one}, {"top_k", one}, {"dense", one}};
  const Params mixed = {{"format_gate", "q4_0"}, {"format_up", "q8_0"}};
  for (const char *act : {"silu", "gelu_tanh", "swiglu_oai"})
    entries.emplace_back("gate_up", merge(merge(dense, mixed), {{"act", act}}));
  for (int64_t tokens : {one, dynamicTokens}) {
    const Params routed = {
        {"n", rows},          {"k", k},        {"m", tokens}, {"dynamic", int64_t(tokens > 1)},
        {"experts", experts}, {"top_k", topK}, {"bias", one}};
    entries.emplace_back(
        "gate_up", merge(routed, {{"format_gate", "mxfp4"}, {"format_up", "mxfp4"}, {"act", "swiglu_oai"}}));
    entries.emplace_back("down", merge(routed, {{"format", "mxfp4"}}));
  }
  const Params many = {{"m", dynamicTokens}, {"dynamic", one}};
  const Params routed = {{"experts", experts}, {"top_k", topK}};
  for (const auto &[format, length] : {std::pair{"q8_0", k}, std::pair{"q4_k", int64_t(512)}}) {
    const Params packed = merge(many, {{"format", format}, {"n", rows}, {"k", length}, {"packed", one}});
    entries.emplace_back("linear", packed);
    entries.emplace_back("down", merge(packed, routed));
    const Params pack = {{"k", length}, {"group", int64_t(length == k ? 32 : 256)}};
    entries.emplace_back("pack", merge(many, pack));
    entries.emplace_back("pack", merge(merge(many, pack), routed));
  }
  entries.emplace_back("down", merge(merge(dense, {{"format", "q8_0"}}), {{"accumulate", one}}));
  entries.emplace_back("down", merge(merge(dense, {{"format", "q8_0"}}), {{"quantize", one}}));
  entries.emplace_back("down", merge({{"format", "q4_k"}, {"k", int64_t(512)}, {"quantize", one}}, dense));
}

// These generators loop over units of work, so the number of tokens changes no code (but that of expert_group).
void addSmallFamilies(std::vector<Entry> &entries) {
  const int64_t one = 1;
  const Params m = {{"m", one}};
  entries.emplace_back("quantize", merge(m, {{"k", int64_t(288)}}));
  entries.emplace_back("quantize", merge(m, {{"k", int64_t(512)}, {"group", int64_t(256)}}));
  entries.emplace_back("rms_norm", merge(m, {{"k", int64_t(288)}, {"eps", 1e-6}}));
  entries.emplace_back("rms_norm", merge(m, {{"k", int64_t(512)}, {"eps", 1e-6}, {"group", int64_t(256)}}));
  entries.emplace_back("rms_norm", merge(m, {{"k", int64_t(90)}, {"eps", 1e-6}, {"row_offset", one}}));
  for (const char *style : {"norm", "neox"})
    entries.emplace_back("rope", merge(m, {{"dims", int64_t(38)}, {"rows", int64_t(3)}, {"style", style}}));
  for (const char *gate : {"none", "sigmoid"})
    entries.emplace_back("add", merge(m, {{"k", int64_t(90)}, {"gate", gate}}));
  const Params router = merge(m, {{"experts", int64_t(24)}, {"top_k", topK}});
  entries.emplace_back("router_topk", merge(router, {{"gating", "softmax"}, {"norm", one}}));
  entries.emplace_back("router_topk", merge(router, {{"gating", "sigmoid"},
                                                     {"bias", one},
                                                     {"norm", one},
                                                     {"scale", 2.5},
                                                     {"groups", int64_t(4)},
                                                     {"groups_used", int64_t(2)}}));
  entries.emplace_back("router_topk", merge(router, {{"gating", "topk_softmax"}}));
  const Params lists = {{"experts", experts}, {"top_k", topK}, {"m", int64_t(4)}};
  for (int64_t dynamic : {0, 1})
    entries.emplace_back("expert_group", merge(lists, {{"dynamic", dynamic}}));
}

void addAttention(std::vector<Entry> &entries) {
  const int64_t one = 1, heads = 4;
  for (const char *type : {"f16", "bf16", "f32"}) {
    const Params cache = {{"m", one}, {"kv_type", type}},
                 scores = merge(cache, {{"heads", heads}, {"scale", 0.125}});
    entries.emplace_back("kv_store", merge(cache, {{"width", int64_t(90)}}));
    entries.emplace_back(
        "attention_gqa",
        merge(scores, {{"kv_heads", int64_t(2)}, {"head_dim", int64_t(72)}, {"v_dim", int64_t(40)}}));
    entries.emplace_back("attention_mla", merge(scores, {{"latent", int64_t(72)}, {"rope", int64_t(24)}}));
  }
  // Both products of the prefill form, quantised caches, and split positions with their merge.
  for (const char *type : {"bf16", "f32", "q8_0"}) {
    const Params cache = {{"m", dynamicTokens}, {"kv_type", type}, {"heads", heads}, {"scale", 0.125}};
    const Params gqa =
        merge(cache, {{"kv_heads", int64_t(2)}, {"head_dim", int64_t(96)}, {"v_dim", int64_t(64)}});
    entries.emplace_back("attention_gqa", merge(gqa, {{"dynamic", one}}));
    entries.emplace_back("attention_gqa", merge(gqa, {{"splits", int64_t(8)}}));
    entries.emplace_back("attention_mla",
                         merge(cache, {{"latent", int64_t(96)}, {"rope", int64_t(32)}, {"dynamic", one}}));
  }
  entries.emplace_back("kv_store", Params{{"m", one}, {"kv_type", "q8_0"}, {"width", int64_t(96)}});
  for (int64_t sinks : {0, 1})
    entries.emplace_back(
        "attention_merge",
        Params{{"m", one}, {"heads", heads}, {"v_dim", int64_t(72)}, {"splits", int64_t(8)}, {"sinks", sinks}});
  const Params windowed = {
      {"heads", heads}, {"head_dim", int64_t(64)}, {"scale", 0.125}, {"window", int64_t(16)}};
  entries.emplace_back("attention_gqa", merge(windowed, {{"m", int64_t(4)}, {"dynamic", one}}));
}

std::vector<Entry> catalogue() {
  std::vector<Entry> entries;
  for (uint32_t id = 0; id < 64; ++id)
    if (const KtTypeInfo *format = ktTypeInfo(id); format && format->supported)
      addMatrixFamilies(entries, *format);
  addMatrixOptions(entries);
  addSmallFamilies(entries);
  addAttention(entries);
  return entries;
}

uint64_t fnv1a(const std::vector<uint8_t> &bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (uint8_t byte : bytes)
    hash = (hash ^ byte) * 0x100000001b3u;
  return hash;
}

} // namespace

bool print(x64::Isa isa, std::FILE *out) {
  for (const auto &[family, params] : catalogue()) {
    auto kernel = x64::generate(family, params, isa);
    if (!kernel) {
      std::fprintf(stderr, "kt-kernel: %s\n", kernel.error().message.c_str());
      return false;
    }
    std::fprintf(out, "%s code=%zu constants=%zu scratch=%zu hash=%016llx\n",
                 kernelName(family, params).c_str(), kernel->codeBytes, kernel->code.size() - kernel->codeBytes,
                 kernel->scratchBytes, static_cast<unsigned long long>(fnv1a(kernel->code)));
    for (size_t i = 0; i < kernel->codeBytes; ++i)
      std::fprintf(out, "0x%02x%c", kernel->code[i], i % 16 == 15 || i + 1 == kernel->codeBytes ? '\n' : ' ');
  }
  return true;
}

} // namespace ktc::listing
