"""Make the golden models: tiny random models of every supported architecture, with logits from Hugging Face.

    make_golden_models.py OUTDIR [--only NAME ...] [--search N]

For every case below it builds the transformers model with fixed random weights, rounds the weights to their storage
type, writes OUTDIR/NAME.gguf as llama.cpp's converter would, and saves float32 logits of the transformers model (eager
attention, the rounded weights) as OUTDIR/NAME.logits.f32 with the tokens in OUTDIR/NAME.tokens. Then it runs
gguf_numpy.py on the file and fails unless both agree. Cases that hold the same weights in another layout share the
logits of the case they name.

Routing is a discontinuous function: where two experts score almost the same, a rounding difference changes the
output. Seeds are therefore chosen so that no decision on these tokens is close; --search N looks for a better seed
among N and prints it instead of writing files. Needs torch, transformers and tokenizers.
"""
import argparse
import os
import sys
import zlib

import numpy as np

from compare_logits import measure
from gguf_numpy import Model
from gguf_read import decode_tensor
from gguf_write import TENSOR_TYPES, GgufWriter, encode_tensor
from hf_to_gguf import CONVERTERS, Converter, storage_type

TOKENS = 48
FILE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 7, "bf16": 32, "mxfp4": 38}
TEXT = "The tiny model says: 12345 + 678, then the end of it.\n\tna\u00efve caf\u00e9 \u4f60\u597d!"


def yarn(factor, context, mscale, beta_fast=32, beta_slow=1, theta=10000.0):
    return {"rope_type": "yarn", "factor": float(factor), "original_max_position_embeddings": context,
            "mscale": mscale, "mscale_all_dim": mscale, "beta_fast": beta_fast, "beta_slow": beta_slow,
            "rope_theta": theta}


DEEPSEEK_V3 = dict(
    vocab_size=96, hidden_size=48, intermediate_size=64, moe_intermediate_size=16, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=4, n_shared_experts=1, n_routed_experts=12, routed_scaling_factor=2.5,
    kv_lora_rank=48, q_lora_rank=32, qk_rope_head_dim=16, v_head_dim=16, qk_nope_head_dim=16, n_group=4, topk_group=2,
    num_experts_per_tok=3, first_k_dense_replace=1, norm_topk_prob=True, max_position_embeddings=10240,
    num_mtp_layers=0, rope_parameters=yarn(40, 256, 1.0))
DEEPSEEK_V2_LITE = dict(
    vocab_size=96, hidden_size=48, intermediate_size=64, moe_intermediate_size=16, num_hidden_layers=3,
    num_attention_heads=2, num_key_value_heads=2, n_shared_experts=2, n_routed_experts=6, routed_scaling_factor=1.0,
    kv_lora_rank=32, q_lora_rank=None, qk_rope_head_dim=16, v_head_dim=16, qk_nope_head_dim=32,
    num_experts_per_tok=2, first_k_dense_replace=1, max_position_embeddings=5120,
    rope_parameters=yarn(40, 128, 0.707))
DEEPSEEK_V2 = dict(DEEPSEEK_V2_LITE, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, q_lora_rank=32,
                   qk_nope_head_dim=16, n_routed_experts=8, num_experts_per_tok=3, routed_scaling_factor=16.0,
                   rope_parameters=yarn(40, 128, 1.0))
KIMI_K2 = dict(DEEPSEEK_V3, n_routed_experts=24, num_experts_per_tok=4, n_group=1, topk_group=1,
               routed_scaling_factor=2.827, max_position_embeddings=4096,
               rope_parameters=yarn(32, 128, 1.0, beta_fast=1, theta=50000.0))
QWEN3_MOE = dict(
    vocab_size=96, hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=32, moe_intermediate_size=16, num_experts=8, num_experts_per_tok=3,
    norm_topk_prob=True, max_position_embeddings=4096, rope_parameters={"rope_type": "default", "rope_theta": 1e6})
# Rows of whole 32-blocks, and few experts: 8-bit activations need a wide routing margin.
QWEN3_MOE_32 = dict(QWEN3_MOE, hidden_size=64, moe_intermediate_size=64, num_experts=4, num_experts_per_tok=2)
QWEN2_MOE = dict(
    vocab_size=96, hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=3,
    num_key_value_heads=1, moe_intermediate_size=16, shared_expert_intermediate_size=48, num_experts=8,
    num_experts_per_tok=3, norm_topk_prob=False, max_position_embeddings=4096,
    rope_parameters={"rope_type": "default", "rope_theta": 1e6})
