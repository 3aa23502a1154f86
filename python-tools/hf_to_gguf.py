"""Turn the weights and configuration of a Hugging Face model into the tensors and metadata of a GGUF file.

Why it exists: golden models must look exactly like the files that llama.cpp's converter makes, because those are what
users have. One function per architecture describes the conventions: names, permuted q/k, the split and transposed
kv_b, which tensors are float32, which keys are written. Input is a state dict of numpy arrays under the names that
transformers 5 uses (experts fused into `gate_up_proj` and `down_proj`).
"""
import math

import numpy as np

# Tensors that stay float32 whatever the file's type: everything one-dimensional, and the router.
ALWAYS_F32 = ("norm.weight", "layernorm.weight", "bias", "mlp.gate.weight", "shared_expert_gate.weight",
              "mlp.router.weight", "sinks")


def storage_type(hf_name, default):
    """The GGUF type in which the converter stores the tensor, given the type chosen for the large matrices. With MXFP4
    only the experts have that type, as in the files that exist."""
    if hf_name.endswith(ALWAYS_F32):
        return "f32"
    return "f16" if default == "mxfp4" and ".experts." not in hf_name else default


class Converter:
    """Adds one model to a GgufWriter, tensor by tensor."""

    def __init__(self, writer, config, weights, default_type):
        self.writer, self.config, self.weights, self.default_type = writer, config, weights, default_type
        self.arch = writer.metadata[0][2]

    def key(self, name, type_name, value):
        self.writer.add(f"{self.arch}.{name}", type_name, value)

    def set_key(self, name, value):
        """Replace the value of a key that is already there."""
        full = f"{self.arch}.{name}"
        self.writer.metadata = [(k, t, value if k == full else v) for k, t, v in self.writer.metadata]

    def put(self, gguf_name, hf_name, change=lambda x: x):
        """Write a tensor under its GGUF name, after `change` of its layout."""
        self.writer.add_tensor(gguf_name, change(self.weights[hf_name]), storage_type(hf_name, self.default_type))

    def common_keys(self):
        c = self.config
        self.writer.add("general.type", "str", "model")
        self.key("block_count", "u32", c.num_hidden_layers)
        self.key("context_length", "u32", c.max_position_embeddings)
        self.key("embedding_length", "u32", c.hidden_size)
        self.key("feed_forward_length", "u32", c.intermediate_size)
        self.key("attention.head_count", "u32", c.num_attention_heads)
        self.key("rope.freq_base", "f32", c.rope_parameters["rope_theta"])
        self.key("attention.layer_norm_rms_epsilon", "f32", c.rms_norm_eps)
        self.key("vocab_size", "u32", c.vocab_size)

    def global_tensors(self):
        self.put("token_embd.weight", "model.embed_tokens.weight")
        self.put("output_norm.weight", "model.norm.weight")
        if "lm_head.weight" in self.weights and not self.config.tie_word_embeddings:
            self.put("output.weight", "lm_head.weight")

    def layer_norms(self, p, b, second="ffn_norm"):
        self.put(b + "attn_norm.weight", p + "input_layernorm.weight")
        self.put(f"{b}{second}.weight", p + "post_attention_layernorm.weight")

    def dense_ffn(self, p, b, suffix=""):
        for part in ("gate", "up", "down"):
            self.put(f"{b}ffn_{part}{suffix}.weight", f"{p}{part}_proj.weight")

    def experts(self, p, b, fused=False):
        """Routed experts below module path `p`: router and the stacked matrices, gate and up apart or fused."""
        self.put(b + "ffn_gate_inp.weight", p + "gate.weight")
        half = self.weights[p + "experts.gate_up_proj"].shape[1] // 2
        if fused:
            self.put(b + "ffn_gate_up_exps.weight", p + "experts.gate_up_proj")
        else:
            self.put(b + "ffn_gate_exps.weight", p + "experts.gate_up_proj", lambda w: w[:, :half])
            self.put(b + "ffn_up_exps.weight", p + "experts.gate_up_proj", lambda w: w[:, half:])
        self.put(b + "ffn_down_exps.weight", p + "experts.down_proj")


def rotary_permutation(heads):
    """llama.cpp rotates neighbours, Hugging Face halves: within each head, row i of half h becomes row 2i+h."""
    def change(w):
        return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)
    return change


def rope_factors(config):
    """The tensor rope_freqs: how much Llama 3's scaling slows each rotary pair down (1 = not at all)."""
    r, dims = config.rope_parameters, config.head_dim
    freq = r["rope_theta"] ** (-np.arange(0, dims, 2, dtype=np.float64) / dims)
    turns = r["original_max_position_embeddings"] * freq / (2 * math.pi)
    low, high = r["low_freq_factor"], r["high_freq_factor"]
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / r["factor"] + smooth)).astype(np.float32)


