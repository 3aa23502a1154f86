// Instances of `attention_gqa`, `attention_mla`, `attention_merge` and `attention_up`: see the kernels. Here
// the shape of a block is chosen: rows, warps and tiles that fit into registers and shared memory.
#include "templates/cuda/linear.h"
#include "templates/cuda/row_families.h"
#include "templates/param_check.h"

#include <algorithm>
#include <optional>

namespace ktc::cuda {
namespace {

// AttentionBlock of attention_tiles.cuh.
struct Block {
  int64_t rows, rowWarps, columnWarps, keys, stages;
  int64_t threads() const { return rowWarps * columnWarps * 32; }
};

// What decides on the block.
struct Problem {
  int64_t keyLength, valueLength;
  bool joined;   // values are the first part of the keys
  int64_t group; // query heads per KV head
  int64_t m, splits, splitPositions;
  bool dynamic, merge;
  int64_t context = 0; // most positions, 0: not known
};

int64_t roundUp(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// AttentionShape::bytes of attention_tiles.cuh.
int64_t sharedBytes(const Problem &problem, const Block &block) {
  const int64_t valuePad = roundUp(problem.valueLength, 16 * block.columnWarps);
  const int64_t keyPad =
      roundUp(problem.joined ? std::max(valuePad, problem.keyLength) : problem.keyLength, 32);
  const int64_t tile = block.keys * (keyPad + 8 + (problem.joined ? 0 : valuePad + 8));
  // Two warps share the keys where each would have only eight.
  const bool shares = block.rows == 16 * block.rowWarps && block.columnWarps % 2 == 0 &&
                      block.keys == 8 * block.columnWarps && keyPad % 64 == 0;
  return 2 * (block.rows * (keyPad + 8) + block.stages * tile + block.rows * (block.keys + 8)) +
         4 * block.columnWarps * block.rows + (shares ? block.threads() * 16 : 0);
}

// Dynamic shared memory that a block may have.
int64_t sharedLimit(Sm sm) {
  if (sm.number == 80)
    return 163 * 1024;
  return sm.number == 90 || sm.number == 100 ? 227 * 1024 : 99 * 1024;
}

// Blocks from the most to the fewest rows. Sums of a warp take rows / 16 * columns / 2 registers of a thread:
// at most 128 for values of 512.
// Few rows are a token or few: all warps share them, and many tiles are on their way at once.
constexpr Block candidates[] = {
    {64, 4, 1, 64, 2}, {64, 4, 2, 64, 2}, {64, 4, 2, 32, 2}, {64, 2, 4, 32, 2}, {32, 2, 2, 64, 2},
    {32, 2, 4, 64, 2}, {32, 2, 4, 32, 2}, {32, 2, 4, 32, 1}, {16, 1, 8, 64, 2}, {16, 1, 4, 64, 4},
    {16, 1, 4, 64, 2}, {16, 1, 4, 32, 2}, {16, 1, 4, 32, 1},
};

Block chooseBlock(const Problem &problem, Sm sm) {
  const int64_t rows = problem.splits > 1 ? problem.group : std::min<int64_t>(problem.group * problem.m, 64);
  for (const Block &block : candidates) {
    const bool smallest = block.rows == 16;
    if (!smallest && block.rows / 2 >= rows)
      continue; // half of them would do
    if (block.columnWarps == 8 && problem.valueLength < 256)
      continue; // too few columns for so many warps
    const int64_t registers = block.rows / block.rowWarps / 16 *
                              roundUp(problem.valueLength, 16 * block.columnWarps) / block.columnWarps / 2;
    // One warp for all columns needs registers for all scores of a row, too.
    if (registers > (block.columnWarps == 1 ? 64 : 128) || sharedBytes(problem, block) > sharedLimit(sm))
      continue;
    // Splits of one tile leave room for the blocks of the kernels behind this one.
    const bool oneTile = problem.context > 0 && problem.context <= problem.splits * block.keys;
    return oneTile ? Block{block.rows, block.rowWarps, block.columnWarps, block.keys, 1} : block;
  }
  throw ParamError("attention of " + std::to_string(problem.keyLength) + " key and " +
                   std::to_string(problem.valueLength) + " value elements does not fit into a block of sm_" +
                   std::to_string(sm.number));
}

// `operands` is the type that knows where things lie.
struct Rest {
  std::string operands;
  KtType type;
  float scale;
  int64_t window;
  bool sinks, bfloatY;
  int64_t kvHeads;
};

Instance makeAttention(const Problem &problem, const Rest &rest, Sm sm) {
  const Block block = chooseBlock(problem, sm);
  const bool split = problem.splits > 1;
  if (split && problem.m > 65535)
    throw ParamError("parameter 'm' must be at most 65535 with splits, found " + std::to_string(problem.m));
  const std::string shape =
      typeName("AttentionBlock", {block.rows, block.rowWarps, block.columnWarps, block.keys, block.stages});
  const std::string body =
      typeName("Attention", {rest.operands, cacheTypeName(rest.type), shape, rest.scale, rest.window,
                             rest.sinks, problem.splits, problem.splitPositions, problem.merge, rest.bfloatY,
                             problem.dynamic, problem.m});
  const uint32_t threads = static_cast<uint32_t>(block.threads());
  const uint32_t shared = static_cast<uint32_t>(sharedBytes(problem, block));
  const std::string source = kernelSource("attention.cuh", body, threads);
  if (split)
    return {source,
            {static_cast<uint32_t>((problem.group + block.rows - 1) / block.rows * rest.kvHeads),
             static_cast<uint32_t>(problem.splits), static_cast<uint32_t>(problem.m), threads, shared}};
  return {source,
          {static_cast<uint32_t>((problem.m * problem.group + block.rows - 1) / block.rows),
           static_cast<uint32_t>(rest.kvHeads), 1, threads, shared}};
}

Instance makeGqa(const Params &params, Sm sm) {
  const AttentionGqaSpec spec = readAttentionGqa(params);
  const int64_t m = optionalInt(params, "m", 1, 1, maxTokensPerReplay);
  const std::string operands =
      typeName("GqaOperands", {spec.heads, spec.kvHeads, spec.headDim, spec.vDim, spec.qStride, spec.yStride});
  return makeAttention({spec.headDim, spec.vDim, false, spec.heads / spec.kvHeads, m, spec.splits,
                        spec.splitPositions, spec.dynamic, spec.merge},
                       {operands, spec.type, spec.scale, spec.window, spec.sinks, spec.bfloatY, spec.kvHeads},
                       sm);
}

Instance makeMla(const Params &params, Sm sm) {
  const AttentionMlaSpec spec = readAttentionMla(params);
  const int64_t m = optionalInt(params, "m", 1, 1, maxTokensPerReplay);
  const std::string operands = typeName(
      "MlaOperands", {spec.heads, spec.latent, spec.rope, spec.qStride, spec.qRowStride, spec.bfloatQ});
  if (spec.bfloatQ && spec.type == KT_TYPE_F16)
    throw ParamError("parameter 'q_type' must be f32 with a cache of f16");
  const bool oneTile = spec.splitPositions % 16 == 0; // splits are of whole 16 positions
  return makeAttention({spec.latent + spec.rope, spec.latent, true, spec.heads, m, spec.splits,
                        spec.splitPositions, spec.dynamic, spec.merge, oneTile ? spec.context : 0},
                       {operands, spec.type, spec.scale, 0, false, spec.bfloatY, 1}, sm);
}

Instance makeMerge(const Params &params, Sm) {
  const AttentionMergeSpec spec = readAttentionMerge(params);
  const int64_t m = optionalInt(params, "m", 1, 1, maxTokensPerReplay);
  const int64_t threads = std::clamp<int64_t>((spec.vDim + 31) / 32 * 32, 32, 256);
  const std::string body =
      typeName("AttentionMerge", {spec.heads, spec.vDim, spec.splits, spec.splitPositions, spec.yStride,
                                  spec.window, spec.sinks, spec.bfloatY, threads, flag(params, "dynamic"), m});
  return {kernelSource("attention_merge.cuh", body, static_cast<uint32_t>(threads)),
          {static_cast<uint32_t>(m * spec.heads), 1, 1, static_cast<uint32_t>(threads), 0}};
}

// Threads that put a head together. So few that, with their registers, the blocks of attention, of this kernel
// and of the next one fit into an SM together; otherwise the next one begins late.
constexpr uint32_t mergeThreads = 128;

Instance makeUp(const Params &params, Sm sm) {
  const AttentionUpSpec spec = readAttentionUp(params);
  LinearSpec product;
  product.matrix.n = spec.n, product.matrix.k = spec.merge.vDim, product.matrix.m = spec.m;
  product.matrix.xBfloat = true, product.matrix.yBfloat = spec.bfloatY;
  product.format = spec.format;
  product.batch = spec.merge.heads, product.wBatchRows = spec.n;
  product.xStride = spec.merge.heads * spec.merge.vDim, product.xBatchStride = spec.merge.vDim;
  product.yStride = spec.yStride, product.yBatchStride = spec.n;
  if (spec.format->id == KT_TYPE_F32)
    throw ParamError("parameter 'format' must not be f32");
  const StreamText stream = streamProduct(product, 0, sm);
  const uint32_t threads = std::max(stream.launch.threads, mergeThreads);
  const std::string body = (TemplateText("AttentionUp")
                            << "kt::" + stream.body << spec.n << spec.merge.vDim << spec.m
                            << layoutText(product) << spec.bfloatY << rowTiles(product) << stream.shape.warps
                            << spec.merge.heads << spec.merge.splits << spec.merge.splitPositions << threads)
                               .str();
  Launch launch = stream.launch;
  launch.threads = threads;
  return {kernelSource("attention_up.cuh", body, threads, threads <= mergeThreads ? 4 : 2), launch};
}

} // namespace

const Family attentionUpFamily = {"attention_up", makeUp};
const Family attentionGqaFamily = {"attention_gqa", makeGqa};
const Family attentionMlaFamily = {"attention_mla", makeMla};
const Family attentionMergeFamily = {"attention_merge", makeMerge};

} // namespace ktc::cuda
