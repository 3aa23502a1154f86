// importModel: chooses the architecture, builds, and verifies. See the header.
#include "compiler/gguf-to-model/import.h"

#include "compiler/gguf-to-model/arch/architectures.h"
#include "compiler/gguf-to-model/cursor.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"

using namespace mlir;

namespace ktc {

static const Architecture *findArchitecture(const std::string &name) {
  for (const Architecture &architecture : supportedArchitectures)
    if (name == architecture.name)
      return &architecture;
  return nullptr;
}

static std::string architectureNames() {
  std::string names;
  for (const Architecture &architecture : supportedArchitectures)
    names += (names.empty() ? "" : ", ") + std::string(architecture.name);
  return names;
}

::kt::Result<ImportedModel> importModel(const GgufModel &model, MLIRContext &context) {
  // The builder's checks name keys and tensors; what only the verifiers notice is reported in their words.
  std::string message;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    if (message.empty())
      message = diagnostic.str();
    return success();
  });
  context.loadDialect<func::FuncDialect, quant::KtDialect, model::ModelDialect>();
  ModelBuilder builder(model, context);
  const Architecture *architecture = findArchitecture(builder.keys.architecture());
  if (!architecture)
    builder.keys.fail("metadata key 'general.architecture': expected one of " + architectureNames() +
                      ", found '" + printable(builder.keys.architecture()) + "'");
  if (!builder.keys.failed())
    builder.begin();
  if (!builder.keys.failed())
    architecture->build(builder);
  ImportedModel result;
  if (!builder.keys.failed())
    result.warnings = builder.checkUnusedTensors();
  if (builder.keys.failed())
    return builder.keys.error();
  result.module = builder.takeModule();
  if (failed(verify(*result.module)))
    return ::kt::Error{model.files()[0].path + ": the model is inconsistent: " + message};
  return result;
}

} // namespace ktc
