//===- Passes.td - model to placed model ------------------------------------------------------------------------===//
#ifndef KT_MODEL_TO_PLACED_PASSES
#define KT_MODEL_TO_PLACED_PASSES

include "mlir/Pass/PassBase.td"

def ModelCheckTypes : Pass<"model-check-types", "::mlir::ModuleOp"> {
  let summary = "Check that kernels exist for the element type of every weight in its role";
  let description = [{
    Norms, biases and selection biases are read as float32 vectors; everything else may have any weight format. Heads and latent
    widths must be multiples of 8. The first violation per operation is reported with its tensor.
  }];
}

def ModelSplitKvB : Pass<"model-split-kv-b", "::mlir::ModuleOp"> {
  let summary = "Split the joint MLA projection of older files into its key and value parts";
  let description = [{
    `kv_b` [heads·(nope + v), latent] becomes two derived weights: `k_b` [heads, latent, nope], transposed, and `v_b`
    [heads, v, latent]. Their type is that of kv_b if it is F32, F16 or BF16, else Q8_0 (F16 where rows are not a multiple of
    32): never less precise than the file.
  }];
}

def ModelSelectMlaForm : Pass<"model-select-mla-form", "::mlir::ModuleOp"> {
  let summary = "Choose how multi-head latent attention is computed";
  let description = [{
    The absorbed form moves the key projection to the query and the value projection to the result, so that attention reads the
    latent cache as it is. It is chosen wherever no form is named: it needs no expanded keys and values in memory.
    Long prefills would need less arithmetic in the expanded form.
  }];
}

def ModelReassociateResidual : Pass<"model-reassociate-residual", "::mlir::ModuleOp"> {
  let summary = "x + (a + b) becomes (x + a) + b";
  let description = [{
    Branches that are added to each other first (routed and shared experts) are added to the residual stream one by one, so that each
    of them can accumulate into it directly.
  }];
}

def ModelApplyPolicy : Pass<"model-apply-policy", "::mlir::ModuleOp"> {
  let summary = "Place every operation as the policy says";
  let description = [{
    Sets the placement attribute of every network operation: device for decode, device for prefill, deciding rule. A residual sum
    goes where the norm that reads it is.
  }];
  let options = [
    Option<"rules", "rules", "std::string", "\"cpu\"", "Rules file, or the name of a built-in policy (cpu, auto)">,
    Option<"machineFile", "machine", "std::string", "\"\"", "Machine description; default: this machine">,
  ];
}

def ModelVerifyPlaced : Pass<"model-verify-placed", "::mlir::ModuleOp"> {
  let summary = "Fail if an operation has no placement";
  let description = [{
    Closes the phase: what follows may rely on the placement of every network operation. Every operation without one is reported.
  }];
}

def ModelDeferExperts : Pass<"model-defer-experts", "::mlir::ModuleOp"> {
  let summary = "Let the last chosen experts of a token arrive one layer later";
  let description = [{
    Changes results; only `--defer-experts` runs it. Of the experts that a token has chosen, the last `count` in the order of choice are
    computed while the next layer attends, and join the residual stream with the next layer's experts. That takes routed experts on the
    CPU in both layers and attention on a GPU between them (anywhere, if there is no GPU). So the last layer defers nothing. Marks router and experts
    with `model.deferred` and `model.takes_deferred`, which lowering heeds in entries for an exact number of tokens; prefill
    stays exact. The module's `model.transforms` names it for the plan.
  }];
  let options = [Option<"count", "count", "int64_t", "1", "Experts of a token that are deferred">];
}

#endif
