// EntryBuilder: what the lowering of every model operation uses to write one schedule entry.
//
// It owns the insertion point inside the entry, the map from model values to buffers, and the kernel symbols.
// Each quantised form of an activation (q8, q8k) is made once, on first demand, and shared by all its readers.
#pragma once

#include "dialects/schedule/Schedule.h"

#include "mlir/IR/Builders.h"

#include <string>
#include <utility>
#include <vector>

namespace ktc::lower {

// Static shape of an entry.
struct EntryShape {
  int64_t tokens = 1;   // exact count, or capacity if dynamic
  bool dynamic = false; // count read at run time
};

// What the schedule's persistent memory looks like, shared by all entries.
struct Settings {
  bool exact = false;   // matrix kernels never round weights again, at the price of slower prefill
  bool prefetch = true; // matrix kernels prefetch the weights that a thread reads next
  int64_t context = 4096;
  std::string kvType = "bf16";
  // Bytes of `elements` elements of the cache, and how many elements must lie together.
  int64_t kvBytes(int64_t elements) const;
  int64_t kvBlock() const;
};

// The form that a weight's kernels want their activations in (kt_abi.h).
enum class RowKind { F32, Q8, Q8k };

// An activation: float32 rows, one per token, and lazily its quantised rows.
struct Activation {
  mlir::Value rows;              // float32
  int64_t features = 0;          // per token
  mlir::Value gate;              // float32 [tokens]: multiply by sigmoid(gate) when added; null = none
  mlir::Value q8 = {}, q8k = {}; // null until asked for
};

// A kernel parameter.
using Param = std::pair<llvm::StringRef, mlir::Attribute>;

// Work of a dispatch.
struct Units {
  int64_t fixed = 0;
  int64_t perToken = 0;
};

class EntryBuilder {
public:
  EntryBuilder(mlir::ModuleOp module, mlir::OpBuilder builder, EntryShape shape, const Settings &settings,
               mlir::StringRef lane)
      : module(module), builder(builder), shape(shape), settings(settings), lane(lane) {}

  EntryShape getShape() const { return shape; }
  const Settings &getSettings() const { return settings; }
  mlir::OpBuilder &getBuilder() { return builder; }

  // Attributes of parameters.
  mlir::Attribute integer(int64_t value) { return builder.getI64IntegerAttr(value); }
  mlir::Attribute real(double value) { return builder.getF64FloatAttr(value); }
  mlir::Attribute text(llvm::StringRef value) { return builder.getStringAttr(value); }

  // A temporary of `bytesPerToken` bytes for every token of the entry.
  mlir::Value alloc(int64_t bytesPerToken, llvm::StringRef name);
  // A temporary of `bytes` bytes in all.
  mlir::Value allocBytes(int64_t bytes, llvm::StringRef name);
  mlir::Value fixed(llvm::StringRef arena, int64_t offset, int64_t bytes, llvm::StringRef role);
  mlir::Value weight(mlir::FlatSymbolRefAttr symbol);
  mlir::Value weight(llvm::StringRef symbol);
  mlir::Value view(mlir::Value buffer, int64_t byteOffset);
  mlir::Value none();

  // Runs kernel `family` with `params` (m and dynamic are added). `writes` lists written operands.
  void dispatch(llvm::StringRef family, llvm::ArrayRef<Param> params, mlir::ValueRange operands,
                llvm::ArrayRef<int32_t> writes, Units units, llvm::StringRef path, int64_t bytesRead = 0);

  // Model values.
  void bind(mlir::Value value, Activation activation) { activations[value] = activation; }
  Activation &activation(mlir::Value value) { return activations.find(value)->second; }
  // The rows of a model value in the form `kind`; emits the quantize dispatch on first use.
  mlir::Value rows(mlir::Value value, RowKind kind, llvm::StringRef path);
  // Makes q8 or q8k rows of `rowsPerToken` rows of `k` floats that start at `rows` with the given strides
  // (elements).
  mlir::Value quantize(mlir::Value rows, RowKind kind, int64_t rowsPerToken, int64_t k, int64_t tokenStride,
                       int64_t rowStride, llvm::StringRef path);

  // Name of the rope table for `rope`; declares it on first use.
  std::string ropeTable(model::RopeAttr rope);

  // Fixed range of the KV cache arena for `layer`: `part` 0 or 1 (keys, values), `width` elements per position.
  mlir::Value kvCache(int64_t layer, int64_t part, int64_t width);

private:
  sched::KernelOp kernel(llvm::StringRef family, mlir::DictionaryAttr params);

  mlir::ModuleOp module;
  mlir::OpBuilder builder;
  EntryShape shape;
  const Settings &settings;
  std::string lane;
  llvm::DenseMap<mlir::Value, Activation> activations;
};

// Names of the arenas and the lane of the CPU.
inline constexpr llvm::StringLiteral kCpuDevice = "cpu";
inline constexpr llvm::StringLiteral kCpuLane = "cpu.team";
inline constexpr llvm::StringLiteral kActivationArena = "act";
inline constexpr llvm::StringLiteral kKvArena = "kv";
inline constexpr llvm::StringLiteral kIoArena = "io";

// Lowers one operation of the model stage. One function per kind of operation, each in its own file.
mlir::LogicalResult lowerEmbed(model::EmbedOp op, EntryBuilder &entry, mlir::Value tokens);
mlir::LogicalResult lowerRmsNorm(model::RmsNormOp op, EntryBuilder &entry, bool fromRowOffset);
mlir::LogicalResult lowerLinear(model::LinearOp op, EntryBuilder &entry);
mlir::LogicalResult lowerLmHead(model::LmHeadOp op, EntryBuilder &entry, mlir::Value logits);
mlir::LogicalResult lowerGqaAttention(model::GqaAttentionOp op, EntryBuilder &entry, mlir::Value positions);
mlir::LogicalResult lowerMlaAttention(model::MlaAttentionOp op, EntryBuilder &entry, mlir::Value positions);
mlir::LogicalResult lowerRouter(model::RouterOp op, EntryBuilder &entry);
mlir::LogicalResult lowerExperts(model::ExpertsOp op, EntryBuilder &entry);
mlir::LogicalResult lowerFfn(model::FfnOp op, EntryBuilder &entry);
mlir::LogicalResult lowerAdd(model::AddOp op, EntryBuilder &entry);

// One matrix product y = W x per batch (templates/README.md, `linear`), shared by the lowerings above.
struct MatMul {
  mlir::Value x;        // rows in the form that the weight's format asks for
  mlir::Value w;        // first row of the weight
  mlir::Value y;        // float32
  mlir::Value bias;     // may be null
  mlir::Type element;   // weight's element type
  int64_t n = 0, k = 0; // rows and columns of one batch
  int64_t batch = 1;
  int64_t xStride = 0, xBatchStride = 0; // float32 input only
  int64_t yStride = 0, yBatchStride = 0;
};
void emitMatMul(const MatMul &matmul, EntryBuilder &entry, llvm::StringRef path);

// The form of activations that kernels of this weight element type multiply with.
RowKind rowKind(mlir::Type element);
// Lower-case format name of a weight element type ("q4_k", "f16", …).
llvm::StringRef formatName(mlir::Type element);

} // namespace ktc::lower
