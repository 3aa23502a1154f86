// The compiler's phases and their passes. The only place with pass order.
#pragma once

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Pass/PassManager.h"

#include <cstdint>
#include <string>
#include <vector>

namespace ktc {

// What shapes the schedule.
struct ScheduleOptions {
  int64_t context = 4096;                              // positions of the KV cache
  int64_t chunk = 0;                                   // tokens of a prefill chunk; 0: parts of 2048
  int64_t parts = 0;                                   // of a chunk; 0: two if CPU and GPU take turns
  int64_t headRows = 16;                               // rows of the head entry
  std::vector<int64_t> decodeSizes = {1, 2, 4, 8, 16}; // token counts of decode entries
  std::string kvType = "bf16";                         // of the KV cache: bf16, f16, f32 or q8_0
  bool prefetch = true;                                // weights of the next unit of work, in matrix kernels
  std::string expertHints = "auto"; // guess the experts of the next layer: auto (large ones), on or off
  int64_t deferExperts = 0;         // of a token, added one layer later: changes results
  int64_t memoryNodes = 1;          // of the machine; weights are split over them
};

// Dialects of all stages, for contexts and for ktc-opt.
void registerDialects(mlir::DialectRegistry &registry);

// All passes, and the phases as pipelines `model-to-placed` and `placed-to-schedule`, for ktc-opt.
void registerPasses();

// Model → ready to be placed. The policy is applied after it (applyPolicyToModule, or the pass
// model-apply-policy).
void addPreparePasses(mlir::OpPassManager &passes);

// Placed model → complete, checked schedule.
void addSchedulePasses(mlir::OpPassManager &passes, const ScheduleOptions &options);

} // namespace ktc
