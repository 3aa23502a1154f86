// What sched-lower-entries refuses.
// RUN: ktc-opt %s -split-input-file -verify-diagnostics -sched-lower-entries

// expected-error @+1 {{expected functions @body and @head}}
module {
  func.func @head(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
    return %x : tensor<?x32xf32>
  }
}

// -----

// expected-error @+1 {{expected functions @body and @head}}
module {
  func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) {
    return
  }
}

// -----

// An operation that is not of the model.
module {
  model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
  func.func private @other()
  func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
    // expected-error @+1 {{'func.call' op has no lowering to the schedule}}
    func.call @other() : () -> ()
    %x = model.embed %tokens {path = "e", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
    return %x : tensor<?x32xf32>
  }
  func.func @head(%x: tensor<?x32xf32>) -> tensor<?x64xf32> {
    %l = model.lm_head %x {path = "lm_head", weight = @embd} : (tensor<?x32xf32>) -> tensor<?x64xf32>
    return %l : tensor<?x64xf32>
  }
}

// -----

// Latent attention whose form has not been chosen,
module {
  model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
  model.weight @kv_a : tensor<24x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
  model.weight @n : tensor<16xf32> {file = 0 : i32, offset = 0 : i64, bytes = 64 : i64}
  model.weight @k_b : tensor<2x16x8xf16> {file = 0 : i32, offset = 0 : i64, bytes = 512 : i64}
  model.weight @v_b : tensor<2x8x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 512 : i64}
  func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x16xf32> {
    %q = model.embed %tokens {path = "e", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
    %kv = model.linear %q {path = "kv_a", weight = @kv_a} : (tensor<?x32xf32>) -> tensor<?x24xf32>
    // expected-error @+1 {{'model.mla_attention' op has no form; run model-select-mla-form and model-split-kv-b first}}
    %y = model.mla_attention %q, %kv, %positions {path = "a", layer = 0 : i64, heads = 2 : i64, nope = 8 : i64,
      rope_dims = 8 : i64, v_dim = 8 : i64, latent = 16 : i64, scale = 0.25 : f64,
      rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, k_b = @k_b,
      v_b = @v_b} : (tensor<?x32xf32>, tensor<?x24xf32>, tensor<?xi32>) -> tensor<?x16xf32>
    return %y : tensor<?x16xf32>
  }
  func.func @head(%x: tensor<?x16xf32>) -> tensor<?x16xf32> {
    return %x : tensor<?x16xf32>
  }
}

// -----

