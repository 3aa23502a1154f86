// The model dialect: what the network computes. Operations are described in ModelOps.td.
#pragma once

#include "dialects/model/Kt.h"
#include "dialects/model/Real.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "ModelDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "ModelAttributes.h.inc"

#define GET_OP_CLASSES
#include "ModelOps.h.inc"

namespace ktc::model {

// Shapes of values: activations are tensor<?xNxf32>, token ids tensor<?xi32>, chosen experts tensor<?xKxi32>.
bool isActivation(mlir::Type type);
bool isTokenIds(mlir::Type type);
bool isChosenIds(mlir::Type type);

// Features of an activation value (N of tensor<?xNxf32>).
int64_t features(mlir::Value value);

// Type of the weight or derived weight that `ref` names, as seen from `from`; null if there is none.
mlir::RankedTensorType weightType(mlir::Operation *from, mlir::FlatSymbolRefAttr ref);

// Names of module attributes that the importer sets and later stages read.
namespace attr {
inline constexpr llvm::StringLiteral kArchitecture = "model.architecture"; // string
inline constexpr llvm::StringLiteral kName = "model.name";                 // string
inline constexpr llvm::StringLiteral kFiles = "model.files"; // array of paths, index = weight's file
inline constexpr llvm::StringLiteral kTrainedContext = "model.trained_context"; // i64
inline constexpr llvm::StringLiteral kLayers = "model.layers";                  // i64
} // namespace attr

// The two functions of an imported module: body(tokens, positions) -> hidden and head(hidden) -> logits.
inline constexpr llvm::StringLiteral kBodyFunction = "body";
inline constexpr llvm::StringLiteral kHeadFunction = "head";

} // namespace ktc::model
