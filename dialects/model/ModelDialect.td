//===- ModelDialect.td - what the network computes --------------------------------------------------------------===//
//
// Dialect and attributes of the `model` stage. Operations are in ModelOps.td.
//
//===------------------------------------------------------------------------------------------------------===//
#ifndef KT_MODEL_DIALECT
#define KT_MODEL_DIALECT

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/DialectBase.td"
include "mlir/IR/OpBase.td"

def Model_Dialect : Dialect {
  let name = "model";
  let summary = "What the network computes.";
  let description = [{
    One operation per thing that a placement rule may want to name. Activations are `tensor<?xNxf32>`: one row per
    token. Weights are symbols (`model.weight`) that point into the GGUF files. Every operation carries its module path
    in the Hugging Face spelling, because placement rules match on it. A module has two functions: `@body`, from tokens and
    positions to hidden states, and `@head`, from hidden states to logits.
  }];
  let cppNamespace = "::ktc::model";
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::ktc::quant::KtDialect"];
}

class Model_Attr<string name, string attrMnemonic> : AttrDef<Model_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def Model_RopeAttr : Model_Attr<"Rope", "rope"> {
  let summary = "Rotary position embedding";
  let description = [{
    Rotates `dims` elements of a row by position · frequency. Pair i has frequency base^(-2i/dims), divided by the
    i-th element of `freq_factors` when that weight is named.

    `style`: `norm` pairs elements (2i, 2i+1), `neox` pairs (i, i + dims/2).
    `scaling`: `none`, `linear` (frequencies divided by `factor`) or `yarn` (interpolation by `factor` below the
    correction range given by `beta_fast`, `beta_slow` and `original_context`, extrapolation above it).
    cos and sin are multiplied by `magnitude` (YaRN's attention factor). The correction range of `yarn` is widened to
    whole pairs if `whole_pairs` (the usual form; gpt-oss was trained without).

    Example: `#model.rope<style = "norm", dims = 64, base = 1.0e4, scaling = "yarn", factor = 40.0,
    original_context = 4096, beta_fast = 32.0, beta_slow = 1.0, magnitude = 1.0>`
  }];
  let parameters = (ins
    StringRefParameter<"pairing of elements">:$style,
    "int64_t":$dims,
    "::ktc::model::Real":$base,
    StringRefParameter<"frequency scaling", "\"none\"">:$scaling,
    DefaultValuedParameter<"::ktc::model::Real", "::ktc::model::Real(1.0)">:$factor,
    DefaultValuedParameter<"int64_t", "0">:$original_context,
    DefaultValuedParameter<"::ktc::model::Real", "::ktc::model::Real(32.0)">:$beta_fast,
    DefaultValuedParameter<"::ktc::model::Real", "::ktc::model::Real(1.0)">:$beta_slow,
    DefaultValuedParameter<"::ktc::model::Real", "::ktc::model::Real(1.0)">:$magnitude,
    DefaultValuedParameter<"bool", "true">:$whole_pairs,
    OptionalParameter<"::mlir::FlatSymbolRefAttr">:$freq_factors
  );
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Model_PlacementAttr : Model_Attr<"Placement", "placement"> {
  let summary = "Where an operation runs";
  let description = [{
    `device` for decode, `prefill` for prefill chunks, and the place of the rule that decided it (`file:line`, or the
    name of a built-in policy).

    Example: `#model.placement<device = "cpu", prefill = "cpu", rule = "deepseek.yaml:12">`
  }];
  let parameters = (ins
    StringRefParameter<"device for decode">:$device,
    StringRefParameter<"device for prefill">:$prefill,
    StringRefParameter<"place of the deciding rule">:$rule
  );
  let assemblyFormat = "`<` struct(params) `>`";
}

#endif
