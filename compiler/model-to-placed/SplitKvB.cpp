// model-split-kv-b: older DeepSeek files have one joint projection; the absorbed form needs its two parts.
#include "compiler/model-to-placed/Passes.h"

#include "mlir/IR/Builders.h"
#include "runtime/abi/kt_types.h"

namespace ktc {

#define GEN_PASS_DEF_MODELSPLITKVB
#include "ModelToPlacedPasses.h.inc"

using namespace mlir;

namespace {

struct SplitKvB : impl::ModelSplitKvBBase<SplitKvB> {
  void runOnOperation() override {
    getOperation().walk([&](model::MlaAttentionOp op) {
      if (op.getKvBAttr())
        split(op);
    });
  }

  // Type of a derived part whose rows have `rowLength` elements: as precise as the source.
  static Type partType(Type source, int64_t rowLength) {
    if (!isa<quant::BlockType>(source))
      return source;
    uint32_t id = rowLength % 32 == 0 ? KT_TYPE_Q8_0 : KT_TYPE_F16;
    return quant::elementTypeFor(source.getContext(), id);
  }

  void split(model::MlaAttentionOp op) {
    FlatSymbolRefAttr source = op.getKvBAttr();
    Type element = model::weightType(op, source).getElementType();
    int64_t heads = op.getHeads(), latent = op.getLatent(), nope = op.getNope(), vDim = op.getVDim();
    StringRef stem = source.getValue();
    stem.consume_back(".weight");

    OpBuilder builder(op.getContext());
    builder.setInsertionPointAfter(getOperation().lookupSymbol(source.getAttr()));
    auto declare = [&](StringRef part, StringRef transform, ArrayRef<int64_t> shape) {
      std::string name = (stem + "." + part).str();
      auto type = RankedTensorType::get(shape, partType(element, shape.back()));
      // Layers may share a projection.
      if (!getOperation().lookupSymbol<model::DerivedWeightOp>(name))
        builder.create<model::DerivedWeightOp>(op.getLoc(), builder.getStringAttr(name), source,
                                               builder.getStringAttr(transform), TypeAttr::get(type));
      return FlatSymbolRefAttr::get(op.getContext(), name);
    };
    op.setKBAttr(declare("k_b", "mla_k_b", {heads, latent, nope}));
    op.setVBAttr(declare("v_b", "mla_v_b", {heads, vDim, latent}));
    op.removeKvBAttr();
  }
};

} // namespace
} // namespace ktc
