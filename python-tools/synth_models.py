"""Write synthetic GGUF models: the shapes of real models, random weights, no vocabulary.

    synth_models.py NAME OUT.gguf [--layers N] [--seed S]

For measuring speed without downloading hundreds of gigabytes. Shapes, hyper-parameters and formats are those of the
files that people run: the Q4_K_M mix of llama.cpp with its fallbacks for rows that are not whole blocks of 256, and MXFP4
experts beside Q8_0 for gpt-oss. `--layers` keeps the first N layers (leading dense layers included). Blocks for
multi-token prediction are left out.

Weights are cut out of a pool of random blocks per format at random places, so a file takes as long as writing it and
experts differ. Scales are chosen so that every matrix keeps the magnitude of its input and logits are finite.

Routers: with plain random weights the parts of the hidden state that all tokens share (they grow from layer to layer)
decide, and most tokens get the same few experts: too little memory traffic in decode, too few busy experts in prefill.
Here (1) what attention and feed-forward blocks add stays small beside the token's own embedding, whose values have no
mean, (2) the rows of a router have mean 0 and equal length. Then the hidden states of different tokens are nearly
orthogonal, each expert is equally likely, and the choices spread like those of a trained, balanced router. The same token
still chooses nearly the same experts: measure with varied tokens.
"""
import argparse
import dataclasses
import math
import os
import sys

import numpy as np

from gguf_read import decode_tensor
from gguf_write import TENSOR_TYPES, GgufWriter, encode_tensor

POOL_BYTES = 16 << 20
CHUNK_BYTES = 4 << 20


@dataclasses.dataclass(frozen=True)
class Shape:
    """Hyper-parameters. Where an architecture has no such thing the value is 0."""
    arch: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int       # of keys and values; of MLA: unused
    experts: int
    used: int
    ffn: int            # of an expert
    vocab: int
    context: int
    rope_base: float
    eps: float = 1e-6
    dense_layers: int = 0
    dense_ffn: int = 0
    shared: int = 0     # shared experts of width `ffn`
    query_rank: int = 0
    latent: int = 0     # of MLA, with heads of nope + rope_dims and values of `value_dim`
    nope: int = 0
    rope_dims: int = 0
    value_dim: int = 0
    gating: int = 1     # 1 softmax, 2 sigmoid
    norm: bool = True
    scale: float = 1.0
    groups: int = 0
    groups_used: int = 0
    yarn_factor: float = 0
    yarn_multiplier: float = 0


QWEN3_30B = Shape("qwen3moe", 48, 2048, 32, 4, 128, 128, 8, 768, 151936, 40960, 1e6, dense_ffn=6144)
V2_LITE = Shape("deepseek2", 27, 2048, 16, 1, 0, 64, 6, 1408, 102400, 163840, 1e4, dense_layers=1, dense_ffn=10944,
                shared=2, latent=512, nope=128, rope_dims=64, value_dim=128, norm=False, yarn_factor=40,
                yarn_multiplier=0.0707)
GPT_OSS_120B = Shape("gpt-oss", 36, 2880, 64, 8, 64, 128, 4, 2880, 201088, 131072, 15e4, eps=1e-5, yarn_factor=32)
SHAPES = {
    "qwen3-30b-a3b": QWEN3_30B,
    "qwen3-235b-a22b": dataclasses.replace(QWEN3_30B, layers=94, width=4096, heads=64, ffn=1536, dense_ffn=12288),
    "deepseek-v2-lite": V2_LITE,
    "deepseek-v3": dataclasses.replace(
        V2_LITE, layers=61, width=7168, heads=128, experts=256, used=8, ffn=2048, vocab=129280, dense_layers=3,
        dense_ffn=18432, shared=1, query_rank=1536, gating=2, norm=True, scale=2.5, groups=8, groups_used=4,
        yarn_multiplier=0.1),
    "gpt-oss-120b": GPT_OSS_120B,
    "gpt-oss-20b": dataclasses.replace(GPT_OSS_120B, layers=24, experts=32),
    "glm-4.5-air": Shape("glm4moe", 46, 4096, 96, 8, 128, 128, 8, 1408, 151552, 131072, 1e6, eps=1e-5, dense_layers=1,
                         dense_ffn=10944, shared=1, rope_dims=64, gating=2),
    "mixtral-8x7b": Shape("llama", 32, 4096, 32, 8, 128, 8, 2, 14336, 32000, 32768, 1e6, eps=1e-5, dense_ffn=14336),
}