LLAMA = dict(
    vocab_size=96, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=2048, rms_norm_eps=0.02, tie_word_embeddings=True,
    rope_parameters={"rope_type": "default", "rope_theta": 1e4})
LLAMA3 = dict(LLAMA, vocab_size=288, hidden_size=48, tie_word_embeddings=False, head_dim=32, num_attention_heads=2,
              num_key_value_heads=1, rope_parameters={
                  "rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0,
                  "high_freq_factor": 4.0, "original_max_position_embeddings": 64})
MIXTRAL = dict(
    vocab_size=96, hidden_size=64, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2, max_position_embeddings=4096,
    rope_parameters={"rope_type": "default", "rope_theta": 1e6})

GLM4_MOE = dict(
    vocab_size=96, hidden_size=48, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16, moe_intermediate_size=16, n_routed_experts=12, num_experts_per_tok=3,
    n_shared_experts=1, first_k_dense_replace=1, n_group=1, topk_group=1, norm_topk_prob=True,
    routed_scaling_factor=1.5, attention_bias=True, use_qk_norm=True, num_mtp_layers=0, max_position_embeddings=4096,
    rope_parameters={"rope_type": "default", "rope_theta": 1e6, "partial_rotary_factor": 0.5})
# Air: no norms of the heads. Two groups, which no released model has, but the configuration allows.
GLM4_MOE_AIR = dict(GLM4_MOE, num_hidden_layers=2, use_qk_norm=False, n_group=4, topk_group=2, n_shared_experts=2)
# The window is shorter than the test's tokens, and the trained context short enough for YaRN's ramp to matter.
GPT_OSS = dict(
    vocab_size=96, hidden_size=48, intermediate_size=24, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, head_dim=32, num_local_experts=6, num_experts_per_tok=2, sliding_window=16,
    max_position_embeddings=16384, rope_parameters={
        "rope_type": "yarn", "rope_theta": 15e4, "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0,
        "truncate": False, "original_max_position_embeddings": 512})
# Rows of whole 32-blocks, and few experts: 8-bit activations need a wide routing margin.
GPT_OSS_32 = dict(GPT_OSS, hidden_size=64, intermediate_size=32, num_hidden_layers=2, num_local_experts=4)

# name: (transformers class prefix, configuration, GGUF architecture, type of the matrices, seed, options).
# options: logits_of (the case with the same weights), legacy/fused/old_router_keys/mtp (see hf_to_gguf), vocabulary
# (a byte-level BPE instead of no vocabulary), splits (tensors per file), version (of GGUF), alignment.
CASES = {
    "deepseek2-v3": ("DeepseekV3", DEEPSEEK_V3, "deepseek2", "f16", 201, {}),
    "deepseek2-v3-legacy": ("DeepseekV3", DEEPSEEK_V3, "deepseek2", "f16", 201,
                            {"logits_of": "deepseek2-v3", "legacy": True}),
    "deepseek2-v2-lite": ("DeepseekV2", DEEPSEEK_V2_LITE, "deepseek2", "f16", 47, {"old_router_keys": True}),
    "deepseek2-v2": ("DeepseekV2", DEEPSEEK_V2, "deepseek2", "f16", 165, {}),
    "kimi-k2": ("DeepseekV3", KIMI_K2, "deepseek2", "f16", 126, {}),
    "qwen3moe": ("Qwen3Moe", QWEN3_MOE, "qwen3moe", "f16", 201, {}),
    "qwen3moe-fused": ("Qwen3Moe", QWEN3_MOE, "qwen3moe", "f16", 201, {"logits_of": "qwen3moe", "fused": True}),
    "qwen3moe-q8_0": ("Qwen3Moe", QWEN3_MOE_32, "qwen3moe", "q8_0", 504, {}),
    "qwen2moe": ("Qwen2Moe", QWEN2_MOE, "qwen2moe", "f16", 140, {}),
    "llama-tied": ("Llama", LLAMA, "llama", "f32", 1, {"version": 2}),
    "llama-rope-freqs": ("Llama", LLAMA3, "llama", "bf16", 1, {"vocabulary": True}),
    "llama-q4_0": ("Llama", LLAMA, "llama", "q4_0", 1, {}),
    "llama-q4_0-split": ("Llama", LLAMA, "llama", "q4_0", 1,
                         {"logits_of": "llama-q4_0", "splits": 8, "alignment": 64}),
    "mixtral": ("Mixtral", MIXTRAL, "llama", "f16", 216, {}),
    "glm4moe": ("Glm4Moe", GLM4_MOE, "glm4moe", "f16", 212, {"mtp": True}),
    "glm4moe-air": ("Glm4Moe", GLM4_MOE_AIR, "glm4moe", "f16", 216, {}),
    "gpt-oss": ("GptOss", GPT_OSS, "gpt-oss", "f16", 23, {}),
    "gpt-oss-mxfp4": ("GptOss", GPT_OSS_32, "gpt-oss", "mxfp4", 101, {}),
}