def convert_llama(converter, options):
    """Llama and Mixtral: q and k permuted, optional experts, optional rope_freqs."""
    k, c = converter, converter.config
    k.common_keys()
    k.key("attention.head_count_kv", "u32", c.num_key_value_heads)
    head_dim = c.head_dim or c.hidden_size // c.num_attention_heads
    k.key("rope.dimension_count", "u32", head_dim)
    if head_dim * c.num_attention_heads != c.hidden_size:
        k.key("attention.key_length", "u32", head_dim)
        k.key("attention.value_length", "u32", head_dim)
    experts = getattr(c, "num_local_experts", 0)
    if experts:
        k.key("expert_count", "u32", experts)
        k.key("expert_used_count", "u32", c.num_experts_per_tok)
    k.global_tensors()
    if c.rope_parameters["rope_type"] == "llama3":
        k.writer.add_tensor("rope_freqs.weight", rope_factors(c), "f32")
    for i in range(c.num_hidden_layers):
        p, b = f"model.layers.{i}.", f"blk.{i}."
        k.layer_norms(p, b)
        k.put(b + "attn_q.weight", p + "self_attn.q_proj.weight", rotary_permutation(c.num_attention_heads))
        k.put(b + "attn_k.weight", p + "self_attn.k_proj.weight", rotary_permutation(c.num_key_value_heads))
        k.put(b + "attn_v.weight", p + "self_attn.v_proj.weight")
        k.put(b + "attn_output.weight", p + "self_attn.o_proj.weight")
        if experts:
            k.experts(p + "mlp.", b, options.get("fused", False))
        else:
            k.dense_ffn(p + "mlp.", b)


def convert_qwen_moe(converter, options):
    """Qwen2-MoE (biases, gated shared expert) and Qwen3-MoE (norms on q and k heads)."""
    k, c = converter, converter.config
    k.common_keys()
    k.key("attention.head_count_kv", "u32", c.num_key_value_heads)
    k.key("expert_count", "u32", c.num_experts)
    k.key("expert_used_count", "u32", c.num_experts_per_tok)
    k.key("expert_feed_forward_length", "u32", c.moe_intermediate_size)
    if k.arch == "qwen3moe":
        k.key("attention.key_length", "u32", c.head_dim)
        k.key("attention.value_length", "u32", c.head_dim)
    else:
        k.key("expert_shared_feed_forward_length", "u32", c.shared_expert_intermediate_size)
    k.global_tensors()
    for i in range(c.num_hidden_layers):
        p, b = f"model.layers.{i}.", f"blk.{i}."
        k.layer_norms(p, b)
        for part in "qkv":
            k.put(f"{b}attn_{part}.weight", f"{p}self_attn.{part}_proj.weight")
            if k.arch == "qwen2moe":
                k.put(f"{b}attn_{part}.bias", f"{p}self_attn.{part}_proj.bias")
        k.put(b + "attn_output.weight", p + "self_attn.o_proj.weight")
        if k.arch == "qwen3moe":
            k.put(b + "attn_q_norm.weight", p + "self_attn.q_norm.weight")
            k.put(b + "attn_k_norm.weight", p + "self_attn.k_norm.weight")
        k.experts(p + "mlp.", b, options.get("fused", False))
        if k.arch == "qwen2moe":
            k.put(b + "ffn_gate_inp_shexp.weight", p + "mlp.shared_expert_gate.weight", lambda w: w.reshape(-1))
            k.dense_ffn(p + "mlp.shared_expert.", b, "_shexp")


def _deepseek_keys(k, legacy, options):
    c = k.config
    k.common_keys()
    qk = c.qk_nope_head_dim + c.qk_rope_head_dim
    # The current layout describes attention as one shared key/value head over the compressed cache.
    k.key("attention.head_count_kv", "u32", c.num_attention_heads if legacy else 1)
    k.key("attention.key_length", "u32", qk if legacy else c.kv_lora_rank + c.qk_rope_head_dim)
    k.key("attention.value_length", "u32", c.v_head_dim if legacy else c.kv_lora_rank)
    if not legacy:
        k.key("attention.key_length_mla", "u32", qk)
        k.key("attention.value_length_mla", "u32", c.v_head_dim)
    if c.q_lora_rank:
        k.key("attention.q_lora_rank", "u32", c.q_lora_rank)
    k.key("attention.kv_lora_rank", "u32", c.kv_lora_rank)
    k.key("leading_dense_block_count", "u32", c.first_k_dense_replace)
    k.key("expert_count", "u32", c.n_routed_experts)
    k.key("expert_used_count", "u32", c.num_experts_per_tok)
    k.key("expert_shared_count", "u32", c.n_shared_experts)
    k.key("expert_feed_forward_length", "u32", c.moe_intermediate_size)
    k.key("expert_weights_scale", "f32", c.routed_scaling_factor)
    if not options.get("old_router_keys"):  # files of 2024 have neither key: softmax and no normalisation are implied
        sigmoid = c.model_type == "deepseek_v3"
        k.key("expert_gating_func", "u32", 2 if sigmoid else 1)
        k.key("expert_weights_norm", "bool", bool(sigmoid and c.norm_topk_prob))
    if c.n_group:
        k.key("expert_group_count", "u32", c.n_group)
        k.key("expert_group_used_count", "u32", c.topk_group)
    k.key("rope.dimension_count", "u32", c.qk_rope_head_dim)


