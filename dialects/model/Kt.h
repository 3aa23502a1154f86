// The kt dialect: element types of quantised tensors, and the queries that every stage asks about weight types.
#pragma once

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"

#include "KtDialect.h.inc"

#define GET_TYPEDEF_CLASSES
#include "KtTypes.h.inc"

namespace ktc::quant {

// Returns the element type for GGUF type id `id`: f32, f16, bf16 or !kt.<name>; null for an id without kernels.
mlir::Type elementTypeFor(mlir::MLIRContext *context, uint32_t id);

// Returns the GGUF type id of an element type made by elementTypeFor; asserts on any other type.
uint32_t typeIdOf(mlir::Type elementType);

// True if `elementType` is one that elementTypeFor makes.
bool isWeightElementType(mlir::Type elementType);

// Bytes of one row (the last dimension) of a weight, and of the whole weight.
uint64_t rowBytes(mlir::RankedTensorType type);
uint64_t tensorBytes(mlir::RankedTensorType type);

} // namespace ktc::quant