def mixed_types(shape):
    """The function (tensor's name, row length, layer) -> format: Q4_K_M as llama.cpp mixes it, or MXFP4 experts."""
    def fit(kind, row):  # what llama.cpp falls back to
        return kind if row % 256 == 0 else {"q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0"}.get(kind, kind)

    def more_bits(layer):
        n = shape.layers
        return layer < n // 8 or layer >= 7 * n // 8 or (layer - n // 8) % 3 == 2

    def q4_k_m(name, row, layer):
        if name in ("attn_k", "attn_v") and shape.experts == 8:
            return "q8_0"
        if name == "attn_output" and shape.experts == 8:
            return fit("q5_k", row)
        if name == "output" or ((name.startswith("ffn_down") or name.startswith("attn_v")) and more_bits(layer)):
            return fit("q6_k", row)
        return "q8_0" if name == "attn_k_b" else fit("q4_k", row)

    def mxfp4(name, row, layer):
        return "mxfp4" if name.endswith("_exps") else "q8_0"

    return mxfp4 if shape.arch == "gpt-oss" else q4_k_m


class Weights:
    """Random tensors for a writer. `sigma` is the standard deviation of the values."""

    def __init__(self, writer, seed):
        self.writer, self.random, self.pools = writer, np.random.default_rng(seed), {}

    def _blocks(self, kind, count):
        """Random blocks with scales of 1 (of any value for MXFP4) and the place of the float16 scales."""
        size = TENSOR_TYPES[kind][2]
        raw = self.random.integers(0, 256, (count, size), dtype=np.uint8)
        if kind in ("q4_k", "q5_k"):
            # Equal scales and minima: bytes 4-7 repeat 0-3, and in 8-11 both nibbles are the same.
            raw[:, 8:12] = raw[:, 4:8]
            raw[:, 12:16] = (raw[:, 12:16] & 15) * 17
            return raw, {0: 1.0, 2: 7.5 if kind == "q4_k" else 15.5}
        if kind == "q6_k":
            raw[:, 192:208] = self.random.integers(24, 64, (count, 16))
            return raw, {208: 1.0}
        if kind == "q5_1":
            return raw, {0: 1.0, 2: -15.5}
        if kind == "mxfp4":
            raw[:, 0] = self.random.integers(126, 128, count)
            return raw, {}
        return raw, {0: 1.0}

    def pool(self, kind, sigma):
        """Random blocks of `kind` whose values have about the deviation `sigma`, shape (blocks, bytes)."""
        if (kind, sigma) in self.pools:
            return self.pools[kind, sigma]
        type_id, values, size = TENSOR_TYPES[kind]
        count = POOL_BYTES // size
        if values == 1:
            x = self.random.standard_normal(count, dtype=np.float32) * np.float32(sigma)
            raw = np.frombuffer(encode_tensor(x, kind), np.uint8).reshape(count, size)
        else:
            raw, scales = self._blocks(kind, count)
            spread = self.random.uniform(0.75, 1.25, count)
            for unit in (1.0, None):  # with scales of 1 first, to see which deviation they give
                factor = unit or sigma / float(decode_tensor(raw[:1024].ravel(), type_id, 1024 * values).std())
                for place, value in scales.items():
                    half = (spread * value * factor).astype("<f2")
                    raw[:, place:place + 2] = half.view(np.uint8).reshape(-1, 2)
            if kind == "mxfp4":
                raw[:, 0] = np.clip(raw[:, 0].astype(np.int32) + round(math.log2(factor)), 1, 254)
        self.pools[kind, sigma] = raw
        return raw

    def matrix(self, name, shape, kind, gain=1.0):
        """A tensor of random blocks, scaled by gain / sqrt(row length)."""
        def chunks():
            pool = self.pool(kind, gain / math.sqrt(shape[-1]))
            left = math.prod(shape) // TENSOR_TYPES[kind][1]
            most = max(1, min(len(pool) // 2, CHUNK_BYTES // pool.shape[1]))
            while left:
                count = min(left, most)
                start = int(self.random.integers(0, len(pool) - count + 1))
                yield pool[start:start + count].tobytes()
                left -= count

        self.writer.add_stream(name + ".weight", shape, kind, chunks)

    def vector(self, name, shape, mean, sigma):
        """A float32 tensor of normal values."""
        def chunks():
            values = np.float32(mean) + np.float32(sigma) * self.random.standard_normal(shape, dtype=np.float32)
            return [encode_tensor(values, "f32")]

        self.writer.add_stream(name, shape, "f32", chunks)

    def router(self, name, experts, width):
        """Rows without a mean and of equal length, so that no expert is preferred; logits deviate by 1.5."""
        def chunks():
            rows = self.random.standard_normal((experts, width), dtype=np.float32)
            rows -= rows.mean(axis=1, keepdims=True)
            rows *= 1.5 / np.linalg.norm(rows, axis=1, keepdims=True)
            return [encode_tensor(rows, "f32")]

        self.writer.add_stream(name, (experts, width), "f32", chunks)


def add_attention(weights, shape, layer, kind_of, small):
    """The attention tensors of a layer. `small` is the gain of what is added to the residual stream."""
    b, d = f"blk.{layer}.", shape.width

    def put(name, rows, columns, gain=1.0):
        weights.matrix(b + name, (*rows, columns) if isinstance(rows, tuple) else (rows, columns),
                       kind_of(name, columns, layer), gain)

    if shape.arch == "deepseek2":
        query = shape.heads * (shape.nope + shape.rope_dims)
        if shape.query_rank:
            put("attn_q_a", shape.query_rank, d)
            weights.vector(b + "attn_q_a_norm.weight", (shape.query_rank,), 1, 0.02)
            put("attn_q_b", query, shape.query_rank)
        else:
            put("attn_q", query, d)
        put("attn_kv_a_mqa", shape.latent + shape.rope_dims, d)
        weights.vector(b + "attn_kv_a_norm.weight", (shape.latent,), 1, 0.02)
        put("attn_k_b", (shape.heads, shape.latent), shape.nope)
        put("attn_v_b", (shape.heads, shape.value_dim), shape.latent)
        put("attn_output", d, shape.heads * shape.value_dim, small)
        return
    for part, count in (("q", shape.heads), ("k", shape.kv_heads), ("v", shape.kv_heads)):
        put(f"attn_{part}", count * shape.head_dim, d)
        if shape.arch in ("glm4moe", "gpt-oss"):
            weights.vector(f"{b}attn_{part}.bias", (count * shape.head_dim,), 0, 0.1)
    put("attn_output", d, shape.heads * shape.head_dim, small)
    if shape.arch == "qwen3moe":
        for part in "qk":
            weights.vector(f"{b}attn_{part}_norm.weight", (shape.head_dim,), 1, 0.02)
    if shape.arch == "gpt-oss":
        weights.vector(b + "attn_output.bias", (d,), 0, 0.02)
        weights.vector(b + "attn_sinks.weight", (shape.heads,), 0, 1)


def add_feed_forward(weights, shape, layer, kind_of, small):
    """The feed-forward tensors of a layer: dense, or router, experts and shared experts."""
    b, d = f"blk.{layer}.", shape.width

    def block(suffix, ffn, experts=()):
        for part, rows, columns in (("gate", ffn, d), ("up", ffn, d), ("down", d, ffn)):
            name = f"ffn_{part}{suffix}"
            weights.matrix(b + name, (*experts, rows, columns), kind_of(name, columns, layer),
                           small if part == "down" else 1.0)
            if experts and shape.arch == "gpt-oss":
                weights.vector(f"{b}{name}.bias", (*experts, rows), 0, 0.02)

    if layer < shape.dense_layers:
        block("", shape.dense_ffn)
        return
    weights.router(b + "ffn_gate_inp.weight", shape.experts, d)
    block("_exps", shape.ffn, (shape.experts,))
    if shape.arch == "gpt-oss":
        weights.vector(b + "ffn_gate_inp.bias", (shape.experts,), 0, 0.02)
    if shape.gating == 2:
        weights.vector(b + "exp_probs_b.bias", (shape.experts,), 0, 0.001)
    if shape.shared:
        block("_shexp", shape.ffn * shape.shared)


def add_keys(writer, shape):
    """The metadata that importers read."""
    def key(name, kind, value):
        writer.add(f"{shape.arch}.{name}", kind, value)

    mla = shape.arch == "deepseek2"
    head = shape.latent + shape.rope_dims if mla else shape.head_dim
    integers = {
        "block_count": shape.layers, "context_length": shape.context, "embedding_length": shape.width,
        "vocab_size": shape.vocab, "attention.head_count": shape.heads, "attention.head_count_kv": shape.kv_heads,
        "attention.key_length": head, "attention.value_length": shape.latent if mla else head,
        "feed_forward_length": shape.dense_ffn or shape.ffn, "expert_count": shape.experts,
        "expert_used_count": shape.used, "expert_feed_forward_length": shape.ffn,
        "rope.dimension_count": shape.rope_dims or shape.head_dim}
    if mla:
        integers |= {"attention.key_length_mla": shape.nope + shape.rope_dims, "attention.kv_lora_rank": shape.latent,
                     "attention.value_length_mla": shape.value_dim}
    optional = {"attention.q_lora_rank": shape.query_rank, "leading_dense_block_count": shape.dense_layers,
                "expert_shared_count": shape.shared, "expert_group_count": shape.groups,
                "expert_group_used_count": shape.groups_used,
                "attention.sliding_window": 128 if shape.arch == "gpt-oss" else 0}
    for name, value in (integers | {k: v for k, v in optional.items() if v}).items():
        key(name, "u32", value)
    key("attention.layer_norm_rms_epsilon", "f32", shape.eps)
    key("rope.freq_base", "f32", shape.rope_base)
    if shape.arch in ("deepseek2", "glm4moe"):
        key("expert_gating_func", "u32", shape.gating)
        key("expert_weights_norm", "bool", shape.norm)
        key("expert_weights_scale", "f32", shape.scale)
    if shape.yarn_factor:
        key("rope.scaling.type", "str", "yarn")
        key("rope.scaling.factor", "f32", shape.yarn_factor)
        key("rope.scaling.original_context_length", "u32", 4096)
    if shape.yarn_multiplier:
        key("rope.scaling.yarn_log_multiplier", "f32", shape.yarn_multiplier)


def model_writer(name, shape, seed=0):
    """A GgufWriter of a model of `shape`; the weights are made when it writes."""
    writer = GgufWriter(shape.arch)
    writer.add("general.name", "str", f"{name} (synthetic, random weights)")
    writer.add("general.file_type", "u32", 38 if shape.arch == "gpt-oss" else 15)
    writer.add("general.quantization_version", "u32", 2)
    add_keys(writer, shape)
    writer.add("tokenizer.ggml.model", "str", "no_vocab")
    weights, kind_of = Weights(writer, seed), mixed_types(shape)
    # All blocks together add a quarter of the variance that the embedding has.
    small = 0.5 / math.sqrt(2 * shape.layers)
    norm = "post_attention_norm" if shape.arch in ("glm4moe", "gpt-oss") else "ffn_norm"
    weights.matrix("token_embd", (shape.vocab, shape.width), kind_of("token_embd", shape.width, 0),
                   math.sqrt(shape.width))
    weights.vector("output_norm.weight", (shape.width,), 1, 0.02)
    weights.matrix("output", (shape.vocab, shape.width), kind_of("output", shape.width, 0), 2.0)
    for layer in range(shape.layers):
        weights.vector(f"blk.{layer}.attn_norm.weight", (shape.width,), 1, 0.02)
        weights.vector(f"blk.{layer}.{norm}.weight", (shape.width,), 1, 0.02)
        add_attention(weights, shape, layer, kind_of, small)
        add_feed_forward(weights, shape, layer, kind_of, small)
    return writer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(SHAPES), metavar="NAME", help=", ".join(SHAPES))
    parser.add_argument("out")
    parser.add_argument("--layers", type=int, help="keep only the first N layers")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    shape = SHAPES[args.name]
    if args.layers is not None:
        if not 1 <= args.layers <= shape.layers:
            parser.error(f"argument --layers: expected 1 to {shape.layers}, found {args.layers}")
        shape = dataclasses.replace(shape, layers=args.layers, dense_layers=min(shape.dense_layers, args.layers))
    writer = model_writer(args.name, shape, args.seed)
    writer.write(args.out)
    routed = sum(size for tensor, _, _, size, _ in writer.tensors if "_exps." in tensor)
    print(f"{args.out}: {os.path.getsize(args.out) / 1e9:.2f} GB, {shape.layers} layers, "
          f"routed experts {routed / 1e9:.2f} GB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
