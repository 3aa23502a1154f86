//===- ModelOps.td - operations of the model stage ----------------------------------------------------------===//
//
// Semantics of router, attention and rope per architecture are those of the GGUF ecosystem; each description states
// the formula.
//
//===------------------------------------------------------------------------------------------------------===//
#ifndef KT_MODEL_OPS
#define KT_MODEL_OPS

include "dialects/model/ModelDialect.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Model_Activation : Type<CPred<"::ktc::model::isActivation($_self)">, "tensor<?xNxf32>">;
def Model_TokenIds : Type<CPred<"::ktc::model::isTokenIds($_self)">, "tensor<?xi32>">;
def Model_ChosenIds : Type<CPred<"::ktc::model::isChosenIds($_self)">, "tensor<?xKxi32>">;

class Model_Op<string mnemonic, list<Trait> traits = []> : Op<Model_Dialect, mnemonic, traits> {
  let cppNamespace = "::ktc::model";
  let hasVerifier = 1;
}

// An operation of the network: has a path, belongs to a layer (-1: none), and is placed by the policy.
class Model_NetworkOp<string mnemonic, dag extraArguments, list<Trait> traits = []>
    : Model_Op<mnemonic, traits> {
  let arguments = !con((ins StrAttr:$path), extraArguments,
                       (ins OptionalAttr<Model_PlacementAttr>:$placement));
}

