"""Run a GGUF model in plain numpy: the readable reference of what each supported architecture computes.

Why it exists: golden logits come from Hugging Face, which knows nothing of GGUF. This forward pass starts from the
GGUF file instead and follows the conventions of that format (rope pairing, permuted q/k, transposed k_b, the scaled
yarn_log_multiplier, router rules). Where both agree, the golden file is right; where the compiler disagrees with
both, --dump shows the first activation that differs.

    gguf_numpy.py MODEL.gguf --tokens "1 2 3" [--out LOGITS.f32] [--dump] [--dump-npz FILE.npz] [--float32]

Arithmetic is float64 unless --float32 is given. Architectures: deepseek2 (both MLA layouts), qwen3moe, qwen2moe, llama,
glm4moe, gpt-oss.
"""
import argparse
import math

import numpy as np

from gguf_read import GgufFile

# Architectures whose rotary pairs are (2i, 2i+1); the others pair (i, i + n/2).
NORM_ROPE = {"deepseek2", "llama"}
SOFTMAX, SIGMOID, TOPK_SOFTMAX = 1, 2, 3
# The router's gating where the file does not name it; softmax for all others.
DEFAULT_GATING = {"glm4moe": SIGMOID, "gpt-oss": TOPK_SOFTMAX}
# Lower limit of the sum that normalises router weights, as in llama.cpp (smallest normal float16).
MIN_WEIGHT_SUM = 6.103515625e-5


def silu(x):
    return x / (1 + np.exp(-x))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def swiglu_oai(gate, up):
    """The activation of gpt-oss: both inputs limited, and up moved by one."""
    gate = np.minimum(gate, 7)
    return gate * sigmoid(1.702 * gate) * (np.clip(up, -7, 7) + 1)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


