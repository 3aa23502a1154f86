"""Tests of synth_models.py: parameters of the real models, and files that compute.

    synth_models_test.py                the tests
    synth_models_test.py --write DIR    one small file of every structure, DIR/NAME.gguf, for tests of other programs

Needs numpy only; writes small files only.
"""
import dataclasses
import math
import os
import sys
import tempfile
import unittest

import numpy as np

import synth_models
from gguf_numpy import Model

# Parameters in thousands of millions, as published (GLM-4.5-Air: without the block for multi-token prediction).
PUBLISHED = {"qwen3-30b-a3b": 30.5, "qwen3-235b-a22b": 235.1, "deepseek-v2-lite": 15.7, "deepseek-v3": 671.0,
             "gpt-oss-120b": 116.8, "gpt-oss-20b": 20.9, "glm-4.5-air": 106.9, "mixtral-8x7b": 46.7}
# One of every structure.
STRUCTURES = ("qwen3-30b-a3b", "deepseek-v2-lite", "deepseek-v3", "gpt-oss-120b", "glm-4.5-air", "mixtral-8x7b")
TOKENS = 192


def shrink(shape):
    """The same architecture and kinds of layers, small; rows keep their remainder by 256."""
    def optional(value, small):
        return small if value else 0

    return dataclasses.replace(
        shape, layers=3, width=256, heads=4, kv_heads=min(shape.kv_heads, 2), head_dim=optional(shape.head_dim, 64),
        experts=min(shape.experts, 32), ffn=96 if shape.ffn % 256 else 256, vocab=512,
        dense_ffn=optional(shape.dense_ffn, 96), dense_layers=min(shape.dense_layers, 1),
        query_rank=optional(shape.query_rank, 256), latent=optional(shape.latent, 256),
        nope=optional(shape.nope, 32), rope_dims=optional(shape.rope_dims, 32),
        value_dim=optional(shape.value_dim, 32))


class SyntheticModels(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.path = os.path.join(self.directory.name, "m.gguf")
        self.addCleanup(setattr, synth_models, "POOL_BYTES", synth_models.POOL_BYTES)
        synth_models.POOL_BYTES = 1 << 20

    def write(self, name, shape, seed=0):
        synth_models.model_writer(name, shape, seed).write(self.path)

    def test_parameters(self):
        self.assertEqual(set(PUBLISHED), set(synth_models.SHAPES))
        for name, shape in synth_models.SHAPES.items():
            found = sum(math.prod(dims) for _, dims, _, _, _ in synth_models.model_writer(name, shape).tensors) / 1e9
            self.assertLess(abs(found / PUBLISHED[name] - 1), 0.01, f"{name}: {found}")

    def test_logits_are_finite_and_experts_are_used_evenly(self):
        tokens = np.random.default_rng(1).integers(0, 512, TOKENS)
        for name in STRUCTURES:
            small = shrink(synth_models.SHAPES[name])
            self.write(name, small)
            model = Model(self.path, np.float32)
            logits = model.forward(tokens)
            self.assertTrue(np.isfinite(logits).all(), name)
            self.assertTrue(1 < logits.std() < 4, f"{name}: deviation {logits.std()}")
            for layer in range(small.dense_layers, small.layers):
                chosen = model.activations[f"blk.{layer}.experts"]
                load = np.bincount(chosen.ravel(), minlength=small.experts) / (TOKENS * small.used / small.experts)
                self.assertTrue(0.3 < load.min() and load.max() < 2, f"{name} layer {layer}: {load}")

    def test_formats(self):
        kinds = {kind: info[0] for kind, info in synth_models.TENSOR_TYPES.items()}
        for name, tensor, kind in (("gpt-oss-120b", "blk.1.ffn_down_exps.weight", "mxfp4"),
                                   ("gpt-oss-120b", "blk.1.attn_q.weight", "q8_0"),
                                   ("glm-4.5-air", "blk.1.ffn_down_exps.weight", "q5_0"),
                                   ("glm-4.5-air", "blk.2.ffn_down_exps.weight", "q8_0"),
                                   ("qwen3-30b-a3b", "blk.1.ffn_down_exps.weight", "q4_k"),
                                   ("qwen3-30b-a3b", "output.weight", "q6_k"),
                                   ("mixtral-8x7b", "blk.0.attn_k.weight", "q8_0"),
                                   ("mixtral-8x7b", "blk.0.attn_output.weight", "q5_k"),
                                   ("deepseek-v3", "blk.0.attn_k_b.weight", "q8_0"),
                                   ("deepseek-v3", "blk.1.ffn_gate_inp.weight", "f32")):
            types = {t: type_id for t, _, type_id, _, _ in
                     synth_models.model_writer(name, shrink(synth_models.SHAPES[name])).tensors}
            self.assertEqual(types[tensor], kinds[kind], f"{name} {tensor}")

    def test_seeds(self):
        shape, files = shrink(synth_models.SHAPES["gpt-oss-20b"]), []
        for seed in (1, 1, 2):
            self.write("gpt-oss-20b", shape, seed)
            with open(self.path, "rb") as f:
                files.append(f.read())
        self.assertEqual(files[0], files[1])
        self.assertNotEqual(files[0], files[2])


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--write":
        synth_models.POOL_BYTES = 1 << 20
        for structure in STRUCTURES:
            synth_models.model_writer(structure, shrink(synth_models.SHAPES[structure])).write(
                os.path.join(sys.argv[2], structure + ".gguf"))
    else:
        unittest.main()