def random_weight(name, shape, seed, tied):
    """Weights that make every part of the model matter: attention that is not uniform, routers that differ between
    tokens, biases and norm weights that are noticed when they are forgotten."""
    values = np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(shape).astype(np.float32)
    if name.endswith("norm.weight"):
        return 1 + 0.2 * values
    if name.endswith("e_score_correction_bias"):
        return 0.1 * values
    if name.endswith("gate_up_proj_bias"):
        return 4 * values  # reaches the limits of gpt-oss's activation
    if name.endswith("bias"):
        return 0.3 * values
    if name.endswith("sinks"):
        return values
    if name == "model.embed_tokens.weight":
        return values * (0.3 if tied else 1.0)
    gain = 2.0 if name.endswith(("mlp.gate.weight", "router.weight", "lm_head.weight", "down_proj")) else 1.3
    return values * gain / np.float32(np.sqrt(shape[-1]))


def make_weights(model, tied, seed, matrix_type):
    """State dict of random values, each rounded to what its GGUF type can hold."""
    weights = {}
    for name, tensor in model.state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        # gpt-oss keeps the matrices of its experts transposed; blocks are along the rows of the file.
        swap = name.endswith(("gate_up_proj", "down_proj")) and model.config.model_type == "gpt_oss"
        shape = tuple(tensor.shape)
        value = random_weight(name, (shape[0], shape[2], shape[1]) if swap else shape, seed, tied)
        kind = storage_type(name, matrix_type)
        raw = np.frombuffer(encode_tensor(value, kind), np.uint8)
        value = decode_tensor(raw, TENSOR_TYPES[kind][0], value.size).reshape(value.shape)
        weights[name] = value.swapaxes(1, 2) if swap else value
    return weights


def hugging_face_logits(model, weights, tokens):
    """Float32 logits (tokens, vocab) of the transformers model with these weights."""
    import torch
    model.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in weights.items()}, strict=False)
    model.tie_weights()
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].float().numpy()


def new_model(prefix, config):
    import torch
    import transformers
    torch.manual_seed(0)
    settings = getattr(transformers, prefix + "Config")(**config)
    settings._attn_implementation = "eager"
    settings._experts_implementation = "eager"
    model = getattr(transformers, prefix + "ForCausalLM")(settings)
    return model.float().eval()


