//===- KtDialect.td - quantised element types -----------------------------------------------------------------===//
//
// The `kt` dialect holds what every stage shares: the element types of GGUF tensors. A weight's type is per tensor,
// never per file, so it must be part of the tensor type.
//
//===------------------------------------------------------------------------------------------------------===//
#ifndef KT_DIALECT
#define KT_DIALECT

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/DialectBase.td"
include "mlir/IR/OpBase.td"

def Kt_Dialect : Dialect {
  let name = "kt";
  let summary = "Element types of quantised tensors.";
  let description = [{
    Block-quantised element types, named as GGUF names them: `tensor<2048x7168x!kt.q4_k>` is a matrix of 2048 rows
    of 7168 weights in Q4_K blocks. The last dimension is the contiguous one (GGUF lists dimensions the other way
    round) and must be a multiple of the block's element count. F32, F16 and BF16 tensors use the builtin types.
  }];
  let cppNamespace = "::ktc::quant";
  let useDefaultTypePrinterParser = 0;
  let extraClassDeclaration = [{
    void registerTypes();
    mlir::Type parseType(mlir::DialectAsmParser &parser) const override;
    void printType(mlir::Type type, mlir::DialectAsmPrinter &printer) const override;
  }];
}

def Kt_BlockType : TypeDef<Kt_Dialect, "Block"> {
  let typeName = "kt.block";
  let summary = "An element of a block-quantised tensor";
  let description = [{
    Written by its GGUF name: `!kt.q4_k`, `!kt.q8_0`, `!kt.mxfp4`, … The parameter `id` is the type's number in GGUF files;
    names and block sizes are in `runtime/abi/kt_types.h`.
  }];
  let parameters = (ins "uint32_t":$id);
  let genVerifyDecl = 1;
}

#endif