def _yarn_keys(k):
    r = k.config.rope_parameters
    k.key("rope.scaling.type", "str", "yarn")
    k.key("rope.scaling.factor", "f32", r["factor"])
    k.key("rope.scaling.original_context_length", "u32", r["original_max_position_embeddings"])
    k.key("rope.scaling.yarn_log_multiplier", "f32", 0.1 * r["mscale_all_dim"])
    if (r["beta_fast"], r["beta_slow"]) != (32, 1):
        k.key("rope.scaling.yarn_beta_fast", "f32", r["beta_fast"])
        k.key("rope.scaling.yarn_beta_slow", "f32", r["beta_slow"])


def _deepseek_attention(k, p, b, legacy):
    c = k.config
    if c.q_lora_rank:
        k.put(b + "attn_q_a.weight", p + "q_a_proj.weight")
        k.put(b + "attn_q_a_norm.weight", p + "q_a_layernorm.weight")
        k.put(b + "attn_q_b.weight", p + "q_b_proj.weight")
    else:
        k.put(b + "attn_q.weight", p + "q_proj.weight")
    k.put(b + "attn_kv_a_mqa.weight", p + "kv_a_proj_with_mqa.weight")
    k.put(b + "attn_kv_a_norm.weight", p + "kv_a_layernorm.weight")
    if legacy:
        k.put(b + "attn_kv_b.weight", p + "kv_b_proj.weight")
    else:
        nope = c.qk_nope_head_dim

        def heads(w):
            return w.reshape(c.num_attention_heads, nope + c.v_head_dim, c.kv_lora_rank)

        k.put(b + "attn_k_b.weight", p + "kv_b_proj.weight", lambda w: heads(w)[:, :nope].transpose(0, 2, 1))
        k.put(b + "attn_v_b.weight", p + "kv_b_proj.weight", lambda w: heads(w)[:, nope:])
    k.put(b + "attn_output.weight", p + "o_proj.weight")


def convert_deepseek(converter, options):
    """DeepSeek V2, V2-Lite, V3 and models of the same architecture. options: legacy (attn_kv_b layout),
    old_router_keys (leave out the keys that 2024's files lack)."""
    k, c, legacy = converter, converter.config, options.get("legacy", False)
    _deepseek_keys(k, legacy, options)
    if c.rope_parameters["rope_type"] == "yarn":
        _yarn_keys(k)
    k.global_tensors()
    for i in range(c.num_hidden_layers):
        p, b = f"model.layers.{i}.", f"blk.{i}."
        k.layer_norms(p, b)
        _deepseek_attention(k, p + "self_attn.", b, legacy)
        if i < c.first_k_dense_replace:
            k.dense_ffn(p + "mlp.", b)
            continue
        k.experts(p + "mlp.", b, options.get("fused", False))
        bias = p + "mlp.gate.e_score_correction_bias"
        if bias in k.weights:
            k.put(b + "exp_probs_b.bias", bias)
        k.dense_ffn(p + "mlp.shared_experts.", b, "_shexp")


def _glm_prediction_block(k, number):
    """A block for multi-token prediction as files have it after the layers; nothing that runs reads it."""
    width, b = k.config.hidden_size, f"blk.{number}."
    for name, shape in (("attn_norm", (width,)), ("post_attention_norm", (width,)), ("nextn.enorm", (width,)),
                        ("nextn.hnorm", (width,)), ("nextn.eh_proj", (width, 2 * width))):
        k.writer.add_tensor(f"{b}{name}.weight", np.ones(shape), "f32")
    k.writer.add_tensor(b + "attn_q.bias", np.ones(width), "f32")