class Rope:
    """Rotation angles of one model: frequency per pair, with YaRN or rope_freqs applied."""

    def __init__(self, gguf, dims, norm_pairs, factors=None):
        base = gguf.get("{arch}.rope.freq_base", 1e4)
        self.dims, self.norm_pairs, self.magnitude = dims, norm_pairs, 1.0
        self.freq = base ** (-np.arange(0, dims, 2, dtype=np.float64) / dims)
        kind, factor = gguf.get("{arch}.rope.scaling.type", "none"), gguf.get("{arch}.rope.scaling.factor", 1.0)
        self.log_multiplier = gguf.get("{arch}.rope.scaling.yarn_log_multiplier", 0.0)
        self.factor = factor
        if kind == "yarn":
            self._apply_yarn(gguf, base, factor)
        elif kind == "linear":
            self.freq = self.freq / factor
        if factors is not None:
            self.freq = self.freq / factors

    def _apply_yarn(self, gguf, base, factor):
        context = gguf.get("{arch}.rope.scaling.original_context_length", gguf.get("{arch}.context_length"))
        fast = gguf.get("{arch}.rope.scaling.yarn_beta_fast", 32.0)
        slow = gguf.get("{arch}.rope.scaling.yarn_beta_slow", 1.0)

        def pair_of(rotations):  # the (fractional) pair that turns `rotations` times within the trained context
            return self.dims * math.log(context / (rotations * 2 * math.pi)) / (2 * math.log(base))

        low, high = pair_of(fast), pair_of(slow)
        if gguf.metadata["general.architecture"] != "gpt-oss":  # trained with a range that is not rounded
            low, high = math.floor(low), math.ceil(high)
        low, high = max(0, low), min(self.dims - 1, high)
        ramp = np.clip((np.arange(self.dims // 2) - low) / max(0.001, high - low), 0, 1)
        self.freq = self.freq / factor * ramp + self.freq * (1 - ramp)
        # With a log multiplier (DeepSeek) the magnitude correction moves into the attention scale.
        self.magnitude = 1.0 if self.log_multiplier else 1 + 0.1 * math.log(factor)

    def __call__(self, x):
        """Rotate the first `dims` values of the last axis of x, shape (tokens, heads, width), positions 0, 1, ..."""
        angle = np.arange(x.shape[0], dtype=np.float64)[:, None, None] * self.freq
        cos, sin = (np.cos(angle) * self.magnitude).astype(x.dtype), (np.sin(angle) * self.magnitude).astype(x.dtype)
        y, half = x.copy(), self.dims // 2
        first = slice(0, self.dims, 2) if self.norm_pairs else slice(0, half)
        second = slice(1, self.dims, 2) if self.norm_pairs else slice(half, self.dims)
        a, b = x[..., first], x[..., second]
        y[..., first], y[..., second] = a * cos - b * sin, a * sin + b * cos
        return y


class Model:
    """A GGUF model with its hyper-parameters; `forward` returns logits, `activations` keeps what was recorded."""

    def __init__(self, path, dtype=np.float64):
        self.gguf, self.dtype = GgufFile(path), dtype
        self.arch = self.gguf.metadata["general.architecture"]
        self.eps = self.get("attention.layer_norm_rms_epsilon")
        self.n_layer = self.get("block_count") - self.get("nextn_predict_layers", 0)
        self.n_head = self.get("attention.head_count")
        self.n_kv = self.get("attention.head_count_kv", self.n_head)
        width = self.get("embedding_length")
        if self.arch == "deepseek2":
            rope_dims = self.get("rope.dimension_count")
        else:
            self.head_dim = self.get("attention.key_length", width // self.n_head)
            rope_dims = self.get("rope.dimension_count", self.head_dim)
        factors = self.weight("rope_freqs.weight") if "rope_freqs.weight" in self.gguf else None
        self.rope = Rope(self.gguf, rope_dims, self.arch in NORM_ROPE, factors)
        self.activations, self.router_margin = {}, math.inf

    def get(self, key, default=None):
        return self.gguf.get("{arch}." + key, default)

    def weight(self, name):
        return self.gguf.tensor(name).astype(self.dtype)

    def record(self, name, value):
        self.activations[name] = value
        return value

    def linear(self, x, name):
        y = x @ self.weight(name + ".weight").T
        return y + self.weight(name + ".bias") if name + ".bias" in self.gguf else y

    def norm(self, x, name):
        scale = np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.eps)
        return x / scale * self.weight(name + ".weight")

    def attend(self, q, k, v, scale, window=0, sinks=None):
        """Causal attention: q (tokens, heads, a), k (tokens, kv heads, a), v (tokens, kv heads, b) to
        (tokens, heads, b). A window limits it to the last positions; sinks (heads) are scores without a value."""
        group = q.shape[1] // k.shape[1]
        k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
        scores = np.einsum("qhd,khd->hqk", q, k) * scale
        seen = np.tri(len(q), dtype=bool)
        if window:
            seen &= ~np.tri(len(q), k=-window, dtype=bool)
        scores = np.where(seen, scores, -np.inf)
        if sinks is not None:
            column = np.broadcast_to(sinks[:, None, None], scores.shape[:2] + (1,))
            return np.einsum("hqk,khd->qhd", softmax(np.concatenate([scores, column], axis=-1))[..., :-1], v)
        return np.einsum("hqk,khd->qhd", softmax(scores), v)

    def window(self, layer):
        """Positions that a layer sees, 0 for all: of every two layers of gpt-oss the first has a window."""
        return self.get("attention.sliding_window", 0) if self.arch == "gpt-oss" and layer % 2 == 0 else 0

    def gqa(self, x, b):
        """Attention with separate q, k, v: all families but DeepSeek's."""
        n, d = len(x), self.head_dim
        q = self.linear(x, b + "attn_q").reshape(n, self.n_head, d)
        k = self.linear(x, b + "attn_k").reshape(n, self.n_kv, d)
        v = self.linear(x, b + "attn_v").reshape(n, self.n_kv, -1)
        if b + "attn_q_norm.weight" in self.gguf:
            q, k = self.norm(q, b + "attn_q_norm"), self.norm(k, b + "attn_k_norm")
        q, k = self.record(b + "q_rope", self.rope(q)), self.record(b + "k_rope", self.rope(k))
        sinks = self.weight(b + "attn_sinks.weight") if b + "attn_sinks.weight" in self.gguf else None
        out = self.attend(q, k, v, 1 / math.sqrt(d), self.window(int(b.split(".")[1])), sinks).reshape(n, -1)
        return self.linear(self.record(b + "attn_heads", out), b + "attn_output")

    def mla(self, x, b):
        """DeepSeek's attention over a compressed cache. With attn_k_b/attn_v_b it is computed in the absorbed form,
        with attn_kv_b in the expanded one; both give the same result."""
        n, rank, rope_dims = len(x), self.get("attention.kv_lora_rank"), self.rope.dims
        qk_dim = self.get("attention.key_length_mla", self.get("attention.key_length"))
        nope = qk_dim - rope_dims
        if self.get("attention.q_lora_rank"):
            q = self.linear(self.norm(self.linear(x, b + "attn_q_a"), b + "attn_q_a_norm"), b + "attn_q_b")
        else:
            q = self.linear(x, b + "attn_q")
        q = q.reshape(n, self.n_head, qk_dim)
        q_nope, q_rope = q[..., :nope], self.record(b + "q_rope", self.rope(q[..., nope:]))
        kv = self.linear(x, b + "attn_kv_a_mqa")
        latent = self.record(b + "kv_latent", self.norm(kv[:, :rank], b + "attn_kv_a_norm"))
        k_rope = self.record(b + "k_rope", self.rope(kv[:, None, rank:]))
        # log_multiplier is 0.1 * mscale_all_dim in the files, so it is used without the usual factor 0.1.
        scale = (1 + self.rope.log_multiplier * math.log(max(self.rope.factor, 1.0))) ** 2 / math.sqrt(qk_dim)
        if b + "attn_kv_b.weight" in self.gguf:
            expanded = self.linear(latent, b + "attn_kv_b").reshape(n, self.n_head, -1)
            k = np.concatenate([expanded[..., :nope], np.repeat(k_rope, self.n_head, axis=1)], axis=-1)
            out = self.attend(np.concatenate([q_nope, q_rope], axis=-1), k, expanded[..., nope:], scale)
        else:
            absorbed = np.einsum("thn,hrn->thr", q_nope, self.weight(b + "attn_k_b.weight"))
            k = np.concatenate([latent[:, None], k_rope], axis=-1)
            mixed = self.attend(np.concatenate([absorbed, q_rope], axis=-1), k, latent[:, None], scale)
            out = np.einsum("thr,hvr->thv", mixed, self.weight(b + "attn_v_b.weight"))
        return self.linear(self.record(b + "attn_heads", out.reshape(n, -1)), b + "attn_output")

    def ffn(self, x, b, suffix=""):
        return self.linear(silu(self.linear(x, f"{b}ffn_gate{suffix}")) * self.linear(x, f"{b}ffn_up{suffix}"),
                           f"{b}ffn_down{suffix}")

    def _note_margin(self, scores, kept):
        """Remember the smallest gap between the last kept and the first dropped score (a measure of how much error
        the routing of this input tolerates)."""
        ordered = -np.sort(-scores, axis=-1)
        self.router_margin = min(self.router_margin, float((ordered[:, kept - 1] - ordered[:, kept]).min()))

    def route(self, x, b):
        """Chosen experts (tokens, k), best first, and their weights."""
        logits = self.record(b + "router_logits", self.linear(x, b + "ffn_gate_inp"))
        gating = self.get("expert_gating_func", DEFAULT_GATING.get(self.arch, SOFTMAX))
        probs = sigmoid(logits) if gating == SIGMOID else softmax(logits)
        select = probs + self.weight(b + "exp_probs_b.bias") if b + "exp_probs_b.bias" in self.gguf else probs
        groups, k = self.get("expert_group_count", 1), self.get("expert_used_count")
        if groups > 1:
            used = self.get("expert_group_used_count")
            split = select.reshape(len(x), groups, -1)
            score = np.sort(split, axis=-1)[..., -2:].sum(axis=-1)
            self._note_margin(score, used)
            keep = score >= -np.sort(-score, axis=-1)[:, used - 1:used]
            select = np.where(keep[..., None], split, -np.inf).reshape(select.shape)
        self._note_margin(select, k)
        chosen = self.record(b + "experts", np.argsort(-select, axis=-1, kind="stable")[:, :k])
        weights = np.take_along_axis(probs, chosen, axis=-1)
        # Softmax over the chosen logits is the same as probabilities divided by their sum.
        renorm = {"deepseek2": self.get("expert_weights_norm", False), "qwen2moe": False,
                  "glm4moe": self.get("expert_weights_norm", False)}.get(self.arch, True)
        if renorm:
            weights = weights / np.maximum(weights.sum(axis=-1, keepdims=True), MIN_WEIGHT_SUM)
        scale = self.get("expert_weights_scale", 0.0)
        return chosen, self.record(b + "expert_weights", weights * (scale if scale else 1.0))

    def moe(self, x, b):
        chosen, weights = self.route(x, b)
        if b + "ffn_gate_up_exps.weight" in self.gguf:
            gate, up = np.split(self.weight(b + "ffn_gate_up_exps.weight"), 2, axis=1)
        else:
            gate, up = self.weight(b + "ffn_gate_exps.weight"), self.weight(b + "ffn_up_exps.weight")
        down, y = self.weight(b + "ffn_down_exps.weight"), np.zeros_like(x)
        bias = {part: self.weight(f"{b}ffn_{part}_exps.bias") if f"{b}ffn_{part}_exps.bias" in self.gguf else
                np.zeros(len(gate)) for part in ("gate", "up", "down")}
        for expert in np.unique(chosen):
            token, slot = np.nonzero(chosen == expert)
            g, u = x[token] @ gate[expert].T + bias["gate"][expert], x[token] @ up[expert].T + bias["up"][expert]
            h = swiglu_oai(g, u) if self.arch == "gpt-oss" else silu(g) * u
            y[token] += weights[token, slot, None] * (h @ down[expert].T + bias["down"][expert])
        self.record(b + "routed_out", y)
        if b + "ffn_gate_shexp.weight" in self.gguf:
            shared = self.ffn(x, b, "_shexp")
            if b + "ffn_gate_inp_shexp.weight" in self.gguf:
                gate_row = self.weight(b + "ffn_gate_inp_shexp.weight").reshape(-1)
                shared = sigmoid(x @ gate_row)[:, None] * shared
            y = y + self.record(b + "shared_out", shared)
        return y

    def forward(self, tokens):
        """Logits (tokens, vocab) of every position of one sequence."""
        x = self.record("embed", self.weight("token_embd.weight")[np.asarray(tokens)])
        for layer in range(self.n_layer):
            b = f"blk.{layer}."
            attention = self.mla if self.arch == "deepseek2" else self.gqa
            h = self.record(b + "attn_norm", self.norm(x, b + "attn_norm"))
            x = x + self.record(b + "attn_out", attention(h, b))
            norm = "ffn_norm" if b + "ffn_norm.weight" in self.gguf else "post_attention_norm"
            h = self.record(b + "ffn_norm", self.norm(x, b + norm))
            block = self.moe if b + "ffn_gate_inp.weight" in self.gguf else self.ffn
            x = self.record(b + "out", x + self.record(b + "ffn_out", block(h, b)))
        x = self.record("output_norm", self.norm(x, "output_norm"))
        head = "output" if "output.weight" in self.gguf else "token_embd"
        return self.record("logits", x @ self.weight(head + ".weight").T)


def print_activations(activations):
    """One line per recorded activation: shape, root mean square, and the first values of the last token."""
    for name, value in activations.items():
        last = " ".join(f"{v:.6g}" for v in np.asarray(value[-1]).reshape(-1)[:6])
        rms = math.sqrt(float((np.asarray(value, np.float64) ** 2).mean()))
        print(f"{name:28s} {str(value.shape):18s} rms {rms:.6g}  last token: {last}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--tokens", required=True, help="token ids separated by spaces, or @FILE")
    parser.add_argument("--out", help="write the logits as raw little-endian float32")
    parser.add_argument("--dump", action="store_true", help="print a line per intermediate activation")
    parser.add_argument("--dump-npz", help="write every intermediate activation into this npz file")
    parser.add_argument("--float32", action="store_true", help="compute in float32 instead of float64")
    args = parser.parse_args()
    text = open(args.tokens[1:]).read() if args.tokens.startswith("@") else args.tokens
    model = Model(args.model, np.float32 if args.float32 else np.float64)
    logits = model.forward([int(t) for t in text.split()])
    if args.dump:
        print_activations(model.activations)
    if args.dump_npz:
        np.savez(args.dump_npz, **{name: np.asarray(value) for name, value in model.activations.items()})
    if args.out:
        logits.astype("<f4").tofile(args.out)
    print(f"logits {logits.shape[0]} x {logits.shape[1]}, smallest router margin {model.router_margin:.3g}")


if __name__ == "__main__":
    main()
