// EntryBuilder: what the lowering of every model operation uses to write one schedule entry.
//
// It owns the insertion point inside the entry, the map from model values to buffers, and the kernel symbols.
// Every operation is lowered on the lane of its placement. Each form of an activation (q8, q8k, bf16, a copy
// for another lane) is made once, on first demand, and shared by all its readers.
#pragma once

#include "compiler/placed-to-schedule/KernelEdit.h"
#include "compiler/placed-to-schedule/lower/Lane.h"

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

// The form that a weight's kernels want their activations in (kt_abi.h). Bf16 is of GPU lanes only, Q8 and Q8k
// of CPU lanes only.
enum class RowKind { F32, Q8, Q8k, Bf16 };

// An activation: rows, one per token, on the lane that makes them, and what was made of them so far.
struct Activation {
  mlir::Value rows;      // float32; null if there are only bf16 rows or nobody has asked a GPU norm for them
  int64_t features = 0;  // per token
  mlir::Value gate = {}; // float32 [tokens]: multiply by sigmoid(gate) when added; null = none
  mlir::Value q8 = {}, q8k = {}; // null until asked for
  mlir::Value bf16 = {};         // null: none, or nobody has asked a GPU norm for them
  sched::DispatchOp norm = {};   // of a GPU lane: makes rows and bf16 on demand
  const Lane *lane = nullptr;    // that makes the rows; bind() fills in the current one
  llvm::SmallVector<std::pair<const Lane *, mlir::Value>, 1> copies = {}; // of rows, for other lanes
  mlir::Value deferred = {}; // of chosen experts, whose rows are lists: the lists of those that are deferred
};

// Rows for a matrix kernel.
struct MatrixRows {
  mlir::Value rows;
  RowKind kind = RowKind::F32;
};

// A kernel parameter.
using Param = std::pair<llvm::StringRef, mlir::Attribute>;

// What the caller of an entry finds after a replay: logits, and where a GPU makes them (null elsewhere) the
// kBestLogits largest of each token in mapped memory, so that the others need not leave the GPU.
struct HeadOutputs {
  mlir::Value logits;
  mlir::Value ids = {}, best = {}, sums = {};
  int64_t count = 0; // of ids and best logits of a token
};
inline constexpr int64_t kBestLogits = 128;

// Work of a dispatch.
struct Units {
  int64_t fixed = 0;
  int64_t perToken = 0;
};

class EntryBuilder {
public:
  // `lanes` are those of the model; the first is that of the host.
  EntryBuilder(mlir::ModuleOp module, mlir::OpBuilder builder, EntryShape shape, const Settings &settings,
               llvm::ArrayRef<Lane> lanes)
      : module(module), builder(builder), kernels(module), shape(shape), settings(settings), lanes(lanes),
        lane(&lanes.front()) {}

  // Where commands go from now on, and where the lanes' buffers lie.
  const Lane &getLane() const { return *lane; }
  void setLane(const Lane &next) { lane = &next; }
  // The lane that `op` is placed on: that of the host for an operation without placement.
  const Lane &laneOf(mlir::Operation *op) const { return lower::laneOf(op, lanes); }

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
  sched::DispatchOp dispatch(llvm::StringRef family, llvm::ArrayRef<Param> params, mlir::ValueRange operands,
                             llvm::ArrayRef<int32_t> writes, Units units, llvm::StringRef path,
                             int64_t bytesRead = 0);

  // Copies bytes of every token on the current lane.
  void copy(mlir::Value from, mlir::Value to, int64_t bytesPerToken);

  // Model values. Bound rows are those of the current lane unless the activation names another.
  void bind(mlir::Value value, Activation activation);
  Activation &activation(mlir::Value value) { return activations.find(value)->second; }
  // The rows of a model value in the form `kind`, F32, Q8 or Q8k, for a reader on the current lane; emits what
  // makes them on first use. A reader on another lane than the rows' reads them in mapped memory if it reads
  // them once, otherwise a copy of them.
  mlir::Value rows(mlir::Value value, RowKind kind, llvm::StringRef path);
  // float32 rows that lie on the current lane's device, which may be overwritten when `value` is not read
  // again.
  mlir::Value ownRows(mlir::Value value);
  // The rows that a kernel for weights of type `element` multiplies with.
  MatrixRows matrixRows(mlir::Value value, mlir::Type element, llvm::StringRef path);
  // True if every reader of `value` is a matrix on the current lane, a GPU's, that takes bf16 rows.
  bool onlyBf16Readers(mlir::Value value) const;
  // What the caller of the entry writes (`tokens` or `positions`, 4 bytes per token), on the current lane's
  // device.
  mlir::Value input(mlir::Value hostInput);
  // Makes q8 or q8k rows of `rowsPerToken` rows of `k` floats that start at `rows` with the given strides
  // (elements).
  mlir::Value quantize(mlir::Value rows, RowKind kind, int64_t rowsPerToken, int64_t k, int64_t tokenStride,
                       int64_t rowStride, llvm::StringRef path);

