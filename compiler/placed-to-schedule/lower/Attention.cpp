// What the lowerings of attention share: see the header.
#include "compiler/placed-to-schedule/lower/Attention.h"
#include "templates/specs.h"

#include "llvm/Support/MathExtras.h"

#include <algorithm>

using namespace mlir;

namespace ktc::lower {

void normHeads(HeadRows rows, int64_t width, FlatSymbolRefAttr weight, double eps, EntryBuilder &entry,
               StringRef path) {
  entry.dispatch("rms_norm",
                 {{"k", entry.integer(width)},
                  {"eps", entry.real(eps)},
                  {"rows", entry.integer(rows.count)},
                  {"x_stride", entry.integer(rows.tokenStride)},
                  {"x_row_stride", entry.integer(rows.rowStride)},
                  {"y_stride", entry.integer(rows.tokenStride)},
                  {"y_row_stride", entry.integer(rows.rowStride)},
                  {"row_offset", entry.integer(0)}},
                 {rows.start, entry.weight(weight), rows.start, entry.none()}, {2}, {0, rows.count}, path,
                 width * 4);
}

void rotateHeads(HeadRows rows, model::RopeAttr rope, Value positions, EntryBuilder &entry, StringRef path) {
  entry.dispatch("rope",
                 {{"dims", entry.integer(rope.getDims())},
                  {"rows", entry.integer(rows.count)},
                  {"x_stride", entry.integer(rows.tokenStride)},
                  {"x_row_stride", entry.integer(rows.rowStride)},
                  {"style", entry.text(rope.getStyle())}},
                 {rows.start, entry.weight(entry.ropeTable(rope)), positions}, {0}, {0, rows.count}, path);
}

void appendToCache(Value x, int64_t width, int64_t xStride, Value cache, int64_t cacheStride, Value positions,
                   EntryBuilder &entry, StringRef path) {
  entry.dispatch("kv_store",
                 {{"width", entry.integer(width)},
                  {"x_stride", entry.integer(xStride)},
                  {"kv_type", entry.text(entry.getSettings().kvType)},
                  {"cache_stride", entry.integer(cacheStride)}},
                 {x, cache, positions}, {1}, {0, 1}, path);
}

LogicalResult checkCacheBlocks(Operation *op, StringRef what, int64_t elements, EntryBuilder &entry) {
  const int64_t block = entry.getSettings().kvBlock();
  if (elements % block == 0)
    return success();
  return op->emitOpError() << "cannot have a KV cache of type " << entry.getSettings().kvType << ": " << what
                           << " must be a multiple of " << block << ", found " << elements;
}

// Heads of multi-head latent attention that a block of a GPU has together, and blocks that fill a large GPU.
static constexpr int64_t kLatentHeads = 16, kGpuBlocks = 132;

// Most splits on the current lane, whose threads (blocks of a GPU) they and the heads should occupy.
static int64_t splitLimit(const AttentionCall &call, EntryBuilder &entry) {
  if (!entry.getLane().isGpu)
    return call.heads <= 32 ? 16 : call.heads <= 64 ? 8 : 4;
  const int64_t groups =
      call.family == "attention_mla" ? llvm::divideCeil(call.heads, kLatentHeads) : call.kvHeads;
  return std::clamp<int64_t>(llvm::PowerOf2Ceil(llvm::divideCeil(kGpuBlocks, groups)), 1, 64);
}

// Most bytes of partial results that one block of a GPU puts together: it reads about 100 GB/s, and a kernel of
// its own for the merge costs two microseconds.
static constexpr int64_t kMergeBytes = 256 * 1024, kMostRows = 64;

// True if the block that ends last merges the splits of its heads.
static bool mergesItself(const AttentionCall &call, int64_t splits, EntryBuilder &entry) {
  const int64_t group = call.heads / (call.family == "attention_mla" ? 1 : call.kvHeads);
  // A block has kLatentHeads heads or more.
  const int64_t blocks = call.heads / group * llvm::divideCeil(group, kLatentHeads);
  return entry.getLane().isGpu && blocks * entry.getShape().tokens <= EntryBuilder::kCounters &&
         std::min<int64_t>(group, kMostRows) * call.valueLength * splits * 4 <= kMergeBytes;
}

// Positions per split: a block of a GPU takes about as long for 128 as the merge of two splits. With a latent
// cache it takes longer, as long as a tile of 64.
static int64_t splitPositions(const AttentionCall &call, EntryBuilder &entry) {
  if (!entry.getLane().isGpu)
    return 256;
  return call.family == "attention_mla" ? 64 : 128;
}

// How many splits the positions of a decoded token have at most: one per splitPositions, enough for the threads
// of a large machine together with the heads, and few where partial results of many heads would need much
// memory.
static int64_t mostSplits(const AttentionCall &call, EntryBuilder &entry) {
  const int64_t limit = splitLimit(call, entry);
  const int64_t context = entry.getSettings().context;
  const int64_t seen = call.window > 0 ? std::min(call.window, context) : context;
  int64_t splits = 1;
  while (splits < limit && splits * splitPositions(call, entry) < seen)
    splits *= 2;
  return entry.getShape().dynamic ? 1 : splits;
}

// Most bytes of partial results that the blocks of a product read in all: they come from the second-level cache
// of the GPU at about 5 TB/s, and a merge of its own takes 2.5 µs.
static constexpr int64_t kUpBytes = 32 << 20;

// Blocks of a product with `n` rows for each head.
static int64_t productBlocks(int64_t heads, int64_t n) {
  return heads * llvm::divideCeil(n, 16 * streamRowTiles(n, heads));
}

bool takesUp(const AttentionCall &call, int64_t n, EntryBuilder &entry) {
  const int64_t splits = mostSplits(call, entry);
  return splits > 1 && call.window == 0 && !call.sinks &&
         productBlocks(call.heads, n) * entry.getShape().tokens * splits * call.valueLength * 4 <= kUpBytes;
}

// The attention proper, whose partial results are returned.
static Value dispatchSplits(AttentionCall &call, int64_t splits, EntryBuilder &entry, StringRef path) {
  Value partials = entry.alloc(call.heads * splits * (call.valueLength + 16) * 4, "attention partials");
  call.params.push_back({"splits", entry.integer(splits)});
  if (entry.getLane().isGpu)
    call.params.push_back({"split_positions", entry.integer(splitPositions(call, entry))});
  if (entry.getLane().isGpu && call.family == "attention_mla")
    call.params.push_back({"context", entry.integer(entry.getSettings().context)});
  entry.dispatch(call.family, call.params,
                 {call.q, call.second, call.third, entry.none(), call.positions, entry.none(), partials}, {6},
                 {0, call.heads * splits}, path);
  return partials;
}

void dispatchAttentionUp(AttentionCall call, const HeadProduct &product, EntryBuilder &entry, StringRef path) {
  const int64_t splits = mostSplits(call, entry);
  Value partials = dispatchSplits(call, splits, entry, path);
  SmallVector<Param> params = {
      {"heads", entry.integer(call.heads)},   {"v_dim", entry.integer(call.valueLength)},
      {"splits", entry.integer(splits)},      {"split_positions", entry.integer(splitPositions(call, entry))},
      {"format", entry.text(product.format)}, {"n", entry.integer(product.n)}};
  if (product.yBf16)
    params.push_back({"y_type", entry.text("bf16")});
  entry.dispatch("attention_up", params, {partials, product.weights, product.y, entry.none(), call.positions},
                 {2}, {0, call.heads}, path, product.bytes);
}

void dispatchAttention(AttentionCall call, EntryBuilder &entry, StringRef path) {
  const int64_t splits = mostSplits(call, entry);
  SmallVector<Value> operands = {call.q, call.second, call.third, call.y, call.positions};
  SmallVector<Param> yType;
  if (call.yBf16)
    yType.push_back({"y_type", entry.text("bf16")});
  if (splits == 1) {
    call.params.append(yType);
    if (call.sinks) {
      call.params.push_back({"sinks", entry.integer(1)});
      operands.push_back(call.sinks);
    }
    entry.dispatch(call.family, call.params, operands, {3},
                   {0, entry.getShape().dynamic ? call.kvHeads : call.heads}, path);
    return;
  }
  const Param positions = {"split_positions", entry.integer(splitPositions(call, entry))};
  if (mergesItself(call, splits, entry)) {
    Value partials = entry.alloc(call.heads * splits * (call.valueLength + 16) * 4, "attention partials");
    call.params.append({{"splits", entry.integer(splits)}, positions});
    call.params.append(yType);
    call.params.push_back({"merge", entry.integer(1)});
    call.params.push_back({"sinks", entry.integer(call.sinks ? 1 : 0)});
    operands.append({call.sinks ? call.sinks : entry.none(), partials, entry.counters()});
    entry.dispatch(call.family, call.params, operands, {3, 6, 7}, {0, call.heads * splits}, path);
    return;
  }
  Value partials = dispatchSplits(call, splits, entry, path);
  SmallVector<Param> merge = {
      {"heads", entry.integer(call.heads)},   {"v_dim", entry.integer(call.valueLength)},
      {"splits", entry.integer(splits)},      {"y_stride", entry.integer(call.heads * call.valueLength)},
      {"window", entry.integer(call.window)}, {"sinks", entry.integer(call.sinks ? 1 : 0)}};
  merge.append(yType);
  if (entry.getLane().isGpu)
    merge.push_back(positions);
  entry.dispatch("attention_merge", merge,
                 {partials, call.y, call.positions, call.sinks ? call.sinks : entry.none()}, {1},
                 {0, call.heads}, path);
}

} // namespace ktc::lower