def Model_WeightOp : Model_Op<"weight", [Symbol]> {
  let summary = "A tensor of a GGUF file";
  let description = [{
    Declares a weight: its name in the file, its type (contiguous dimension last), and where its bytes are: the
    index of the GGUF file (split), the absolute offset and the size.

    Example: `model.weight @"blk.0.ffn_norm.weight" : tensor<256xf32> {file = 0 : i32, offset = 4096 : i64, bytes = 1024 : i64}`
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<AnyRankedTensor>:$type, I32Attr:$file, I64Attr:$offset,
                       I64Attr:$bytes);
  let assemblyFormat = "$sym_name `:` $type attr-dict";
}

def Model_DerivedWeightOp : Model_Op<"derived_weight", [Symbol]> {
  let summary = "A tensor that the compiler computes from a tensor of the file";
  let description = [{
    `transform` names the computation; the result is stored in the plan.

    - `mla_k_b`: from `attn_kv_b` [heads·(nope+v), latent] takes the key rows of each head and transposes them to
      [heads, latent, nope]. The shape of the result gives heads, latent and nope; v follows from the rows of the source.
    - `mla_v_b`: the value rows of each head, [heads, v, latent], without transposition.

    Example: `model.derived_weight @"blk.0.attn_k_b" from @"blk.0.attn_kv_b.weight" "mla_k_b" : tensor<8x256x64x!kt.q8_0>`
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, FlatSymbolRefAttr:$source, StrAttr:$transform,
                       TypeAttrOf<AnyRankedTensor>:$type);
  let assemblyFormat = "$sym_name `from` $source $transform `:` $type attr-dict";
}

def Model_EmbedOp : Model_NetworkOp<"embed", (ins Model_TokenIds:$tokens, FlatSymbolRefAttr:$weight), [Pure]> {
  let summary = "Token embedding: one row of the weight per token";
  let description = [{
    Example: `%x = model.embed %tokens {path = "model.embed_tokens", weight = @token_embd.weight} : (tensor<?xi32>) -> tensor<?x256xf32>`
  }];
  let results = (outs Model_Activation:$result);
  let assemblyFormat = "$tokens attr-dict `:` functional-type(operands, results)";
}

def Model_RmsNormOp : Model_NetworkOp<"rms_norm", (ins Model_Activation:$x, FlatSymbolRefAttr:$weight, F64Attr:$eps),
                                      [Pure]> {
  let summary = "y = x / sqrt(mean(x²) + eps) · w";
  let description = [{
    Example: `%y = model.rms_norm %x {path = "model.norm", weight = @output_norm.weight, eps = 1.0e-6 : f64} : (tensor<?x256xf32>) -> tensor<?x256xf32>`
  }];
  let results = (outs Model_Activation:$result);
  let assemblyFormat = "$x attr-dict `:` functional-type(operands, results)";
}

def Model_LinearOp : Model_NetworkOp<"linear", (ins Model_Activation:$x, FlatSymbolRefAttr:$weight,
                                                OptionalAttr<FlatSymbolRefAttr>:$bias), [Pure]> {
  let summary = "y = W x (+ bias)";
  let description = [{
    The weight is [out, in].

    Example: `%q = model.linear %x {path = "model.layers.0.self_attn.q_proj", weight = @blk.0.attn_q.weight} : (tensor<?x256xf32>) -> tensor<?x768xf32>`
  }];
  let results = (outs Model_Activation:$result);
  let assemblyFormat = "$x attr-dict `:` functional-type(operands, results)";
}

def Model_GqaAttentionOp : Model_NetworkOp<"gqa_attention",
    (ins Model_Activation:$q, Model_Activation:$k, Model_Activation:$v, Model_TokenIds:$positions,
         I64Attr:$layer, I64Attr:$heads, I64Attr:$kv_heads, I64Attr:$head_dim, I64Attr:$v_dim, F64Attr:$scale,
         OptionalAttr<Model_RopeAttr>:$rope, OptionalAttr<FlatSymbolRefAttr>:$q_norm,
         OptionalAttr<FlatSymbolRefAttr>:$k_norm, DefaultValuedAttr<F64Attr, "1e-6">:$norm_eps,
         DefaultValuedAttr<I64Attr, "0">:$window, OptionalAttr<FlatSymbolRefAttr>:$sinks)> {
  let summary = "Grouped-query attention over the KV cache of a layer";
  let description = [{
    q is [tokens, heads·head_dim], k [tokens, kv_heads·head_dim], v [tokens, kv_heads·v_dim]. In this order: RMS norm
    of every head of q and k if `q_norm`, `k_norm` are given; rope on the first `rope.dims` elements of every head;
    k and v are appended to the layer's cache at `positions`; y = softmax(scale · q kᵀ) v over cache positions
    ≤ the token's, the last `window` of them only if window > 0. Result [tokens, heads·v_dim].

    `sinks` [heads] adds one score per head to the softmax that has no value: the weights then sum to less than 1.

    Example:
    ```mlir
    %y = model.gqa_attention %q, %k, %v, %pos {path = "model.layers.0.self_attn", layer = 0, heads = 32, kv_heads = 4,
      head_dim = 128, v_dim = 128, scale = 0.088 : f64, rope = #model.rope<style = "neox", dims = 128, base = 1.0e6>}
      : (tensor<?x4096xf32>, tensor<?x512xf32>, tensor<?x512xf32>, tensor<?xi32>) -> tensor<?x4096xf32>
    ```
  }];
  let results = (outs Model_Activation:$result);
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
}

def Model_MlaAttentionOp : Model_NetworkOp<"mla_attention",
    (ins Model_Activation:$q, Model_Activation:$kv, Model_TokenIds:$positions,
         I64Attr:$layer, I64Attr:$heads, I64Attr:$nope, I64Attr:$rope_dims, I64Attr:$v_dim, I64Attr:$latent,
         F64Attr:$scale, Model_RopeAttr:$rope, FlatSymbolRefAttr:$kv_norm, F64Attr:$norm_eps,
         OptionalAttr<FlatSymbolRefAttr>:$k_b, OptionalAttr<FlatSymbolRefAttr>:$v_b,
         OptionalAttr<FlatSymbolRefAttr>:$kv_b, OptionalAttr<StrAttr>:$form)> {
  let summary = "Multi-head latent attention over the latent cache of a layer";
  let description = [{
    q is [tokens, heads·(nope + rope_dims)], each head [nope | rope]; kv is [tokens, latent + rope_dims], [c | r].
    c is RMS-normalised with `kv_norm`; rope rotates the rope part of every q head and r; [c | r] is appended to the
    cache. Per head: k = [Wk c | r], v = Wv c, y = softmax(scale · q kᵀ) v. Result [tokens, heads·v_dim].

    Weights: either `k_b` [heads, latent, nope] (Wk transposed) and `v_b` [heads, v_dim, latent], or the older joint
    `kv_b` [heads·(nope + v_dim), latent].

    `form = "absorbed"` computes in the latent space: q' = Wkᵀ q_nope, scores over [c | r], then Wv on the result.

    Example:
    ```mlir
    %y = model.mla_attention %q, %kv, %pos {path = "model.layers.0.self_attn", layer = 0, heads = 8, nope = 64,
      rope_dims = 32, v_dim = 64, latent = 256, scale = 0.1 : f64, rope = #model.rope<style = "norm", dims = 32, base = 1.0e4>,
      kv_norm = @blk.0.attn_kv_a_norm.weight, norm_eps = 1.0e-6 : f64, k_b = @blk.0.attn_k_b.weight, v_b = @blk.0.attn_v_b.weight}
      : (tensor<?x768xf32>, tensor<?x288xf32>, tensor<?xi32>) -> tensor<?x512xf32>
    ```
  }];
  let results = (outs Model_Activation:$result);
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
}

def Model_RouterOp : Model_NetworkOp<"router",
    (ins Model_Activation:$x, FlatSymbolRefAttr:$weight, OptionalAttr<FlatSymbolRefAttr>:$logit_bias,
         OptionalAttr<FlatSymbolRefAttr>:$bias, I64Attr:$experts,
         I64Attr:$top_k, StrAttr:$gating, DefaultValuedAttr<I64Attr, "1">:$groups,
         DefaultValuedAttr<I64Attr, "1">:$groups_used, DefaultValuedAttr<BoolAttr, "false">:$norm,
         DefaultValuedAttr<F64Attr, "1.0">:$scale), [Pure]> {
  let summary = "Choose experts for every token";
  let description = [{
    With logits l = W x (+ `logit_bias`): p = softmax(l) or sigmoid(l) (`gating`: softmax, sigmoid, topk_softmax); choice =
    p + `bias`. With groups > 1 the score of a group is the sum of its two largest choices, and experts outside the best
    `groups_used` groups are excluded. The `top_k` largest choices win; their weights are p, divided by max(sum, 6.1035e-5)
    if `norm`, times `scale`. `topk_softmax` chooses by l and takes the softmax over the chosen.

    Example: `%ids, %w = model.router %x {path = "model.layers.1.mlp.gate", weight = @blk.1.ffn_gate_inp.weight, experts = 16, top_k = 4, gating = "sigmoid"} : (tensor<?x256xf32>) -> (tensor<?x4xi32>, tensor<?x4xf32>)`
  }];
  let results = (outs Model_ChosenIds:$ids, Model_Activation:$weights);
  let assemblyFormat = "$x attr-dict `:` functional-type(operands, results)";
}

def Model_ExpertsOp : Model_NetworkOp<"experts",
    (ins Model_Activation:$x, Model_ChosenIds:$ids, Model_Activation:$weights, OptionalAttr<FlatSymbolRefAttr>:$gate,
         OptionalAttr<FlatSymbolRefAttr>:$up, OptionalAttr<FlatSymbolRefAttr>:$gate_up, FlatSymbolRefAttr:$down,
         OptionalAttr<FlatSymbolRefAttr>:$gate_bias, OptionalAttr<FlatSymbolRefAttr>:$up_bias,
         OptionalAttr<FlatSymbolRefAttr>:$down_bias,
         DefaultValuedStrAttr<StrAttr, "silu">:$act), [Pure]> {
  let summary = "Routed experts: y = Σ weight · down(act(gate x) · up x)";
  let description = [{
    `gate` and `up` are [experts, ffn, in], `down` is [experts, in, ffn]; they may have different types. Files with
    fused projections name `gate_up` [experts, 2·ffn, in] (gate rows first) instead.

    `gate_bias` and `up_bias` [experts, ffn] are given both or neither; `down_bias` [experts, in] is added before the
    weight is applied. `act`: silu, gelu_tanh, or swiglu_oai: g · sigmoid(1.702 g) · (u + 1), g at most 7, u in -7..7.

    Example:
    ```mlir
    %y = model.experts %x, %ids, %w {path = "model.layers.1.mlp.experts", gate = @blk.1.ffn_gate_exps.weight,
      up = @blk.1.ffn_up_exps.weight, down = @blk.1.ffn_down_exps.weight}
      : (tensor<?x256xf32>, tensor<?x4xi32>, tensor<?x4xf32>) -> tensor<?x256xf32>
    ```
  }];
  let results = (outs Model_Activation:$result);
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
}

def Model_FfnOp : Model_NetworkOp<"ffn",
    (ins Model_Activation:$x, FlatSymbolRefAttr:$gate, FlatSymbolRefAttr:$up, FlatSymbolRefAttr:$down,
         OptionalAttr<FlatSymbolRefAttr>:$output_gate, DefaultValuedStrAttr<StrAttr, "silu">:$act), [Pure]> {
  let summary = "Dense or shared feed-forward block: y = down(act(gate x) · up x)";
  let description = [{
    With `output_gate` [in] (Qwen2-MoE's shared expert) the result is multiplied by sigmoid(output_gate · x).

    Example: `%y = model.ffn %x {path = "model.layers.0.mlp", gate = @blk.0.ffn_gate.weight, up = @blk.0.ffn_up.weight, down = @blk.0.ffn_down.weight} : (tensor<?x256xf32>) -> tensor<?x256xf32>`
  }];
  let results = (outs Model_Activation:$result);
  let assemblyFormat = "$x attr-dict `:` functional-type(operands, results)";
}

def Model_AddOp : Model_NetworkOp<"add", (ins Model_Activation:$lhs, Model_Activation:$rhs),
                                  [Pure, SameOperandsAndResultType]> {
  let summary = "Residual sum";
  let description = [{
    Example: `%y = model.add %x, %attn {path = "model.layers.0"} : tensor<?x256xf32>`
  }];
  let results = (outs Model_Activation:$result);
  let assemblyFormat = "operands attr-dict `:` type($result)";
  let hasVerifier = 0;
}

def Model_LmHeadOp : Model_NetworkOp<"lm_head", (ins Model_Activation:$x, FlatSymbolRefAttr:$weight), [Pure]> {
  let summary = "Logits over the vocabulary";
  let description = [{
    Example: `%l = model.lm_head %x {path = "lm_head", weight = @output.weight} : (tensor<?x256xf32>) -> tensor<?x4096xf32>`
  }];
  let results = (outs Model_Activation:$result);
  let assemblyFormat = "$x attr-dict `:` functional-type(operands, results)";
}

#endif
