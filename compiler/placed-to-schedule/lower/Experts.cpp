// Lowering of router, routed experts and dense feed-forward blocks: gate+up+activation, then down with the
// weighted sum.
#include "compiler/placed-to-schedule/lower/EntryBuilder.h"

#include "dialects/model/Transforms.h"
#include "runtime/abi/kt_abi.h"

#include <algorithm>

using namespace mlir;

namespace ktc::lower {

// Most tokens whose expert lists a GPU's router_topk makes itself (templates/cuda).
static constexpr int64_t kMostListTokens = 16;

LogicalResult lowerRouter(model::RouterOp op, EntryBuilder &entry) {
  int64_t experts = op.getExperts(), topK = op.getTopK();
  StringRef path = op.getPath();
  RankedTensorType type = model::weightType(op, op.getWeightAttr());
  MatMul mm;
  mm.element = type.getElementType();
  mm.n = experts;
  mm.k = type.getDimSize(1);
  mm.x = entry.matrixRows(op.getX(), mm.element, path);
  mm.xStride = mm.k;
  mm.w = entry.weight(op.getWeightAttr());
  mm.bias = op.getLogitBiasAttr() ? entry.weight(op.getLogitBiasAttr()) : Value();
  mm.y = entry.alloc(experts * 4, "router logits");
  mm.yStride = experts;
  emitMatMul(mm, entry, path);

  Value ids = entry.alloc(topK * 4, "expert ids"), weights = entry.alloc(topK * 4, "expert weights");
  const int64_t slots = entry.getShape().tokens * topK;
  auto allocLists = [&] {
    return entry.allocBytes(static_cast<int64_t>(ktExpertListBytes(experts, slots)), "expert lists");
  };
  SmallVector<Param> params = {
      {"experts", entry.integer(experts)},       {"top_k", entry.integer(topK)},
      {"gating", entry.text(op.getGating())},    {"bias", entry.integer(op.getBiasAttr() ? 1 : 0)},
      {"norm", entry.integer(op.getNorm())},     {"scale", entry.real(op.getScale().convertToDouble())},
      {"groups", entry.integer(op.getGroups())}, {"groups_used", entry.integer(op.getGroupsUsed())}};
  SmallVector<Value> operands = {mm.y, op.getBiasAttr() ? entry.weight(op.getBiasAttr()) : entry.none(), ids,
                                 weights};
  SmallVector<int32_t> writes = {2, 3};
  // For the few tokens of a decode entry a GPU makes the lists in the same kernel.
  Value lists, deferredLists;
  const int64_t deferred = entry.deferredBy(op);
  if (entry.getLane().isGpu && !entry.getShape().dynamic && entry.getShape().tokens <= kMostListTokens) {
    params.push_back({"lists", entry.integer(1)});
    operands.push_back(lists = allocLists());
    writes.push_back(4);
    if (deferred > 0) {
      params.push_back({"defer", entry.integer(deferred)});
      operands.push_back(deferredLists = allocLists());
      writes.push_back(5);
    }
  }
  entry.dispatch("router_topk", params, operands, writes, {0, 1}, path, op.getBiasAttr() ? experts * 4 : 0);
  // The lists of `count` choices of every token from `first` on.
  auto group = [&](int64_t first, int64_t count) {
    Value result = allocLists();
    SmallVector<Param> choices = {{"experts", entry.integer(experts)}, {"top_k", entry.integer(topK)}};
    if (count < topK)
      choices.append({{"first", entry.integer(first)}, {"count", entry.integer(count)}});
    entry.dispatch("expert_group", choices, {ids, result}, {1}, {1, 0}, path);
    return result;
  };
  if (!lists) {
    lists = group(0, topK - deferred);
    if (deferred > 0)
      deferredLists = group(topK - deferred, deferred);
  }
  entry.bind(op.getIds(), {lists, topK});
  entry.activation(op.getIds()).deferred = deferredLists;
  entry.bind(op.getWeights(), {weights, topK});
  return success();
}

namespace {

// A feed-forward block: routed experts (with lists and weights) or one dense block.
struct FeedForward {
  Value x;              // model value
  Value gate, up, down; // addresses of the first rows
  RankedTensorType gateType, upType, downType;
  int64_t width = 0, ffn = 0; // features in and out, inner features
  int64_t experts = 1, topK = 1;
  int64_t choices = 1; // of the topK of a token: those in the lists
  Value onto;          // rows that the result is added to; null: rows of its own
  int64_t gateExpertRows = 0, upExpertRows = 0;
  Value lists, weights;             // null: dense
  Value gateBias, upBias, downBias; // null: none
  StringRef act, path;
};

} // namespace

static int64_t rowsBytes(RankedTensorType type, int64_t rows) {
  return rows * static_cast<int64_t>(quant::rowBytes(type));
}

static int64_t rowGroups(int64_t rows) { return (rows + KT_ROWS_PER_UNIT - 1) / KT_ROWS_PER_UNIT; }

// True if the inner features h are bf16 rows: on a GPU, for a down matrix that multiplies them as such.
static bool takesBf16Inner(const FeedForward &ff, EntryBuilder &entry) {
  return entry.getLane().isGpu && quant::typeIdOf(ff.downType.getElementType()) != KT_TYPE_F32;
}

// h [slots][ffn] = act(gate x) * (up x).
static Value emitGateUp(const FeedForward &ff, Value none, EntryBuilder &entry) {
  const bool dense = !ff.lists, isGpu = entry.getLane().isGpu;
  int64_t active = std::min(ff.experts, ff.choices * entry.getShape().tokens);
  Type gate = ff.gateType.getElementType(), up = ff.upType.getElementType();
  // The forms of x that gate or up want.
  auto input = [&](RowKind kind) {
    return !isGpu && (rowKind(gate) == kind || rowKind(up) == kind) ? entry.rows(ff.x, kind, ff.path) : none;
  };
  Value rows = input(RowKind::F32), q8 = input(RowKind::Q8), q8k = input(RowKind::Q8k);
  bool isBf16 = false;
  if (isGpu) {
    // Both read the same rows, so a matrix of float32 decides.
    MatrixRows x = entry.matrixRows(ff.x, quant::typeIdOf(gate) == KT_TYPE_F32 ? gate : up, ff.path);
    rows = x.rows;
    isBf16 = x.kind == RowKind::Bf16;
  }
  Value lists = dense ? none : ff.lists;

  const bool hBf16 = takesBf16Inner(ff, entry);
  Value h = entry.alloc(ff.topK * ff.ffn * elementBytes(hBf16), "gate up");
  SmallVector<Param> params = {{"format_gate", entry.text(formatName(gate))},
                               {"format_up", entry.text(formatName(up))},
                               {"n", entry.integer(ff.ffn)},
                               {"k", entry.integer(ff.width)},
                               {"experts", entry.integer(ff.experts)},
                               {"top_k", entry.integer(ff.topK)},
                               {"dense", entry.integer(dense)},
                               {"act", entry.text(ff.act)},
                               {"x_stride", entry.integer(ff.width)},
                               {"gate_expert_rows", entry.integer(ff.gateExpertRows)},
                               {"up_expert_rows", entry.integer(ff.upExpertRows)}};
  if (isGpu) {
    params.push_back({"x_type", entry.text(isBf16 ? "bf16" : "f32")});
    params.push_back({"y_type", entry.text(hBf16 ? "bf16" : "f32")});
  } else {
    params.push_back({"prefetch", entry.integer(entry.getSettings().prefetch)});
  }
  if (entry.getSettings().exact && (q8 != none || q8k != none))
    params.push_back({"exact", entry.integer(1)});
  if (ff.choices < ff.topK)
    params.push_back({"choices", entry.integer(ff.choices)});
  SmallVector<Value> operands = {rows, q8, ff.gate, ff.up, h, lists, q8k};
  int64_t bytes = rowsBytes(ff.gateType, ff.ffn) + rowsBytes(ff.upType, ff.ffn);
  if (ff.gateBias) {
    params.push_back({"bias", entry.integer(1)});
    operands.append({ff.gateBias, ff.upBias});
    bytes += 2 * ff.ffn * 4;
  }
  // Many tokens: experts differ in their tokens, and each should be packed by few threads.
  Units units = {rowGroups(ff.ffn), 0};
  if (!dense && !isGpu && entry.getShape().dynamic) {
    params.push_back({"by_cost", entry.integer(1)});
    units.fixed = KT_SHARES;
  }
  entry.dispatch("gate_up", params, operands, {4}, units, ff.path, active * bytes);
  return h;
}

// Weighted sums of the down matrices times h [slots][ffn]: float32 rows.
static Value emitDown(const FeedForward &ff, Value h, Value none, EntryBuilder &entry) {
  bool dense = !ff.lists;
  int64_t active = std::min(ff.experts, ff.choices * entry.getShape().tokens);
  Type down = ff.downType.getElementType();

  RowKind kind = rowKind(down);
  bool downF32 = kind == RowKind::F32;
  Value quantized =
      downF32 ? none : entry.quantize(h, kind, ff.topK, ff.ffn, ff.topK * ff.ffn, ff.ffn, ff.path);
  Value y = ff.onto ? ff.onto : entry.alloc(ff.width * 4, "ffn");
  SmallVector<Param> params = {{"format", entry.text(formatName(down))},
                               {"n", entry.integer(ff.width)},
                               {"k", entry.integer(ff.ffn)},
                               {"experts", entry.integer(ff.experts)},
                               {"top_k", entry.integer(ff.topK)},
                               {"dense", entry.integer(dense)},
                               {"accumulate", entry.integer(ff.onto ? 1 : 0)},
                               {"y_stride", entry.integer(ff.width)},
                               {"prefetch", entry.integer(entry.getSettings().prefetch)}};
  if (entry.getSettings().exact && !downF32)
    params.push_back({"exact", entry.integer(1)});
  if (ff.choices < ff.topK)
    params.push_back({"choices", entry.integer(ff.choices)});
  SmallVector<Value> operands = {downF32 ? h : none,       quantized, ff.down, y, dense ? none : ff.lists,
                                 dense ? none : ff.weights};
  int64_t bytes = rowsBytes(ff.downType, ff.width);
  if (ff.downBias) {
    params.push_back({"bias", entry.integer(1)});
    operands.push_back(ff.downBias);
    bytes += ff.width * 4;
  }
  entry.dispatch("down", params, operands, {3}, {rowGroups(ff.width), 0}, ff.path, active * bytes);
  return y;
}

// `down` on a GPU lane: a plain product for a dense block, one kernel for the few slots of a decode entry, and
// for many slots one that multiplies and one that adds up.
static Value emitDownOnGpu(const FeedForward &ff, Value h, Value none, EntryBuilder &entry) {
  const bool hBf16 = takesBf16Inner(ff, entry);
  Type down = ff.downType.getElementType();
  if (!ff.lists) {
    MatMul mm;
    mm.x = {h, hBf16 ? RowKind::Bf16 : RowKind::F32};
    mm.w = ff.down;
    mm.y = entry.alloc(ff.width * 4, "ffn");
    mm.element = down;
    mm.n = mm.yStride = ff.width;
    mm.k = mm.xStride = ff.ffn;
    emitMatMul(mm, entry, ff.path);
    return mm.y;
  }
  const bool many = entry.getShape().dynamic;
  const int64_t active = std::min(ff.experts, ff.topK * entry.getShape().tokens);
  Value y = entry.alloc(ff.width * 4, "ffn"), z = many ? entry.alloc(ff.topK * ff.width * 4, "down slots") : y;
  SmallVector<Param> params = {{"format", entry.text(formatName(down))},
                               {"n", entry.integer(ff.width)},
                               {"k", entry.integer(ff.ffn)},
                               {"experts", entry.integer(ff.experts)},
                               {"top_k", entry.integer(ff.topK)},
                               {"x_type", entry.text(hBf16 ? "bf16" : "f32")}};
  if (!many)
    params.append(
        {{"dense", entry.integer(0)}, {"accumulate", entry.integer(0)}, {"y_stride", entry.integer(ff.width)}});
  SmallVector<Value> operands = {h, none, ff.down, z, ff.lists, many ? none : ff.weights};
  if (ff.downBias) {
    params.push_back({"bias", entry.integer(1)});
    operands.push_back(ff.downBias);
  }
  const int64_t bytes = rowsBytes(ff.downType, ff.width) + (ff.downBias ? ff.width * 4 : 0);
  entry.dispatch(many ? "down_slots" : "down", params, operands, {3}, {rowGroups(ff.width), 0}, ff.path,
                 active * bytes);
  if (many)
    entry.dispatch("slot_sum",
                   {{"n", entry.integer(ff.width)},
                    {"top_k", entry.integer(ff.topK)},
                    {"accumulate", entry.integer(0)},
                    {"y_stride", entry.integer(ff.width)}},
                   {z, ff.weights, y}, {2}, {0, 1}, ff.path);
  return y;
}

static Value emitFeedForward(const FeedForward &ff, EntryBuilder &entry) {
  Value none = entry.none(), h = emitGateUp(ff, none, entry);
  return entry.getLane().isGpu ? emitDownOnGpu(ff, h, none, entry) : emitDown(ff, h, none, entry);
}

LogicalResult lowerExperts(model::ExpertsOp op, EntryBuilder &entry) {
  FeedForward ff;
  ff.x = op.getX();
  ff.downType = model::weightType(op, op.getDownAttr());
  ff.experts = ff.downType.getDimSize(0);
  ff.width = ff.downType.getDimSize(1);
  ff.ffn = ff.downType.getDimSize(2);
  ff.down = entry.weight(op.getDownAttr());
  if (auto fused = op.getGateUpAttr()) {
    ff.gateType = ff.upType = model::weightType(op, fused);
    ff.gate = entry.weight(fused);
    ff.up = entry.view(ff.gate, rowsBytes(ff.gateType, ff.ffn));
    ff.gateExpertRows = ff.upExpertRows = 2 * ff.ffn;
  } else {
    ff.gateType = model::weightType(op, op.getGateAttr());
    ff.upType = model::weightType(op, op.getUpAttr());
    ff.gate = entry.weight(op.getGateAttr());
    ff.up = entry.weight(op.getUpAttr());
    ff.gateExpertRows = ff.upExpertRows = ff.ffn;
  }
  auto optional = [&](FlatSymbolRefAttr symbol) { return symbol ? entry.weight(symbol) : Value(); };
  ff.gateBias = optional(op.getGateBiasAttr());
  ff.upBias = optional(op.getUpBiasAttr());
  ff.downBias = optional(op.getDownBiasAttr());
  const int64_t deferred = entry.deferredBy(op);
  ff.topK = model::features(op.getWeights());
  ff.choices = ff.topK - deferred;
  ff.lists = entry.activation(op.getIds()).rows;
  ff.weights = entry.activation(op.getWeights()).rows;
  ff.act = op.getAct();
  ff.path = op.getPath();
  if (op->hasAttr(model::attr::kTakesDeferred))
    ff.onto = entry.takeDeferredSums();
  entry.bind(op.getResult(), {emitFeedForward(ff, entry), ff.width});
  if (deferred > 0) {
    // The rest, behind what the next attention waits for, into buffers of its own.
    ff.lists = entry.activation(op.getIds()).deferred;
    ff.choices = deferred;
    ff.onto = {};
    entry.setDeferredSums(emitFeedForward(ff, entry));
  }
  return success();
}

LogicalResult lowerFfn(model::FfnOp op, EntryBuilder &entry) {
  FeedForward ff;
  ff.x = op.getX();
  ff.downType = model::weightType(op, op.getDownAttr());
  ff.gateType = model::weightType(op, op.getGateAttr());
  ff.upType = model::weightType(op, op.getUpAttr());
  ff.width = ff.downType.getDimSize(0);
  ff.ffn = ff.downType.getDimSize(1);
  ff.gate = entry.weight(op.getGateAttr());
  ff.up = entry.weight(op.getUpAttr());
  ff.down = entry.weight(op.getDownAttr());
  ff.gateExpertRows = ff.upExpertRows = ff.ffn;
  ff.act = op.getAct();
  ff.path = op.getPath();
  Activation result{emitFeedForward(ff, entry), ff.width};
  if (auto gate = op.getOutputGateAttr()) {
    if (!llvm::all_of(op.getResult().getUsers(), [](Operation *user) { return isa<model::AddOp>(user); }))
      return op.emitOpError() << "has an output gate, so its result can only be added";
    MatMul mm;
    mm.element = model::weightType(op, gate).getElementType();
    mm.n = 1;
    mm.k = ff.width;
    mm.x = entry.matrixRows(op.getX(), mm.element, ff.path);
    mm.xStride = ff.width;
    mm.w = entry.weight(gate);
    mm.y = entry.alloc(4, "output gate");
    mm.yStride = 1;
    emitMatMul(mm, entry, ff.path);
    result.gate = mm.y;
  }
  entry.bind(op.getResult(), result);
  return success();
}

} // namespace ktc::lower
