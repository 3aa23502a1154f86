// Feed-forward blocks of the importer: dense, and router with routed and shared experts.
#pragma once

#include "compiler/gguf-to-model/model_builder.h"

namespace ktc {

// Widths of dense blocks, one per layer.
std::vector<int64_t> readDenseFfn(ModelBuilder &model);

// y = down(silu(gate x) · up x), as module `mlp`.
mlir::Value denseFfn(ModelBuilder &model, const std::vector<int64_t> &ffn, int64_t layer, mlir::Value x);

// What differs between architectures and is not in the file, or only in newer files.
struct MoeOptions {
  std::string module = "mlp"; // Hugging Face names of the block and of the router in it
  std::string router = "gate";
  std::string gating = "softmax"; // softmax, sigmoid, topk_softmax
  bool norm = false;              // weights divided by their sum
  std::string sharedModule;       // of shared experts; empty: there are none
  std::string act = "silu";       // see model.experts
  bool biases = false;            // the router and every expert's matrices have biases
  bool sharedGate = false;        // the shared expert's result is gated by sigmoid(w · x)
};

// The router's gating by the file's key; `fallback` if the key is missing or 0.
std::string readGating(ModelBuilder &model, const std::string &fallback);

struct MoeParameters {
  MoeOptions options;
  int64_t experts = 0;
  std::vector<int64_t> used, ffn; // per layer: experts per token, features inside an expert
  int64_t groups = 1, groupsUsed = 1;
  double scale = 1;
  int64_t sharedFfn = 0; // 0: no shared experts
};

// Reads the expert keys; `expert_count` must be there. Errors: counts that do not fit each other.
MoeParameters readMoe(ModelBuilder &model, MoeOptions options);

// Router (with the selection bias where the file has one), routed experts, and shared experts added to them.
mlir::Value moe(ModelBuilder &model, const MoeParameters &moe, int64_t layer, mlir::Value x);

} // namespace ktc
