// importModel: from a checked GGUF file to a module of the model dialect.
#pragma once

#include "compiler/gguf-to-model/reader.h"
#include "dialects/model/Model.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>
#include <vector>

namespace ktc {

struct ImportedModel {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::vector<std::string> warnings; // tensors of the file that the model does not use, one sentence each
};

// Builds the module: a `model.weight` for each tensor that is used, and the functions `body` (token ids and
// positions to hidden states) and `head` (hidden states to logits). Loads the dialects it needs into `context`.
//
// Errors name the key or tensor, what was expected and what was found: unsupported architecture, values out of
// range, missing tensors, tensors of another shape than the hyperparameters imply, types without kernels.
::kt::Result<ImportedModel> importModel(const GgufModel &model, mlir::MLIRContext &context);

} // namespace ktc
