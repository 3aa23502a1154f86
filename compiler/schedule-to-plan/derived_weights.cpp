// The two halves of an older MLA file's joint projection, head by head:
//
//   attn_kv_b [heads · (nope + v), latent]     mla_k_b: rows 0..nope of a head, transposed to [latent, nope]
//                                              mla_v_b: the v rows behind them, as they are
#include "compiler/schedule-to-plan/derived_weights.h"

#include "compiler/schedule-to-plan/quantize_rows.h"
#include "templates/reference/reference.h"

#include "mlir/IR/Threading.h"

#include <mutex>
#include <optional>
#include <vector>

using namespace mlir;

namespace ktc {

namespace {

// Everything about one split, in elements unless it says bytes.
struct Split {
  std::string name;
  bool isKey = false;
  uint32_t sourceFile = 0;
  uint64_t sourceOffset = 0; // bytes
  uint32_t sourceType = 0, type = 0;
  uint64_t heads = 0, rows = 0, latent = 0;   // rows: of the wanted part of one head, in the source
  uint64_t firstRow = 0, headRows = 0;        // where that part begins in a head, and rows of a whole head
  uint64_t sourceRowBytes = 0, headBytes = 0; // headBytes: of one head of the result

  // Computes head `head` into `result`.
  kt::Status run(uint64_t head, ModelFiles &files, uint8_t *result) const;
};

kt::Status Split::run(uint64_t head, ModelFiles &files, uint8_t *result) const {
  std::vector<uint8_t> bytes(rows * sourceRowBytes);
  uint64_t offset = sourceOffset + (head * headRows + firstRow) * sourceRowBytes;
  bool isCopy = !isKey && type == sourceType;
  if (kt::Status status = files.read(sourceFile, offset, isCopy ? result : bytes.data(), bytes.size());
      !status || isCopy)
    return status;
  std::vector<float> values(rows * latent);
  reference::dequantize(sourceType, bytes.data(), values.data(), values.size());
  if (!isKey) {
    quantizeRow(type, values.data(), result, values.size());
    return {};
  }
  std::vector<float> transposed(rows * latent);
  for (uint64_t r = 0; r < rows; ++r)
    for (uint64_t l = 0; l < latent; ++l)
      transposed[l * rows + r] = values[r * latent + l];
  quantizeRow(type, transposed.data(), result, transposed.size());
  return {};
}

kt::Result<Split> makeSplit(ModuleOp module, model::DerivedWeightOp op, const ModelFiles &files) {
  Split split;
  split.name = "derived weight '" + op.getSymName().str() + "'";
  split.isKey = op.getTransform() == "mla_k_b";
  auto source = module.lookupSymbol<model::WeightOp>(op.getSource());
  if (!source)
    return kt::Error{split.name + ": its source '" + op.getSource().str() + "' is no tensor of the model"};
  auto from = cast<RankedTensorType>(source.getType());
  auto to = cast<RankedTensorType>(op.getType());
  // The operation's verifier has compared ranks, latent sizes and divisibility by heads.
  split.heads = static_cast<uint64_t>(to.getDimSize(0));
  split.rows = static_cast<uint64_t>(to.getDimSize(split.isKey ? 2 : 1));
  split.latent = static_cast<uint64_t>(from.getDimSize(1));
  split.headRows = static_cast<uint64_t>(from.getDimSize(0)) / split.heads;
  if (split.rows >= split.headRows)
    return kt::Error{split.name + ": takes " + std::to_string(split.rows) + " rows of a head, but '" +
                     op.getSource().str() + "' has " + std::to_string(split.headRows) + " for keys and values"};
  split.firstRow = split.isKey ? 0 : split.headRows - split.rows;
  split.sourceType = quant::typeIdOf(from.getElementType());
  split.type = quant::typeIdOf(to.getElementType());
  if (!canQuantize(split.type) && (split.isKey || split.type != split.sourceType))
    return kt::Error{split.name + ": expected type f32, f16, bf16 or q8_0, found " +
                     std::string(ktTypeInfo(split.type)->name)};
  split.sourceRowBytes = quant::rowBytes(from);
  split.headBytes = quant::tensorBytes(to) / split.heads;
  split.sourceFile = source.getFile();
  split.sourceOffset = source.getOffset();
  kt::Status range =
      files.checkRange(split.sourceFile, split.sourceOffset, source.getBytes(), op.getSource().str());
  if (!range)
    return range.error();
  return split;
}

} // namespace

kt::Status appendDerivedWeight(ModuleOp module, model::DerivedWeightOp op, ModelFiles &files,
                               SpoolFile &spool) {
  kt::Result<Split> split = makeSplit(module, op, files);
  if (!split)
    return split.error();
  if (kt::Result<int> opened = files.descriptor(split->sourceFile); !opened)
    return opened.error();
  std::vector<uint8_t> result(split->heads * split->headBytes);
  std::mutex mutex;
  kt::Status first;
  parallelFor(module.getContext(), 0, split->heads, [&](size_t head) {
    kt::Status status = split->run(head, files, result.data() + head * split->headBytes);
    std::lock_guard lock(mutex);
    if (!status && first)
      first = status;
  });
  if (!first)
    return first;
  return spool.append(result.data(), result.size());
}

} // namespace ktc
