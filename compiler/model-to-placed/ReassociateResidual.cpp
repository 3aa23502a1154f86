// model-reassociate-residual: branches join the residual stream one by one.
#include "compiler/model-to-placed/Passes.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace ktc {

#define GEN_PASS_DEF_MODELREASSOCIATERESIDUAL
#include "ModelToPlacedPasses.h.inc"

using namespace mlir;

namespace {

// x + (a + b) → (x + a) + b, when nothing else reads a + b.
struct SplitBranchSum : OpRewritePattern<model::AddOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(model::AddOp op, PatternRewriter &rewriter) const override {
    auto branch = op.getRhs().getDefiningOp<model::AddOp>();
    if (!branch || !branch->hasOneUse())
      return failure();
    auto first = rewriter.create<model::AddOp>(op.getLoc(), op.getType(), op.getPathAttr(), op.getLhs(),
                                               branch.getLhs(), op.getPlacementAttr());
    rewriter.replaceOpWithNewOp<model::AddOp>(op, op.getType(), op.getPathAttr(), first.getResult(),
                                              branch.getRhs(), op.getPlacementAttr());
    rewriter.eraseOp(branch);
    return success();
  }
};

struct ReassociateResidual : impl::ModelReassociateResidualBase<ReassociateResidual> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<SplitBranchSum>(&getContext());
    if (failed(applyPatternsAndFoldGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace ktc
