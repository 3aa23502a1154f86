// sched-pack-rows: quantised rows are packed for panels once, not by every thread that multiplies them.
//
// From some number of tokens on, kernels of dynamic entries multiply packed rows (templates/x64/README.md).
// Each thread has a few rows of the weights and so needs all tokens: packing them for itself takes a quarter of
// its time. Expert lists of gate_up give a thread the tokens of few experts, which it packs itself.
#include "compiler/placed-to-schedule/KernelEdit.h"
#include "compiler/placed-to-schedule/LaneTable.h"
#include "compiler/placed-to-schedule/Passes.h"

#include "runtime/abi/kt_abi.h"
#include "templates/specs.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseMap.h"

namespace ktc {

#define GEN_PASS_DEF_SCHEDPACKROWS
#include "PlacedToSchedulePasses.h.inc"

using namespace mlir;

namespace {

// What a reader of quantised rows is to the pass.
struct Reader {
  sched::DispatchOp dispatch;
  const KtTypeInfo *format = nullptr; // of the weights
  Value rows, lists;                  // lists: null for tokens in order
  unsigned packed = 0;                // operand of the packed rows
  int64_t grain = 1;                  // units worth a call
};

struct PackRows : impl::SchedPackRowsBase<PackRows> {
  void runOnOperation() override {
    KernelEditor editor(getOperation());
    kernels = &editor;
    const LaneTable lanes(getOperation());
    for (auto entry : getOperation().getOps<sched::EntryOp>()) {
      if (!entry.getDynamic() || entry.partCapacity() < packedRows)
        continue;
      packs.clear();
      for (auto dispatch : llvm::make_early_inc_range(entry.getBody().getOps<sched::DispatchOp>()))
        if (!lanes.isGpu(dispatch))
          if (Reader reader = readerOf(dispatch); reader.dispatch)
            pack(reader, entry.partCapacity());
    }
    editor.eraseUnused();
  }

  // The dispatch as a reader, if it multiplies quantised rows of its own lane's or another one's by panels.
  Reader readerOf(sched::DispatchOp dispatch) {
    constexpr unsigned linearX = 0, linearPacked = 4, downX = 1, downLists = 4, downPacked = 7;
    const StringRef family = kernels->family(dispatch), format = kernels->text(dispatch, "format");
    Reader reader;
    reader.format = ktTypeInfoNamed(format.data(), format.size());
    if ((family != "linear" && family != "down") || !reader.format || kernels->integer(dispatch, "packed") ||
        ktTypeTakesF32Activations(reader.format->id) || kernels->integer(dispatch, "exact") ||
        kernels->integer(dispatch, "batch") > 1)
      return {};
    if (family == "linear") {
      reader.rows = dispatch.getOperand(linearX);
      reader.packed = linearPacked;
    } else {
      reader.rows = dispatch.getOperand(downX);
      if (!kernels->integer(dispatch, "dense"))
        reader.lists = dispatch.getOperand(downLists);
      reader.packed = downPacked;
      reader.grain = KT_SHARE_ROWS / KT_ROWS_PER_UNIT;
    }
    if (isWrittenOnceBefore(dispatch, reader.rows))
      reader.dispatch = dispatch;
    return reader;
  }

  // True if `rows` is a buffer that one dispatch before `reader` writes and others only read.
  static bool isWrittenOnceBefore(sched::DispatchOp reader, Value rows) {
    if (!rows.getDefiningOp<sched::AllocOp>())
      return false;
    Operation *writer = nullptr;
    for (OpOperand &use : rows.getUses()) {
      auto user = dyn_cast<sched::DispatchOp>(use.getOwner());
      if (!user)
        return false;
      if (!llvm::is_contained(user.getWrites(), static_cast<int32_t>(use.getOperandNumber())))
        continue;
      if (writer)
        return false;
      writer = user;
    }
    return writer && writer->isBeforeInBlock(reader);
  }

  void pack(Reader &reader, int64_t capacity) {
    Value &packed = packs[{reader.rows, reader.lists}];
    if (!packed)
      packed = emitPack(reader, capacity);
    OpBuilder builder(reader.dispatch);
    SmallVector<Value> operands(reader.dispatch.getOperands());
    while (operands.size() < reader.packed)
      operands.push_back(builder.create<sched::NoneOp>(reader.dispatch.getLoc(), packed.getType()));
    operands.push_back(packed);
    reader.dispatch->setOperands(operands);
    reader.dispatch.setGrain(reader.grain);
    kernels->set(reader.dispatch, "packed", 1);
  }

  // Packs the rows before their first reader.
  Value emitPack(const Reader &reader, int64_t capacity) {
    sched::DispatchOp dispatch = reader.dispatch;
    OpBuilder builder(dispatch);
    const int64_t k = kernels->integer(dispatch, "k");
    const int64_t experts = reader.lists ? kernels->integer(dispatch, "experts") : 0;
    const int64_t perToken = reader.lists ? kernels->integer(dispatch, "top_k") : 1;
    NamedAttrList params;
    auto add = [&](StringRef name, int64_t value) { params.set(name, builder.getI64IntegerAttr(value)); };
    add("k", k);
    add("group", ktTypeTakesQ8k(reader.format->id) ? 256 : 32);
    add("m", capacity);
    add("dynamic", 1);
    SmallVector<Value> operands = {reader.rows};
    if (reader.lists) {
      add("experts", experts);
      add("top_k", perToken);
    }
    auto rows = reader.rows.getDefiningOp<sched::AllocOp>();
    operands.push_back(
        builder.create<sched::AllocOp>(dispatch.getLoc(), rows.getResult().getType(), rows.getArena(),
                                       packedBlocks(capacity * perToken, experts) * packedBlockBytes(k),
                                       IntegerAttr(), builder.getStringAttr("packed")));
    if (reader.lists)
      operands.push_back(reader.lists);
    builder.create<sched::DispatchOp>(dispatch.getLoc(), dispatch.getLane(),
                                      kernels->make("pack", params.getDictionary(builder.getContext())),
                                      operands, ArrayRef<int32_t>{1}, 0, perToken, dispatch.getPath(), 0,
                                      DenseI64ArrayAttr(), DenseI64ArrayAttr(), DenseI64ArrayAttr(), false,
                                      IntegerAttr(), false, DenseI32ArrayAttr(), IntegerAttr());
    return operands[1];
  }

  KernelEditor *kernels = nullptr;
  llvm::DenseMap<std::pair<Value, Value>, Value> packs; // by rows and lists
};

} // namespace
} // namespace ktc