  // Of the last choices of a token, how many `op`, a router or experts, leaves to the next layer's experts:
  // none in an entry for any number of tokens (model-defer-experts).
  int64_t deferredBy(mlir::Operation *op) const;
  // float32 rows of what a layer's experts have deferred: from that layer to the next.
  void setDeferredSums(mlir::Value rows) { deferredSums = rows; }
  mlir::Value takeDeferredSums() { return std::exchange(deferredSums, {}); }

  // Name of the rope table for `rope`; declares it on first use.
  std::string ropeTable(model::RopeAttr rope);

  // Fixed range of the current lane's KV cache arena for `layer`: `part` 0 or 1 (keys, values), `width`
  // elements per position.
  mlir::Value kvCache(int64_t layer, int64_t part, int64_t width);
  // kCounters numbers of 32 bits of the current lane, a GPU's, that are 0 between kernels. They lie beside the
  // cache because arenas begin as zeros, and nothing else may have those bytes.
  mlir::Value counters();
  static constexpr int64_t kCounters = 4096;

private:
  mlir::Value cacheRange(const std::string &role, int64_t bytes);
  mlir::Value ownRowsOf(Activation &activation);
  mlir::Value copyFor(Activation &activation, const Lane &producer, const Lane &reader);
  mlir::Value normOutput(Activation &activation, unsigned operand, int64_t bytesPerElement,
                         llvm::StringRef name);

  mlir::ModuleOp module;
  mlir::OpBuilder builder;
  KernelEditor kernels;
  EntryShape shape;
  const Settings &settings;
  llvm::ArrayRef<Lane> lanes;
  const Lane *lane;
  llvm::DenseMap<mlir::Value, Activation> activations;
  mlir::Value deferredSums;
  llvm::DenseMap<std::pair<mlir::Value, const Lane *>, mlir::Value> inputs; // copies of what the caller writes
};

// Lowers one operation of the model stage. One function per kind of operation, each in its own file.
mlir::LogicalResult lowerEmbed(model::EmbedOp op, EntryBuilder &entry, mlir::Value tokens);
mlir::LogicalResult lowerRmsNorm(model::RmsNormOp op, EntryBuilder &entry, bool fromRowOffset);
mlir::LogicalResult lowerLinear(model::LinearOp op, EntryBuilder &entry);
mlir::LogicalResult lowerLmHead(model::LmHeadOp op, EntryBuilder &entry, const HeadOutputs &outputs);
mlir::LogicalResult lowerGqaAttention(model::GqaAttentionOp op, EntryBuilder &entry, mlir::Value positions);
mlir::LogicalResult lowerMlaAttention(model::MlaAttentionOp op, EntryBuilder &entry, mlir::Value positions);
mlir::LogicalResult lowerRouter(model::RouterOp op, EntryBuilder &entry);
mlir::LogicalResult lowerExperts(model::ExpertsOp op, EntryBuilder &entry);
mlir::LogicalResult lowerFfn(model::FfnOp op, EntryBuilder &entry);
mlir::LogicalResult lowerAdd(model::AddOp op, EntryBuilder &entry);

// One matrix product y = W x per batch (templates/README.md, `linear`), shared by the lowerings above.
struct MatMul {
  MatrixRows x;  // in a form that the weight's format takes
  mlir::Value w; // first row of the weight
  mlir::Value y; // float32, or bf16 on a GPU lane
  bool yBf16 = false;
  mlir::Value bias;     // may be null
  mlir::Type element;   // weight's element type
  int64_t n = 0, k = 0; // rows and columns of one batch
  int64_t batch = 1;
  int64_t xStride = 0, xBatchStride = 0; // float32 and bf16 input only
  int64_t yStride = 0, yBatchStride = 0;
};
void emitMatMul(const MatMul &matmul, EntryBuilder &entry, llvm::StringRef path);

// Bytes of an element of y on its way to matrix kernels only: 2 (bf16) or 4 (float32).
inline int64_t elementBytes(bool bf16) { return bf16 ? 2 : 4; }

// The form of activations that CPU kernels of this weight element type multiply with.
RowKind rowKind(mlir::Type element);
// Lower-case format name of a weight element type ("q4_k", "f16", …).
llvm::StringRef formatName(mlir::Type element);

} // namespace ktc::lower
