// EntryBuilder: buffers, kernels and dispatches of one entry.
#include "compiler/placed-to-schedule/lower/EntryBuilder.h"

#include "dialects/model/Transforms.h"
#include "runtime/abi/kt_abi.h"

using namespace mlir;

namespace ktc::lower {

static int64_t alignUp(int64_t bytes) {
  return (bytes + KT_BUFFER_ALIGNMENT - 1) / KT_BUFFER_ALIGNMENT * KT_BUFFER_ALIGNMENT;
}

// The pass has checked the name.
static const KtTypeInfo &kvTypeInfo(StringRef name) { return *ktTypeInfoNamed(name.data(), name.size()); }

int64_t Settings::kvBytes(int64_t elements) const {
  const KtTypeInfo &info = kvTypeInfo(kvType);
  return elements / info.blockElements * info.blockBytes;
}

int64_t Settings::kvBlock() const { return kvTypeInfo(kvType).blockElements; }

RowKind rowKind(Type element) {
  uint32_t id = quant::typeIdOf(element);
  return ktTypeTakesF32Activations(id) ? RowKind::F32 : ktTypeTakesQ8k(id) ? RowKind::Q8k : RowKind::Q8;
}

StringRef formatName(Type element) { return ktTypeInfo(quant::typeIdOf(element))->name; }

int64_t EntryBuilder::deferredBy(Operation *op) const {
  auto count = op->getAttrOfType<IntegerAttr>(model::attr::kDeferred);
  return count && !shape.dynamic ? count.getInt() : 0;
}

Value EntryBuilder::alloc(int64_t bytesPerToken, StringRef name) {
  return allocBytes(bytesPerToken * shape.tokens, name);
}

Value EntryBuilder::allocBytes(int64_t bytes, StringRef name) {
  return builder.create<sched::AllocOp>(module.getLoc(), sched::BufferType::get(builder.getContext()),
                                        lane->activationArena, alignUp(bytes), IntegerAttr(),
                                        builder.getStringAttr(name));
}

Value EntryBuilder::fixed(StringRef arena, int64_t offset, int64_t bytes, StringRef role) {
  return builder.create<sched::FixedOp>(module.getLoc(), sched::BufferType::get(builder.getContext()), arena,
                                        offset, bytes,
                                        role.empty() ? StringAttr() : builder.getStringAttr(role));
}

Value EntryBuilder::weight(FlatSymbolRefAttr symbol) {
  return builder.create<sched::WeightOp>(module.getLoc(), sched::BufferType::get(builder.getContext()), symbol);
}

Value EntryBuilder::weight(StringRef symbol) {
  return weight(FlatSymbolRefAttr::get(builder.getContext(), symbol));
}

Value EntryBuilder::view(Value buffer, int64_t byteOffset) {
  if (byteOffset == 0)
    return buffer;
  return builder.create<sched::ViewOp>(module.getLoc(), buffer.getType(), buffer, byteOffset);
}

Value EntryBuilder::none() {
  return builder.create<sched::NoneOp>(module.getLoc(), sched::BufferType::get(builder.getContext()));
}

sched::DispatchOp EntryBuilder::dispatch(StringRef family, ArrayRef<Param> params, ValueRange operands,
                                         ArrayRef<int32_t> writes, Units units, StringRef path,
                                         int64_t bytesRead) {
  SmallVector<NamedAttribute> named;
  for (const auto &[name, value] : params)
    named.push_back(builder.getNamedAttr(name, value));
  named.push_back(builder.getNamedAttr("m", integer(shape.tokens)));
  named.push_back(builder.getNamedAttr("dynamic", integer(shape.dynamic)));
  StringRef kernel = kernels.make(family, builder.getDictionaryAttr(named));
  return builder.create<sched::DispatchOp>(module.getLoc(), lane->name, kernel, operands, writes, units.fixed,
                                           units.perToken, path, bytesRead, DenseI64ArrayAttr(),
                                           DenseI64ArrayAttr(), DenseI64ArrayAttr(), false, IntegerAttr(),
                                           false, DenseI32ArrayAttr(), IntegerAttr());
}

Value EntryBuilder::quantize(Value rows, RowKind kind, int64_t rowsPerToken, int64_t k, int64_t tokenStride,
                             int64_t rowStride, StringRef path) {
  bool isQ8k = kind == RowKind::Q8k;
  int64_t bytes = static_cast<int64_t>(isQ8k ? ktQ8kRowBytes(k) : ktQ8RowBytes(k));
  Value quantized = alloc(rowsPerToken * bytes, isQ8k ? "q8k" : "q8");
  SmallVector<Param> params = {{"k", integer(k)},
                               {"rows", integer(rowsPerToken)},
                               {"x_stride", integer(tokenStride)},
                               {"x_row_stride", integer(rowStride)}};
  if (isQ8k)
    params.push_back({"group", integer(256)});
  dispatch("quantize", params, {rows, quantized}, {1}, {0, rowsPerToken}, path);
  return quantized;
}

std::string EntryBuilder::ropeTable(model::RopeAttr rope) {
  int64_t count = 0;
  for (auto op : module.getOps<sched::ConstantOp>()) {
    if (op.getParams().getAs<model::RopeAttr>("rope") == rope)
      return op.getSymName().str();
    ++count;
  }
  OpBuilder at = OpBuilder::atBlockBegin(module.getBody());
  std::string name = "rope_table." + std::to_string(count);
  NamedAttribute params[] = {at.getNamedAttr("rope", rope),
                             at.getNamedAttr("context", integer(settings.context))};
  at.create<sched::ConstantOp>(module.getLoc(), name, "rope_table", settings.context * rope.getDims() * 4,
                               at.getDictionaryAttr(params));
  return name;
}

// Ranges are handed out in the order of first use and remembered by role, so that all entries see the same
// cache.
Value EntryBuilder::kvCache(int64_t layer, int64_t part, int64_t width) {
  return cacheRange("layer " + std::to_string(layer) + (part == 0 ? " keys" : " values"),
                    settings.context * settings.kvBytes(width));
}

Value EntryBuilder::counters() { return cacheRange("counters", kCounters * 4); }

Value EntryBuilder::cacheRange(const std::string &role, int64_t wanted) {
  const int64_t bytes = alignUp(wanted);
  auto arena = module.lookupSymbol<sched::ArenaOp>(lane->kvArena);
  auto ranges = arena->getAttrOfType<DictionaryAttr>("ranges");
  NamedAttrList list(ranges ? ranges : builder.getDictionaryAttr({}));
  Attribute known = list.get(role);
  if (!known) {
    known = integer(arena.getBytes());
    list.set(role, known);
    arena->setAttr("ranges", list.getDictionary(builder.getContext()));
    arena.setBytes(arena.getBytes() + bytes);
  }
  return fixed(lane->kvArena, cast<IntegerAttr>(known).getInt(), bytes, role);
}

// What kernels of a GPU lane are told about x and y, and those of a CPU lane about prefetching and rounding.
static void addLaneParams(const MatMul &mm, EntryBuilder &entry, SmallVector<Param> &params) {
  const bool isGpu = entry.getLane().isGpu;
  if (isGpu) {
    params.push_back({"x_type", entry.text(mm.x.kind == RowKind::Bf16 ? "bf16" : "f32")});
    params.push_back({"y_type", entry.text(mm.yBf16 ? "bf16" : "f32")});
  } else {
    params.push_back({"prefetch", entry.integer(entry.getSettings().prefetch)});
    if (entry.getSettings().exact && rowKind(mm.element) != RowKind::F32)
      params.push_back({"exact", entry.integer(1)});
  }
  if (isGpu || rowKind(mm.element) == RowKind::F32) {
    params.push_back({"x_stride", entry.integer(mm.xStride)});
    params.push_back({"x_batch_stride", entry.integer(mm.xBatchStride)});
  }
}

void emitMatMul(const MatMul &mm, EntryBuilder &entry, StringRef path) {
  SmallVector<Param> params = {{"format", entry.text(formatName(mm.element))},
                               {"n", entry.integer(mm.n)},
                               {"k", entry.integer(mm.k)},
                               {"batch", entry.integer(mm.batch)},
                               {"y_stride", entry.integer(mm.yStride)},
                               {"y_batch_stride", entry.integer(mm.yBatchStride)},
                               {"bias", entry.integer(mm.bias ? 1 : 0)}};
  addLaneParams(mm, entry, params);
  const KtTypeInfo *info = ktTypeInfo(quant::typeIdOf(mm.element));
  int64_t bytes = mm.batch * mm.n * (mm.k / info->blockElements * info->blockBytes);
  int64_t rowGroups = (mm.n + KT_ROWS_PER_UNIT - 1) / KT_ROWS_PER_UNIT;
  entry.dispatch("linear", params, {mm.x.rows, mm.w, mm.y, mm.bias ? mm.bias : entry.none()}, {2},
                 {mm.batch * rowGroups, 0}, path, bytes);
}

} // namespace ktc::lower