def convert_glm4moe(converter, options):
    """GLM-4.5 and GLM-4.5-Air. options: mtp (append a block for multi-token prediction)."""
    k, c = converter, converter.config
    k.common_keys()
    mtp = 1 if options.get("mtp") else 0
    k.set_key("block_count", c.num_hidden_layers + mtp)
    for name, value in (("attention.head_count_kv", c.num_key_value_heads), ("attention.key_length", c.head_dim),
                        ("attention.value_length", c.head_dim), ("rope.dimension_count", c.head_dim // 2),
                        ("expert_used_count", c.num_experts_per_tok), ("expert_count", c.n_routed_experts),
                        ("expert_feed_forward_length", c.moe_intermediate_size),
                        ("expert_shared_count", c.n_shared_experts),
                        ("leading_dense_block_count", c.first_k_dense_replace), ("expert_gating_func", 2),
                        ("expert_group_count", c.n_group), ("expert_group_used_count", c.topk_group),
                        ("nextn_predict_layers", mtp)):
        k.key(name, "u32", value)
    k.key("expert_weights_scale", "f32", c.routed_scaling_factor)
    k.key("expert_weights_norm", "bool", c.norm_topk_prob)
    k.global_tensors()
    for i in range(c.num_hidden_layers):
        p, b = f"model.layers.{i}.", f"blk.{i}."
        k.layer_norms(p, b, "post_attention_norm")
        for part in "qkv":
            k.put(f"{b}attn_{part}.weight", f"{p}self_attn.{part}_proj.weight")
            k.put(f"{b}attn_{part}.bias", f"{p}self_attn.{part}_proj.bias")
        k.put(b + "attn_output.weight", p + "self_attn.o_proj.weight")
        if c.use_qk_norm:
            k.put(b + "attn_q_norm.weight", p + "self_attn.q_norm.weight")
            k.put(b + "attn_k_norm.weight", p + "self_attn.k_norm.weight")
        if i < c.first_k_dense_replace:
            k.dense_ffn(p + "mlp.", b)
            continue
        k.experts(p + "mlp.", b)
        k.put(b + "exp_probs_b.bias", p + "mlp.gate.e_score_correction_bias")
        k.dense_ffn(p + "mlp.shared_experts.", b, "_shexp")
    if mtp:
        _glm_prediction_block(k, c.num_hidden_layers)


def _gpt_oss_experts(k, p, b):
    """Gate and up alternate in the columns of one transposed matrix; files have them apart, with rows as elsewhere."""
    for part, first in (("gate", 0), ("up", 1)):
        k.put(f"{b}ffn_{part}_exps.weight", p + "gate_up_proj", lambda w, f=first: w.swapaxes(1, 2)[:, f::2])
        k.put(f"{b}ffn_{part}_exps.bias", p + "gate_up_proj_bias", lambda w, f=first: w[:, f::2])
    k.put(b + "ffn_down_exps.weight", p + "down_proj", lambda w: w.swapaxes(1, 2))
    k.put(b + "ffn_down_exps.bias", p + "down_proj_bias")


def convert_gpt_oss(converter, options):
    """gpt-oss."""
    k, c = converter, converter.config
    k.common_keys()
    for name, value in (("attention.head_count_kv", c.num_key_value_heads), ("attention.key_length", c.head_dim),
                        ("attention.value_length", c.head_dim), ("attention.sliding_window", c.sliding_window),
                        ("expert_feed_forward_length", c.intermediate_size), ("expert_count", c.num_local_experts),
                        ("expert_used_count", c.num_experts_per_tok)):
        k.key(name, "u32", value)
    k.key("rope.scaling.type", "str", "yarn")
    k.key("rope.scaling.factor", "f32", c.rope_parameters["factor"])
    k.key("rope.scaling.original_context_length", "u32", c.rope_parameters["original_max_position_embeddings"])
    k.global_tensors()
    for i in range(c.num_hidden_layers):
        p, b = f"model.layers.{i}.", f"blk.{i}."
        k.layer_norms(p, b, "post_attention_norm")
        for part, name in (("q", "attn_q"), ("k", "attn_k"), ("v", "attn_v"), ("o", "attn_output")):
            k.put(f"{b}{name}.weight", f"{p}self_attn.{part}_proj.weight")
            k.put(f"{b}{name}.bias", f"{p}self_attn.{part}_proj.bias")
        k.put(b + "attn_sinks.weight", p + "self_attn.sinks")
        k.put(b + "ffn_gate_inp.weight", p + "mlp.router.weight")
        k.put(b + "ffn_gate_inp.bias", p + "mlp.router.bias")
        _gpt_oss_experts(k, p + "mlp.experts.", b)


CONVERTERS = {"llama": convert_llama, "qwen2moe": convert_qwen_moe, "qwen3moe": convert_qwen_moe,
              "deepseek2": convert_deepseek, "glm4moe": convert_glm4moe, "gpt-oss": convert_gpt_oss}
