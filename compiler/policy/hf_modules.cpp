// Hugging Face classes of modules per architecture, and the containers between them, for KTransformers rules.
//
// GGUF's `deepseek2` is both DeepSeek-V2 and V3 of Hugging Face; modules then carry the classes of both,
// because rule files are written for one of them.
#include "compiler/policy/match.h"

#include <algorithm>
#include <set>

namespace ktc::policy {
namespace {

struct Family {
  std::string_view prefix; // of all class names
  std::string_view moe;    // the block of router and experts
  std::string_view mlp;    // a feed-forward block
  std::string_view router; // Linear in families where the gate is an ordinary matrix
  std::vector<std::string_view> rotary;
  std::string_view experts = "torch.nn.ModuleList";
};

std::vector<Family> familiesOf(std::string_view architecture, bool hasExperts) {
  if (architecture == "deepseek2")
    return {{"DeepseekV2",
             "DeepseekV2MoE",
             "DeepseekV2MLP",
             "MoEGate",
             {"DeepseekV2RotaryEmbedding", "DeepseekV2YarnRotaryEmbedding"}},
            {"DeepseekV3",
             "DeepseekV3MoE",
             "DeepseekV3MLP",
             "DeepseekV3TopkRouter",
             {"DeepseekV3RotaryEmbedding", "DeepseekV3YarnRotaryEmbedding"}}};
  if (architecture == "qwen2moe")
    return {{"Qwen2Moe", "Qwen2MoeSparseMoeBlock", "Qwen2MoeMLP", "Linear", {"Qwen2MoeRotaryEmbedding"}}};
  // Files for Qwen3 name Qwen2's rotary class too: its own derives from it.
  if (architecture == "qwen3moe")
    return {{"Qwen3Moe",
             "Qwen3MoeSparseMoeBlock",
             "Qwen3MoeMLP",
             "Linear",
             {"Qwen3MoeRotaryEmbedding", "Qwen2MoeRotaryEmbedding"}}};
  if (architecture == "glm4moe")
    return {{"Glm4Moe", "Glm4MoeMoE", "Glm4MoeMLP", "Glm4MoeTopkRouter", {"Glm4MoeRotaryEmbedding"}}};
  if (architecture == "gpt-oss")
    return {{"GptOss", "GptOssMLP", "", "GptOssTopKRouter", {"GptOssRotaryEmbedding"}, "GptOssExperts"}};
  if (architecture == "llama" && hasExperts)
    return {{"Mixtral",
             "MixtralSparseMoeBlock",
             "MixtralBlockSparseTop2MLP",
             "Linear",
             {"MixtralRotaryEmbedding"}}};
  if (architecture == "llama")
    return {{"Llama", "", "LlamaMLP", "", {"LlamaRotaryEmbedding"}}};
  return {};
}

class TreeBuilder {
public:
  TreeBuilder(std::string_view architecture, std::vector<ModuleRef> &modules) : modules(modules) {
    bool experts =
        std::any_of(modules.begin(), modules.end(), [](const ModuleRef &m) { return m.op == "experts"; });
    families = familiesOf(architecture, experts);
  }

  void build() {
    std::set<std::string> known; // containers, which may have the path of an operation too
    for (ModuleRef &module : modules)
      if (module.hfClasses.empty())
        module.hfClasses = classesOf(module.op);
    size_t operations = modules.size();
    for (size_t m = 0; m < operations; ++m) {
      bool experts = modules[m].op == "experts";
      std::string path = modules[m].path, child;
      int layer = modules[m].layer;
      while (size_t dot = path.rfind('.') + 1) {
        child = path.substr(dot);
        path.resize(dot - 1);
        addContainer(path, child, layer, experts, known);
        experts = false;
      }
    }
    for (size_t m = 0; m < operations; ++m)
      if (modules[m].op == "mla_attention" || modules[m].op == "gqa_attention")
        addRotary(modules[m].path, modules[m].layer, known);
  }

private:
  std::vector<std::string> named(std::string_view suffix) const {
    std::vector<std::string> names;
    for (const Family &family : families)
      names.push_back(std::string(family.prefix) + std::string(suffix));
    return names;
  }

  std::vector<std::string> classesOf(const std::string &op) const {
    std::vector<std::string> names;
    if (op == "linear" || op == "lm_head")
      return {"torch.nn.Linear"};
    if (op == "embed")
      return {"torch.nn.Embedding"};
    if (op == "rms_norm")
      return named("RMSNorm");
    if (op == "mla_attention" || op == "gqa_attention")
      return named("Attention");
    for (const Family &family : families)
      if (op == "router")
        names.emplace_back(family.router == "Linear" ? "torch.nn.Linear" : family.router);
      else if (op == "ffn")
        names.emplace_back(family.mlp);
      else if (op == "experts" && (names.empty() || names.back() != family.experts))
        names.emplace_back(family.experts);
    if (op == "experts" && names.empty())
      names = {"torch.nn.ModuleList"};
    return names;
  }

  // A module that holds others: the block of router and experts, a layer, the layers, the model.
  void addContainer(const std::string &path, const std::string &child, int layer, bool holdsExperts,
                    std::set<std::string> &known) {
    std::vector<std::string> classes;
    bool isNumber = path.find_last_not_of("0123456789") != std::string::npos &&
                    path[path.find_last_not_of("0123456789")] == '.' && path.back() != '.';
    if (holdsExperts)
      for (const Family &family : families)
        classes.emplace_back(family.moe);
    else if (path == "model")
      classes = named("Model");
    else if (isNumber)
      classes = named("DecoderLayer");
    else if (!child.empty() && child.find_first_not_of("0123456789") == std::string::npos)
      classes = {"torch.nn.ModuleList"};
    // Several children name the same container; only the experts know that it is a MoE block.
    if (!known.insert(path + (holdsExperts ? "#moe" : "")).second)
      return;
    ModuleRef container;
    container.path = path;
    container.layer = path.find("layers.") == std::string::npos ? -1 : layer;
    container.hfClasses = std::move(classes);
    modules.push_back(std::move(container));
  }

  void addRotary(const std::string &attention, int layer, std::set<std::string> &known) {
    ModuleRef rotary;
    rotary.path = attention + ".rotary_emb";
    rotary.layer = layer;
    if (!known.insert(rotary.path).second)
      return;
    for (const Family &family : families)
      rotary.hfClasses.insert(rotary.hfClasses.end(), family.rotary.begin(), family.rotary.end());
    modules.push_back(std::move(rotary));
  }

  std::vector<ModuleRef> &modules;
  std::vector<Family> families;
};

} // namespace

void addHuggingFaceModules(std::string_view architecture, std::vector<ModuleRef> &modules) {
  TreeBuilder(architecture, modules).build();
}

} // namespace ktc::policy