def train_vocabulary(size):
    """A byte-level BPE tokenizer (Hugging Face) with Llama 3's splitting rule, trained on a line of text."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
    rule = (r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
            r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(rule), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    corpus = ["the cat then sat in the end of the tiny model and they said it is the end of 123 days"] * 3
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<|begin_of_text|>", "<|end_of_text|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def add_vocabulary(writer, tokenizer, size):
    """The tokenizer.* keys of a byte-level BPE; unused ids up to `size` are filled with unused tokens."""
    import json
    state = json.loads(tokenizer.to_str())
    names = {i: t for t, i in tokenizer.get_vocab().items()}
    special = {t["id"] for t in state["added_tokens"]}
    merges = [m if isinstance(m, str) else " ".join(m) for m in state["model"]["merges"]]
    writer.add("tokenizer.ggml.model", "str", "gpt2")
    writer.add("tokenizer.ggml.pre", "str", "llama-bpe")
    writer.add("tokenizer.ggml.tokens", "str[]", [names.get(i, f"[PAD{i}]") for i in range(size)])
    writer.add("tokenizer.ggml.token_type", "i32[]",
               [3 if i in special else 1 if i in names else 5 for i in range(size)])
    writer.add("tokenizer.ggml.merges", "str[]", merges)
    writer.add("tokenizer.ggml.bos_token_id", "u32", 0)
    writer.add("tokenizer.ggml.eos_token_id", "u32", 1)
    writer.add("tokenizer.ggml.add_bos_token", "bool", False)


def write_gguf(path, name, model, weights):
    """Write case `name` with these weights; returns the path to open (the first file of splits)."""
    _, config, arch, matrix_type, _, options = CASES[name]
    writer = GgufWriter(arch, options.get("version", 3), options.get("alignment", 32))
    writer.add("general.name", "str", f"golden {name} (random weights)")
    writer.add("general.file_type", "u32", FILE_TYPES[matrix_type])
    writer.add("general.quantization_version", "u32", 2)
    CONVERTERS[arch](Converter(writer, model.config, weights, matrix_type), options)
    if options.get("vocabulary"):
        add_vocabulary(writer, train_vocabulary(config["vocab_size"]), config["vocab_size"])
    else:
        writer.add("tokenizer.ggml.model", "str", "no_vocab")
    if "splits" in options:
        return writer.write_splits(path, options["splits"])[0]
    writer.write(path + ".gguf")
    return path + ".gguf"


def case_tokens(name):
    """The token ids of a case: those of TEXT where there is a vocabulary, otherwise random ones."""
    _, config, _, _, _, options = CASES[name]
    if options.get("vocabulary"):
        return train_vocabulary(config["vocab_size"]).encode(TEXT).ids
    return np.random.default_rng(7).integers(0, config["vocab_size"], TOKENS).tolist()


def make_case(name, out):
    """Write the files of one case and check them; returns whether numpy and transformers agree."""
    prefix, config, _, matrix_type, seed, options = CASES[name]
    model = new_model(prefix, config)
    tokens = case_tokens(name)
    weights = make_weights(model, config.get("tie_word_embeddings", False), seed, matrix_type)
    logits = hugging_face_logits(model, weights, tokens)
    path = write_gguf(os.path.join(out, name), name, model, weights)
    if "logits_of" not in options:
        logits.astype("<f4").tofile(os.path.join(out, name + ".logits.f32"))
        with open(os.path.join(out, name + ".tokens"), "w", encoding="ascii") as f:
            f.write(" ".join(map(str, tokens)) + "\n")
    if options.get("vocabulary"):
        with open(os.path.join(out, name + ".txt"), "w", encoding="utf-8", newline="") as f:
            f.write(TEXT)
    reference = Model(path)
    result = measure(reference.forward(tokens), logits.astype(np.float64))
    good = result["nmse"] <= 1e-10
    print(f"{'ok  ' if good else 'FAIL'} {name:20s} {os.path.getsize(path) / 1024:6.0f} KiB  "
          f"nmse {result['nmse']:.2g}  max {result['max_abs']:.2g}  logits std {logits.std():.2f}  "
          f"router margin {reference.router_margin:.2g}", flush=True)
    return good


def search_seed(name, count, out):
    """Print the seed among 1..count with the largest router margin."""
    prefix, config, _, matrix_type, _, _ = CASES[name]
    model, tokens, best = new_model(prefix, config), case_tokens(name), (0.0, 0)
    for seed in range(1, count + 1):
        weights = make_weights(model, config.get("tie_word_embeddings", False), seed, matrix_type)
        reference = Model(write_gguf(os.path.join(out, "search"), name, model, weights))
        reference.forward(tokens)
        best = max(best, (reference.router_margin, seed))
    print(f"{name}: seed {best[1]} has router margin {best[0]:.3g}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES), metavar="NAME")
    parser.add_argument("--search", type=int, help="look for a good seed among this many")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    if args.search:
        for name in args.only:
            search_seed(name, args.search, args.out)
        return 0
    return 0 if all([make_case(name, args.out) for name in args.only]) else 1


if __name__ == "__main__":
    sys.exit(main())
