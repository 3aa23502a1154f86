// ModelBuilder: what all architectures share when they are built as operations of the model dialect.
//
// Resolves tensors by name and expected shape into `model.weight` symbols, creates operations with their module
// paths, and frames the layers. The first error sticks (ModelKeys): the code that builds runs on with
// placeholder symbols, and importModel discards the module.
#pragma once

#include "compiler/gguf-to-model/model_keys.h"
#include "dialects/model/Model.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringSet.h"

namespace ktc {

// Hyperparameters that every architecture has.
struct CommonParameters {
  int64_t layers = 0;  // that are run; blocks for multi-token prediction follow them in the file
  int64_t width = 0;   // features of the hidden state
  int64_t vocab = 0;   // rows of the token embedding
  int64_t context = 0; // that the model was trained for
  double eps = 0;      // of every RMS norm
};

class ModelBuilder {
public:
  using Layer = llvm::function_ref<mlir::Value(int64_t layer, mlir::Value x)>;

  ModelBuilder(const GgufModel &model, mlir::MLIRContext &context);

  // Reads CommonParameters and creates the empty functions; call once, before anything below.
  void begin();

  // The usual decoder: embedding, then for each layer x += attention(norm(x)), x += feedForward(norm(x)); final
  // norm and head. Fills both functions. `feedForwardNorm` is the name of the second norm's tensor.
  void buildDecoder(Layer attention, Layer feedForward, const std::string &feedForwardNorm = "ffn_norm");

  // Tensors of the file that no operation uses. Those that would change the result are an error instead.
  std::vector<std::string> checkUnusedTensors();

  mlir::OwningOpRef<mlir::ModuleOp> takeModule() { return std::move(module); }

  // A weight of `shape` (contiguous dimension last). Files may state it with other dimensions if the rows are
  // the same and in the same order. Missing, of another shape or of a type without kernels: an error, and a
  // placeholder.
  mlir::FlatSymbolRefAttr weight(const std::string &name, llvm::ArrayRef<int64_t> shape);
  // The same for vectors that kernels read as f32 (norms, biases): any other type is an error.
  mlir::FlatSymbolRefAttr f32Weight(const std::string &name, llvm::ArrayRef<int64_t> shape);
  // Null if the file has no such tensor.
  mlir::FlatSymbolRefAttr optionalF32Weight(const std::string &name, llvm::ArrayRef<int64_t> shape);
  // Marks a tensor as known although no operation reads it.
  void ignoreTensor(const std::string &name) { used.insert(name); }
  bool hasTensor(const std::string &name) const { return model.findTensor(name); }

  // Operations. `path` is the module path, `name` a tensor without ".weight".
  mlir::Value linear(const std::string &path, mlir::Value x, const std::string &name, int64_t outputs);
  mlir::Value rmsNorm(const std::string &path, mlir::Value x, const std::string &name);
  mlir::Value add(const std::string &path, mlir::Value lhs, mlir::Value rhs);
  // Any other operation with one activation of `outputs` features as its result.
  template <typename Op>
  mlir::Value create(const std::string &path, mlir::ValueRange operands, int64_t outputs,
                     llvm::ArrayRef<mlir::NamedAttribute> attributes) {
    return createAny<Op>(path, operands, activation(outputs), attributes).getResult();
  }
  template <typename Op>
  Op createAny(const std::string &path, mlir::ValueRange operands, mlir::TypeRange results,
               llvm::ArrayRef<mlir::NamedAttribute> attributes) {
    llvm::SmallVector<mlir::NamedAttribute> all(attributes);
    // Absent optional weights are null attributes.
    llvm::erase_if(all, [](mlir::NamedAttribute attribute) { return !attribute.getValue(); });
    all.push_back(named("path", builder.getStringAttr(path)));
    return builder.create<Op>(mlir::NameLoc::get(builder.getStringAttr(path)), results, operands, all);
  }

  // Attributes.
  mlir::NamedAttribute named(llvm::StringRef name, mlir::Attribute value) {
    return {builder.getStringAttr(name), value};
  }
  mlir::NamedAttribute integer(llvm::StringRef name, int64_t value) {
    return named(name, builder.getI64IntegerAttr(value));
  }
  mlir::NamedAttribute real(llvm::StringRef name, double value) {
    return named(name, builder.getF64FloatAttr(value));
  }
  mlir::NamedAttribute text(llvm::StringRef name, llvm::StringRef value) {
    return named(name, builder.getStringAttr(value));
  }
  mlir::NamedAttribute flag(llvm::StringRef name, bool value) {
    return named(name, builder.getBoolAttr(value));
  }

  // tensor<?xNxf32>.
  mlir::RankedTensorType activation(int64_t features);
  mlir::Value positions() const { return positionIds; }

  // "blk.3.attn_q" and "model.layers.3.self_attn".
  static std::string tensorName(int64_t layer, const std::string &name);
  static std::string modulePath(int64_t layer, const std::string &name = "");

  ModelKeys keys;
  CommonParameters common;
  mlir::OpBuilder builder;

private:
  mlir::func::FuncOp createFunction(llvm::StringRef name, llvm::ArrayRef<mlir::Type> inputs, mlir::Type result);
  bool checkShape(const GgufTensor &tensor, llvm::ArrayRef<int64_t> shape);
  mlir::FlatSymbolRefAttr placeholder();
  void finish(mlir::func::FuncOp function, mlir::Value result);

  const GgufModel &model;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  mlir::func::FuncOp body, head;
  mlir::Value positionIds;
  llvm::StringSet<> used;     // tensors that are read or known
  llvm::StringSet<> declared; // weights that have their operation
};

} // namespace ktc
