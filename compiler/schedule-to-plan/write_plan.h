// writePlan: from a scheduled module, its machine code and its GGUF model to a plan file.
//
// The schedule says everything about programs and memory; this stage adds bytes (weights, tables that the
// compiler computes, code) and what the runtime needs beside the network (tokenizer, chat template, sampling
// defaults).
#pragma once

#include "compiler/gguf-to-model/reader.h"
#include "compiler/policy/cost.h"
#include "compiler/schedule-to-kernels/code_image.h"
#include "runtime/abi/result.hpp"
#include "runtime/plan/writer.h"

#include <string>
#include <vector>

namespace ktc {

// Where a plan keeps the tensors of the GGUF file: as offsets into it, or copied into the plan.
enum class WeightStorage { Auto, Link, Pack };

// WeightStorage::Auto packs models whose tensors take less than this many bytes.
constexpr uint64_t autoPackLimit = 256ull << 20;

struct PlanOptions {
  WeightStorage weights = WeightStorage::Auto;
  // Positions of the KV cache; 0: taken from the schedule's rope tables.
  uint64_t context = 0;
  // How weights should lie in memory (`WeightLayout` of plan.fbs).
  uint32_t memoryNodes = 1;
  bool hugePages = false;
  // How the plan was made (`Provenance` of plan.fbs), stored as given.
  std::string compiler, options, policyName, policy, machine, placement;
  double predictedDecode = 0, predictedPrefill = 0; // tokens/s
  std::vector<policy::PredictedStep> predictedSteps;
  double predictedReadBandwidth = 0; // bytes/s, see policy::Prediction
  std::vector<std::string> transforms;
};

// Writes the plan of `module` to `path`, beside it first and renamed when complete; on failure nothing new is
// left.
//
// `module` is a verified schedule with planned memory, `image` holds all its kernels, and `model` is the model
// that the module's weights point into. Linked files are named relative to the plan's folder if the model was
// opened by a relative path, else by their absolute path. Weights stream from file to file; what is computed
// (derived weights, rope tables) is spooled to an unnamed temporary file in the plan's folder, so that memory
// stays small.
//
// The program is checked with the runtime's own verifier before anything is written.
kt::Status writePlan(mlir::ModuleOp module, const CodeImage &image, const GgufModel &model,
                     const PlanOptions &options, const std::string &path,
                     const ktrt::plan::WriteProgress &progress = {});

} // namespace ktc
