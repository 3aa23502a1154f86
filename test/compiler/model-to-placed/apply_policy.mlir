// model-apply-policy: every operation is placed as the rules say, sums as the norm that reads them.
// RUN: ktc-opt %s -model-apply-policy="machine=%S/inputs/one-gpu.yaml" | FileCheck %s --check-prefix=BUILTIN
// RUN: ktc-opt %s -model-apply-policy="rules=%S/inputs/first-layer.yaml machine=%S/inputs/one-gpu.yaml" | FileCheck %s --check-prefix=RULES
// RUN: ktc-opt %s -model-apply-policy="rules=cpu" | ktc-opt -model-apply-policy="rules=%S/inputs/first-layer.yaml machine=%S/inputs/one-gpu.yaml" | FileCheck %s --check-prefix=RULES
// RUN: ktc-opt %s -model-apply-policy="machine=%S/inputs/one-gpu.yaml" | ktc-opt -model-verify-placed

model.weight @token_embd.weight : tensor<64x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
model.weight @blk.0.attn_norm.weight : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
model.weight @blk.0.ffn.weight : tensor<32x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}
model.weight @blk.1.ffn.weight : tensor<32x32xf16> {file = 0 : i32, offset = 0 : i64, bytes = 2048 : i64}

// The default policy: all on the CPU, by the built-in rules `cpu`.
// BUILTIN-LABEL: func.func @body
// BUILTIN-NEXT:  model.embed {{.*}}placement = #model.placement<device = "cpu", prefill = "cpu", rule = "cpu">
// BUILTIN-NEXT:  model.rms_norm {{.*}}placement = #model.placement<device = "cpu", prefill = "cpu", rule = "cpu">
// BUILTIN-NEXT:  model.ffn {{.*}}placement = #model.placement<device = "cpu", prefill = "cpu", rule = "cpu">
// BUILTIN-NEXT:  model.ffn {{.*}}placement = #model.placement<device = "cpu", prefill = "cpu", rule = "cpu">
// BUILTIN-NEXT:  model.add {{.*}}placement = #model.placement<device = "cpu", prefill = "cpu", rule = "cpu">
// BUILTIN-NEXT:  model.add {{.*}}placement = #model.placement<device = "cpu", prefill = "cpu", rule = "cpu">
// BUILTIN-NEXT:  model.rms_norm
// BUILTIN-NEXT:  model.add {{.*}}placement = #model.placement<device = "cpu", prefill = "cpu", rule = "cpu">

// RULES-LABEL: func.func @body
func.func @body(%tokens: tensor<?xi32>, %pos: tensor<?xi32>) -> tensor<?x32xf32> {
  // No rule matches: the default, in line 7.
  // RULES-NEXT: model.embed {{.*}}placement = #model.placement<device = "cpu", prefill = "cpu", rule = "first-layer.yaml:7">
  %x = model.embed %tokens {path = "model.embed_tokens", weight = @token_embd.weight} : (tensor<?xi32>) -> tensor<?x32xf32>
  // By the name of a weight.
  // RULES-NEXT: model.rms_norm {{.*}}placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "first-layer.yaml:5">
  %n = model.rms_norm %x {path = "model.layers.0.input_layernorm", weight = @blk.0.attn_norm.weight, eps = 1.0e-6 : f64}
    : (tensor<?x32xf32>) -> tensor<?x32xf32>
  // By operation and layer, with a device of its own for prefill.
  // RULES-NEXT: model.ffn {{.*}}placement = #model.placement<device = "cuda:0", prefill = "cpu", rule = "first-layer.yaml:3">
  %a = model.ffn %n {path = "model.layers.0.mlp", gate = @blk.0.ffn.weight, up = @blk.0.ffn.weight, down = @blk.0.ffn.weight}
    : (tensor<?x32xf32>) -> tensor<?x32xf32>
  // The other layer.
  // RULES-NEXT: model.ffn {{.*}}placement = #model.placement<device = "cpu", prefill = "cpu", rule = "first-layer.yaml:7">
  %b = model.ffn %n {path = "model.layers.1.mlp", gate = @blk.1.ffn.weight, up = @blk.1.ffn.weight, down = @blk.1.ffn.weight}
    : (tensor<?x32xf32>) -> tensor<?x32xf32>
  // A sum goes where the norm is that reads it, and a sum of sums, too;
  // RULES-NEXT: model.add {{.*}}placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "first-layer.yaml:5">
  %s = model.add %a, %b {path = "model.layers.1"} : tensor<?x32xf32>
  // RULES-NEXT: model.add {{.*}}placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "first-layer.yaml:5">
  %t = model.add %s, %x {path = "model.layers.1"} : tensor<?x32xf32>
  // RULES-NEXT: model.rms_norm
  %m = model.rms_norm %t {path = "model.layers.1.norm", weight = @blk.0.attn_norm.weight, eps = 1.0e-6 : f64}
    : (tensor<?x32xf32>) -> tensor<?x32xf32>
  // one that is read by neither goes where its first operand is.
  // RULES-NEXT: model.add {{.*}}placement = #model.placement<device = "cuda:0", prefill = "cuda:0", rule = "first-layer.yaml:5">
  %y = model.add %t, %m {path = "model.layers.1"} : tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
