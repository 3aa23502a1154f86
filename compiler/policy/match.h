// Applies a policy to the modules of a model. Independent of MLIR: the caller collects ModuleRefs from its
// operations and copies the placements back.
#pragma once

#include "compiler/policy/machine.h"
#include "compiler/policy/policy.h"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace ktc::policy {

// A tensor that a module reads.
struct WeightRef {
  std::string name;   // in the GGUF file
  std::string format; // q4_k, f32, …
  uint64_t bytes = 0;
  uint64_t bytesPerToken =
      0; // read for one decoded token: all of it, one row, or the share of the chosen experts
};

// One operation of the model, or (op empty) a container that only KTransformers rules look at.
struct ModuleRef {
  std::string path;                   // model.layers.3.mlp.experts
  std::string op;                     // model operation: experts, linear, …
  int layer = -1;                     // -1: in no layer
  std::vector<std::string> hfClasses; // dotted or plain; rules match the last component
  std::vector<WeightRef> weights;
  uint64_t bytesPerToken = 0; // of all weights

  uint64_t bytes() const;
  std::string formats() const; // "q4_k+q6_k": different formats in order of appearance, f32 vectors left out
};

// Fills `hfClasses` of modules that have none, and appends the containers of the Hugging Face module tree
// (layers, attention and MLP blocks, rotary embeddings) with their classes, for one architecture (deepseek2,
// qwen2moe, qwen3moe, llama). Needed for KTransformers rules that match on classes; harmless otherwise.
void addHuggingFaceModules(std::string_view architecture, std::vector<ModuleRef> &modules);

struct Placement {
  std::string device; // for decode: cpu or cuda:N
  std::string prefillDevice;
  int rule = -1;            // index into Policy::rules; -1: the default
  std::string ruleLocation; // `deepseek.yaml:12`, or the name of the built-in policy
};

struct DeviceUse {
  std::string device;
  uint64_t bytes = 0;  // of weights; a weight that several modules of the device share counts once
  uint64_t budget = 0; // from the policy, else the device's memory; 0: unknown
  bool explicitBudget = false;
};

struct PlacementTable {
  std::vector<Placement> placements; // parallel to the modules
  std::vector<DeviceUse> devices;    // cpu first, then GPUs; every device that is used or has a budget
};

// Places every module. Warns about rules that match nothing or only what earlier rules took, and about devices
// the machine does not have. Fails, after adding errors, if a regular expression exceeds its limits or a budget
// is exceeded (the error lists what takes it, largest first).
kt::Result<PlacementTable> applyPolicy(const Policy &policy, std::span<const ModuleRef> modules,
                                       const Machine &machine, Diagnostics &diagnostics);

// The path with its layer number replaced by `{}`: what groups modules of different layers.
std::string pathPattern(const ModuleRef &module);

} // namespace ktc::policy