// or whose projection has not been split.
module {
  model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
  model.weight @kv_a : tensor<24x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 3072 : i64}
  model.weight @n : tensor<16xf32> {file = 0 : i32, offset = 0 : i64, bytes = 64 : i64}
  model.weight @kv_b : tensor<32x16xf16> {file = 0 : i32, offset = 0 : i64, bytes = 1024 : i64}
  func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x16xf32> {
    %q = model.embed %tokens {path = "e", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
    %kv = model.linear %q {path = "kv_a", weight = @kv_a} : (tensor<?x32xf32>) -> tensor<?x24xf32>
    // expected-error @+1 {{'model.mla_attention' op has no form; run model-select-mla-form and model-split-kv-b first}}
    %y = model.mla_attention %q, %kv, %positions {path = "a", layer = 0 : i64, heads = 2 : i64, nope = 8 : i64,
      rope_dims = 8 : i64, v_dim = 8 : i64, latent = 16 : i64, scale = 0.25 : f64, form = "absorbed",
      rope = #model.rope<style = "norm", dims = 8, base = 1.0e4>, kv_norm = @n, norm_eps = 1.0e-6 : f64, kv_b = @kv_b}
      : (tensor<?x32xf32>, tensor<?x24xf32>, tensor<?xi32>) -> tensor<?x16xf32>
    return %y : tensor<?x16xf32>
  }
  func.func @head(%x: tensor<?x16xf32>) -> tensor<?x16xf32> {
    return %x : tensor<?x16xf32>
  }
}

// -----

// Functions without a body, or with other values than tokens, positions, hidden states and logits.
module {
  // expected-error @+1 {{'func.func' op must have one block and the signature (tokens, positions) -> hidden}}
  func.func private @body(tensor<?xi32>, tensor<?xi32>) -> tensor<?x32xf32>
  func.func @head(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
    return %x : tensor<?x32xf32>
  }
}

// -----

module {
  // expected-error @+1 {{'func.func' op must have one block and the signature (tokens, positions) -> hidden}}
  func.func @body(%x: tensor<?x32xf32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
    return %x : tensor<?x32xf32>
  }
  func.func @head(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
    return %x : tensor<?x32xf32>
  }
}

// -----

module {
  model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
  func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
    %x = model.embed %tokens {path = "e", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
    return %x : tensor<?x32xf32>
  }
  // expected-error @+1 {{'func.func' op must have one block and the signature (hidden) -> logits}}
  func.func @head(%x: tensor<?x32xf32>) {
    return
  }
}

// -----

module {
  model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
  func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
    %x = model.embed %tokens {path = "e", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
    return %x : tensor<?x32xf32>
  }
  // expected-error @+1 {{'func.func' op takes 'tensor<?x64xf32>', but @body returns 'tensor<?x32xf32>'}}
  func.func @head(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
    return %x : tensor<?x64xf32>
  }
}

// -----

// The gate of a block is applied when it is added; nothing else can read the block.
module {
  model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
  model.weight @w : tensor<32x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
  model.weight @gate : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
  func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
    %x = model.embed %tokens {path = "e", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
    // expected-error @+1 {{'model.ffn' op has an output gate, so its result can only be added}}
    %f = model.ffn %x {path = "f", gate = @w, up = @w, down = @w, output_gate = @gate} : (tensor<?x32xf32>) -> tensor<?x32xf32>
    return %f : tensor<?x32xf32>
  }
  func.func @head(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
    return %x : tensor<?x32xf32>
  }
}

// -----

module {
  model.weight @embd : tensor<64x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 8192 : i64}
  model.weight @w : tensor<32x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 4096 : i64}
  model.weight @gate : tensor<32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 128 : i64}
  func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
    %x = model.embed %tokens {path = "e", weight = @embd} : (tensor<?xi32>) -> tensor<?x32xf32>
    %f = model.ffn %x {path = "f", gate = @w, up = @w, down = @w, output_gate = @gate} : (tensor<?x32xf32>) -> tensor<?x32xf32>
    // expected-error @+1 {{'model.add' op cannot add two gated blocks}}
    %y = model.add %f, %f {path = "y"} : tensor<?x32xf32>
    return %y : tensor<?x32xf32>
  }
  func.func @head(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
    return %x : tensor<?x32xf32>
  }
}

// -----

// An operation whose weights would have to be on two devices.
model.weight @e : tensor<4x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 512 : i64}
func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  // expected-error @below {{is placed on cuda:0 for decode and on cpu for prefill; its weights and its KV cache would have to be on both}}
  %x = model.embed %tokens {path = "model.embed_tokens", weight = @e, placement = #model.placement<device = "cuda:0", prefill = "cpu", rule = "r.yaml:1">} : (tensor<?xi32>) -> tensor<?x32xf32>
  return %x : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x4xf32> {
  %l = model.lm_head %x {path = "lm_head", weight = @e} : (tensor<?x32xf32>) -> tensor<?x4xf32>
  return %l : tensor<?x4xf32>
}

// -----

// A device that is neither the host nor a GPU.
model.weight @e : tensor<4x32xf32> {file = 0 : i32, offset = 0 : i64, bytes = 512 : i64}
func.func @body(%tokens: tensor<?xi32>, %positions: tensor<?xi32>) -> tensor<?x32xf32> {
  // expected-error @below {{is placed on npu:0, expected cpu or cuda:N}}
  %x = model.embed %tokens {path = "model.embed_tokens", weight = @e, placement = #model.placement<device = "npu:0", prefill = "npu:0", rule = "r.yaml:1">} : (tensor<?xi32>) -> tensor<?x32xf32>
  return %x : tensor<?x32xf32>
}
func.func @head(%x: tensor<?x32xf32>) -> tensor<?x4xf32> {
  %l = model.lm_head %x {path = "lm_head", weight = @e} : (tensor<?x32xf32>) -> tensor<?x4xf32>
  return %l : tensor<?x4xf32>
}
