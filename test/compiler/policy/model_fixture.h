// Modules of well-known models, as the importer would collect them, for tests of policies.
#pragma once

#include "compiler/policy/match.h"

#include <string>
#include <vector>

namespace ktc::policy::test {

// Sizes of a mixture-of-experts model. Matrices are Q4_K, routers and norms F32.
struct Shape {
  std::string architecture;
  int layers = 0, denseLayers = 0;
  uint64_t hidden = 0, vocab = 0, denseFfn = 0;
  uint64_t experts = 0, used = 0, expertFfn = 0, sharedFfn = 0;
  uint64_t qWidth = 0, kvWidth = 0; // rows of the attention projections
  std::string block = "mlp";        // Mixtral: block_sparse_moe
  std::string router = "gate";
};

inline Shape deepseekV3() {
  return {"deepseek2", 61, 3, 7168, 129280, 18432, 256, 8, 2048, 2048, 24576, 576, "mlp"};
}
inline Shape qwen3Moe() { return {"qwen3moe", 48, 0, 2048, 151936, 0, 128, 8, 768, 0, 4096, 512, "mlp"}; }
inline Shape mixtral() {
  return {"llama", 32, 0, 4096, 32000, 0, 8, 2, 14336, 0, 4096, 1024, "block_sparse_moe"};
}

inline Shape glm45Air() {
  return {"glm4moe", 46, 1, 4096, 151552, 10944, 128, 8, 1408, 1408, 12288, 1024, "mlp"};
}
inline Shape gptOss() {
  return {"gpt-oss", 36, 0, 2880, 201088, 0, 128, 4, 2880, 0, 4096, 512, "mlp", "router"};
}

class ModelBuilder {
public:
  explicit ModelBuilder(const Shape &shape) : shape(shape) {}

  // The modules in execution order, with the containers of KTransformers rules appended.
  std::vector<ModuleRef> build() {
    add("model.embed_tokens", "embed", -1,
        {{"token_embd.weight", "q4_k", q4(shape.hidden * shape.vocab), q4(shape.hidden)}});
    for (int layer = 0; layer < shape.layers; ++layer)
      addLayer(layer);
    norm("model.norm", -1, "output_norm.weight");
    matrix("lm_head", "lm_head", -1, "output.weight", shape.hidden * shape.vocab);
    addHuggingFaceModules(shape.architecture, modules);
    return modules;
  }

private:
  static uint64_t q4(uint64_t elements) { return elements / 256 * 144; }

  void add(std::string path, std::string op, int layer, std::vector<WeightRef> weights) {
    ModuleRef module;
    module.path = std::move(path);
    module.op = std::move(op);
    module.layer = layer;
    for (const WeightRef &weight : weights)
      module.bytesPerToken += weight.bytesPerToken;
    module.weights = std::move(weights);
    modules.push_back(std::move(module));
  }
  void matrix(const std::string &path, const std::string &op, int layer, const std::string &name,
              uint64_t elements) {
    add(path, op, layer, {{name, "q4_k", q4(elements), q4(elements)}});
  }
  void norm(const std::string &path, int layer, const std::string &name) {
    add(path, "rms_norm", layer, {{name, "f32", shape.hidden * 4, shape.hidden * 4}});
  }

  void addLayer(int layer) {
    std::string path = "model.layers." + std::to_string(layer), blk = "blk." + std::to_string(layer) + ".";
    bool mla = shape.architecture == "deepseek2";
    norm(path + ".input_layernorm", layer, blk + "attn_norm.weight");
    matrix(path + ".self_attn.q_proj", "linear", layer, blk + "attn_q.weight", shape.hidden * shape.qWidth);
    matrix(path + ".self_attn.k_proj", "linear", layer, blk + "attn_k.weight", shape.hidden * shape.kvWidth);
    uint64_t kvB = mla ? q4(512 * 32768) : 0;
    add(path + ".self_attn", mla ? "mla_attention" : "gqa_attention", layer,
        mla ? std::vector<WeightRef>{{blk + "attn_kv_b.weight", "q8_0", kvB, kvB}} : std::vector<WeightRef>{});
    matrix(path + ".self_attn.o_proj", "linear", layer, blk + "attn_output.weight",
           shape.hidden * shape.qWidth);
    add(path, "add", layer, {});
    norm(path + ".post_attention_layernorm", layer, blk + "ffn_norm.weight");
    std::string block = path + "." + shape.block;
    if (layer < shape.denseLayers) {
      ffn(block, layer, blk, "", shape.denseFfn);
    } else {
      uint64_t router = shape.hidden * shape.experts * 4;
      add(block + "." + shape.router, "router", layer, {{blk + "ffn_gate_inp.weight", "f32", router, router}});
      addExperts(block + ".experts", layer, blk);
      if (shape.sharedFfn)
        ffn(block + ".shared_experts", layer, blk, "_shexp", shape.sharedFfn);
    }
    add(path, "add", layer, {});
  }

  void ffn(const std::string &path, int layer, const std::string &blk, const std::string &suffix,
           uint64_t width) {
    uint64_t bytes = q4(shape.hidden * width);
    add(path, "ffn", layer,
        {{blk + "ffn_gate" + suffix + ".weight", "q4_k", bytes, bytes},
         {blk + "ffn_up" + suffix + ".weight", "q4_k", bytes, bytes},
         {blk + "ffn_down" + suffix + ".weight", "q4_k", bytes, bytes}});
  }
  void addExperts(const std::string &path, int layer, const std::string &blk) {
    uint64_t one = q4(shape.hidden * shape.expertFfn), all = one * shape.experts, perToken = one * shape.used;
    uint64_t down = all / 144 * 210, downPerToken = perToken / 144 * 210;
    add(path, "experts", layer,
        {{blk + "ffn_gate_exps.weight", "q4_k", all, perToken},
         {blk + "ffn_up_exps.weight", "q4_k", all, perToken},
         {blk + "ffn_down_exps.weight", "q6_k", down, downPerToken}});
  }

  Shape shape;
  std::vector<ModuleRef> modules;
};

inline std::vector<ModuleRef> modulesOf(const Shape &shape) { return ModelBuilder(shape).build(); }

// A described server: 32 cores, 1 TiB, and `gpus` cards of 24 GiB.
inline Machine serverWith(int gpus) {
  Machine machine;
  machine.measured = true;
  machine.cpu.model = "test cpu";
  machine.cpu.isa = {"avx2", "avx512"};
  machine.cpu.cores = 32;
  machine.cpu.threads = 64;
  machine.cpu.memoryBytes = 1ull << 40;
  machine.cpu.readBandwidth = 250e9;
  machine.cpu.barrierLatency = 2e-6;
  machine.cpu.int8Ops = {{"avx512", 2e13}};
  for (int i = 0; i < gpus; ++i)
    machine.gpus.push_back({"test gpu", 89, 24ull << 30, 900e9, 25e9, 25e9, 1.6e14});
  return machine;
}

// The placement of the operation `op` (any if empty) at `path`; an empty one if there is none.
inline Placement placementAt(const std::vector<ModuleRef> &modules, const PlacementTable &table,
                             const std::string &path, const std::string &op = "") {
  for (size_t m = 0; m < modules.size(); ++m)
    if (modules[m].path == path && !modules[m].op.empty() && (op.empty() || modules[m].op == op))
      return table.placements[m];
  return {};
}

} // namespace ktc::policy::test
