// A small model file and a schedule over it, for tests of plan writing.
#pragma once

#include "compiler/gguf-to-model/reader.h"
#include "compiler/schedule-to-plan/write_plan.h"
#include "runtime/plan/reader.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace ktc::test {

// Numbers of the model: an embedding for `vocab` tokens, and a joint attn_kv_b as older MLA files have it.
namespace toy {
constexpr int64_t width = 32, vocab = 4, heads = 2, nope = 32, value = 64, latent = 96, ropeDims = 8,
                  context = 16;
constexpr int64_t kvRows = heads * (nope + value);
} // namespace toy

// Each test has a folder of its own, and in it model.gguf with random tensors.
class PlanTest : public testing::Test {
protected:
  PlanTest();
  ~PlanTest() override;

  // Text of a whole schedule with the three entries. decode_1 runs `commands` (lines of MLIR on lane @cpu.team,
  // with %x, %y of 256 bytes); `declarations` are further operations of the module.
  std::string schedule(const std::string &declarations = "", const std::string &commands = "") const;

  // `model.weight` line of a tensor of the file.
  std::string weightOp(const std::string &name) const;

  // Parses `text`, generates code and writes the plan to `planPath`.
  kt::Status write(const std::string &text, const PlanOptions &options = {});

  // Opens what write() wrote, with all checks of the runtime; a failure fails the test.
  ktrt::plan::PlanFile read();

  // Floats of a tensor of the model file (F32 tensors).
  std::vector<float> floats(const std::string &name) const;

  // The weight `name` of `plan`, or null, and its bytes if they are in the plan.
  static const ktrt::plan::Weight *findWeight(const ktrt::plan::PlanFile &plan, const std::string &name);
  static const uint8_t *bytesOf(const ktrt::plan::PlanFile &plan, const ktrt::plan::Weight &weight);

  mlir::MLIRContext context;
  std::string messages; // diagnostics
  mlir::ScopedDiagnosticHandler handler;
  std::filesystem::path folder;
  std::string modelPath, planPath;
  GgufModel model;
};

} // namespace ktc::test
